"""What all tracks share: Problem, Metric, Track, and the result of planting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import torch

from interp_bench.errors import ContractError, Inapplicable
from interp_bench.model.handle import Model
from interp_bench.planting.certificate import Certificate

P = TypeVar("P", bound="Problem")
T = TypeVar("T")
A = TypeVar("A")
Blinder = Callable[[P, torch.Generator], P]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What every technique may see: the planted model, and a seed for its own randomness.

    Attributes:
        model: the planted model behind the one handle.
        seed: seed of the technique's own randomness; it says nothing about the plant.
    """

    model: Model
    seed: int

    @property
    def rng(self) -> np.random.Generator:
        """A fresh numpy generator, the same at every access."""
        return np.random.default_rng(self.seed)

    def generator(self) -> torch.Generator:
        """Return a fresh torch generator on the CPU, the same at every call."""
        return torch.Generator().manual_seed(self.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted(Generic[P, T]):
    """What a task returns: the problem, its hidden truth and the measured certificate."""

    problem: P
    truth: T
    certificate: Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A named number in a score.

    Attributes:
        name: key in the score.
        direction: whether ``higher`` or ``lower`` is better.
        best: the value of a perfect answer.
        floor: what guessing gives, in words (the number is measured on each problem).
        cites: where the definition comes from.
    """

    name: str
    direction: Literal["higher", "lower"]
    best: float
    floor: str
    cites: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Track(Generic[P, T, A]):
    """One question, with the types that ask and answer it and the code that grades.

    Attributes:
        name: short name, also the folder under ``tasks/``.
        question: the question in one sentence.
        problem_type, truth_type, answer_type: classes that annotations are matched against.
        metrics: declared metrics; the first is the primary one.
        check: raises ContractError when an answer does not fit its problem.
        grade: computes every declared metric; runs only on checked answers.
        true_answer: the answer that Truth itself gives, for the ceiling.
        controls: the negative controls that the question can be asked with, by name (``unplanted``,
            ``rerandomised``, ``shuffled``). Each makes, from a problem and a generator, the problem that
            techniques see while the model of that control is in place; all that the problem remembers
            of its model's activations has to be recorded anew.
    """

    name: str
    question: str
    problem_type: type[P]
    truth_type: type[T]
    answer_type: type[A]
    metrics: tuple[Metric, ...]
    check: Callable[[P, A], None]
    grade: Callable[[P, T, A], Mapping[str, float]]
    true_answer: Callable[[P, T], A]
    controls: Mapping[str, Blinder[P]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def primary(self) -> Metric:
        """The metric that skill is computed from."""
        return self.metrics[0]

    def score(self, problem: P, truth: T, answer: Any) -> dict[str, float]:
        """Check an answer and grade it: the one code path of techniques, floor and ceiling.

        Raises:
            ContractError: the answer has the wrong type, shape, site or values.
        """
        if not isinstance(answer, self.answer_type):
            raise ContractError(
                f"answer is a {type(answer).__name__}; "
                f"the {self.name} track takes {self.answer_type.__name__}"
            )
        self.check(problem, answer)
        scores = {name: float(value) for name, value in self.grade(problem, truth, answer).items()}
        declared = [metric.name for metric in self.metrics]
        if sorted(scores) != sorted(declared):
            raise ContractError(f"track {self.name} declares metrics {declared} but graded {sorted(scores)}")
        return scores


def unchanged(problem: P, generator: torch.Generator) -> P:
    """Return the problem itself: the control of a question that remembers nothing of its model."""
    return problem


def other_outputs(problem: Problem, taken: torch.Tensor, n: int, generator: torch.Generator) -> torch.Tensor:
    """Draw (n,) different logit indices that are not among ``taken``, on the device of ``taken``.

    Raises:
        Inapplicable: the model has too few logits.
    """
    free = torch.ones(problem.model.n_outputs, dtype=torch.bool)
    free[taken.cpu().flatten()] = False
    if int(free.sum()) < n:
        raise Inapplicable(f"the model has fewer than {n} logits that the question does not name")
    drawn = free.nonzero()[:, 0][torch.randperm(int(free.sum()), generator=generator)[:n]]
    return drawn.to(taken.device)


def require_floating(values: object, what: str) -> None:
    """Raise ContractError unless ``values`` is a tensor of floating-point numbers of 16 bits or more."""
    _require_tensor(values, what)
    assert isinstance(values, torch.Tensor)
    if not values.is_floating_point() or values.element_size() < 2:
        raise ContractError(f"{what} has dtype {values.dtype}; give floating-point numbers, such as .float()")


def require_whole(values: object, what: str) -> None:
    """Raise ContractError unless ``values`` is a tensor of integers."""
    _require_tensor(values, what)
    assert isinstance(values, torch.Tensor)
    if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
        raise ContractError(f"{what} has dtype {values.dtype}; give integers, such as .long()")


def _require_tensor(values: object, what: str) -> None:
    if not isinstance(values, torch.Tensor):
        raise ContractError(f"{what} is a {type(values).__name__}; give a torch.Tensor")


def require_finite(values: torch.Tensor, what: str) -> None:
    """Raise ContractError unless every value is finite."""
    if not bool(torch.isfinite(values).all()):
        raise ContractError(f"{what} holds values that are not finite (nan or inf)")


def require_shape(values: torch.Tensor, shape: tuple[int | None, ...], what: str) -> None:
    """Raise ContractError unless ``values`` has this shape; None stands for any size."""
    fits = values.ndim == len(shape) and all(
        want is None or have == want for have, want in zip(values.shape, shape, strict=True)
    )
    if not fits:
        wanted = "(" + ", ".join("any" if want is None else str(want) for want in shape) + ")"
        raise ContractError(f"{what} has shape {tuple(values.shape)}; expected {wanted}")
