"""Hooks that are always taken off again: the only place that installs any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

from torch import Tensor, nn

Edit = Callable[[Tensor], Tensor | None]


@contextmanager
def hooked(edits: list[tuple[nn.Module, Literal["in", "out"], Edit]]) -> Iterator[None]:
    """Install an edit on the input or output tensor of each module while the block runs.

    An edit gets the tensor (the first one of a tuple) and returns its replacement, or None to
    leave it. All hooks are removed on every exit, also by an exception.
    """
    with ExitStack() as stack:
        for module, side, edit in edits:
            handle = (
                module.register_forward_pre_hook(_on_input(edit), with_kwargs=True)
                if side == "in"
                else module.register_forward_hook(_on_output(edit))
            )
            stack.callback(handle.remove)
        yield


def _on_input(edit: Edit) -> Callable[..., Any]:
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if args:
            new = edit(args[0])
            return None if new is None else ((new, *args[1:]), kwargs)
        new = edit(kwargs["hidden_states"])
        return None if new is None else (args, {**kwargs, "hidden_states": new})

    return hook


def _on_output(edit: Edit) -> Callable[..., Any]:
    def hook(module: nn.Module, args: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            new = edit(output[0])
            return None if new is None else (new, *output[1:])
        return edit(output)

    return hook
