"""Guards of the contract: what a technique must leave as it found it, and how it is put back."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from interp_bench.harness.breach import Breach
from interp_bench.harness.checksums import checksum, fingerprint, plain_values_of, tensors_of

_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
)
_HOOKS_THAT_RUN = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class ModuleState:
    """Hooks, training mode and gradient flags of a network, as they are now.

    Args:
        module: the network to watch.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._hooks = [(name, part, _hooks_of(part)) for name, part in module.named_modules()]
        self._training = [(name, part, part.training) for name, part in module.named_modules()]
        self._flags = [(name, p, p.requires_grad) for name, p in module.named_parameters()]

    def breaches(self) -> list[Breach]:
        """Return how the network differs from the state that was taken."""
        found = [self._hook_breach(), self._training_breach(), self._flag_breach(), self._gradient_breach()]
        return [Breach(message=message) for message in found if message]

    def repair(self) -> None:
        """Put everything back."""
        for _, part, saved in self._hooks:
            for attribute, hooks in saved.items():
                current = getattr(part, attribute, None)
                if current is not None and current != hooks:
                    current.clear()
                    current.update(hooks)
        for _, part, training in self._training:
            part.training = training
        for _, parameter, flag in self._flags:
            parameter.requires_grad_(flag)
            parameter.grad = None

    def _hook_breach(self) -> str:
        for name, part, saved in self._hooks:
            if all((getattr(part, kind, None) or {}) == saved[kind] for kind in _HOOKS_THAT_RUN):
                continue
            now = _hooks_of(part)
            counts = [sum(len(state[kind]) for kind in _HOOKS_THAT_RUN) for state in (saved, now)]
            if counts[1] > counts[0]:
                return (
                    f"left {counts[1] - counts[0]} hook(s) on {_called(name)}; "
                    "use model.record and model.patch, which take theirs off"
                )
            return (
                f"removed or replaced hooks on {_called(name)} that were not its own; "
                "take off only what register_forward_hook and the like returned"
            )
        return ""

    def _training_breach(self) -> str:
        for name, part, training in self._training:
            if part.training != training:
                mode = "training" if part.training else "evaluation"
                return f"left {_called(name)} in {mode} mode; put it back with .train({training})"
        return ""

    def _flag_breach(self) -> str:
        for name, parameter, flag in self._flags:
            if parameter.requires_grad != flag:
                return (
                    f"left requires_grad={parameter.requires_grad} on weight {name!r}; "
                    f"put it back with .requires_grad_({flag})"
                )
        return ""

    def _gradient_breach(self) -> str:
        for name, parameter, _ in self._flags:
            if parameter.grad is not None:
                return f"left a gradient on weight {name!r}; use torch.autograd.grad"
        return ""


class ContentState:
    """Weights of a planted network and the fields of its problem, as they are now.

    Args:
        module: the planted network.
        problem: the problem, which all techniques share.
    """

    def __init__(self, module: nn.Module, problem: object) -> None:
        self._module = module
        self._problem = problem
        self._weights = fingerprint(module)
        self._tensors = {name: checksum(tensor) for name, tensor in tensors_of(problem)}
        self._values = dict(plain_values_of(problem))

    def breaches(self) -> list[Breach]:
        """Return which weights, tensors and other fields have changed."""
        changed = _differences(self._weights, fingerprint(self._module))
        found = []
        if changed:
            text = f"changed the weights of the model ({_some(changed)}); work on a copy, or use model.patch"
            found.append(Breach(message=text, spoilt=True))
        tensors = {name: checksum(tensor) for name, tensor in tensors_of(self._problem)}
        changed = _differences(self._tensors, tensors)
        if changed:
            text = f"changed the problem's own tensors in place ({_some(changed)}); clone them first"
            found.append(Breach(message=text, spoilt=True))
        changed = _differences(self._values, dict(plain_values_of(self._problem)))
        if changed:
            text = f"changed fields of the problem ({_some(changed)}); copy it with dataclasses.replace"
            found.append(Breach(message=text, spoilt=True))
        return found


@contextmanager
def borrowed_generators(seed: int) -> Iterator[None]:
    """Seed the global generators of torch, numpy and python for a block, and put them back after it.

    Libraries draw from them without asking (``torch.pca_lowrank``, some of scikit-learn), so a
    technique may too: it then draws the same each time and disturbs nobody.
    """
    restore = [_restore_torch(seed), _restore_numpy(seed), _restore_python(seed)]
    try:
        yield
    finally:
        for put_back in restore:
            put_back()


def _restore_torch(seed: int) -> Callable[[], None]:
    # torch.manual_seed takes milliseconds, for it asks every kind of accelerator.
    state = torch.get_rng_state()
    accelerated: bool = torch.cuda.is_initialized()
    accelerator = torch.cuda.get_rng_state_all() if accelerated else []
    torch.default_generator.manual_seed(seed)
    if accelerated:
        torch.cuda.manual_seed_all(seed)

    def put_back() -> None:
        torch.set_rng_state(state)
        if accelerated:
            torch.cuda.set_rng_state_all(accelerator)

    return put_back


def _restore_numpy(seed: int) -> Callable[[], None]:
    state = np.random.get_state()
    np.random.seed(seed % 2**32)
    return lambda: np.random.set_state(state)


def _restore_python(seed: int) -> Callable[[], None]:
    state = random.getstate()
    random.seed(seed)
    return lambda: random.setstate(state)


def _hooks_of(part: nn.Module) -> dict[str, dict[int, Any]]:
    return {attribute: dict(getattr(part, attribute, None) or {}) for attribute in _HOOKS}


def _called(name: str) -> str:
    return repr(name) if name else "the model"


def _differences(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    names = [*before, *(name for name in after if name not in before)]
    return [name for name in names if before.get(name) != after.get(name)]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]!r}{more}"
