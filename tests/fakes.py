"""A track, tasks, techniques and models small enough to follow by hand, for tests of harness and plugin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from interp_bench.errors import ContractError, UnavailableError, near_name
from interp_bench.harness.grid import Grid
from interp_bench.model.handle import Model
from interp_bench.planting.certificate import Certificate, Check
from interp_bench.tracks.base import Blinder, Metric, Planted, Problem, Track, require_shape
from interp_bench.tracks.catalogue import CATALOGUE, Needs, task, technique


@dataclass(frozen=True, kw_only=True)
class FakeSpec:
    """A row of a pretended models.yaml."""

    id: str
    params: int = 12
    modality: str = "lm"
    kind: str = "native"
    ladder: str = "fake"
    tier: str = "quick"
    dtype: str = "float32"
    memory_gb: float = 1.0
    revision: str = "r1"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuessProblem(Problem):
    """Find the numbers; ``data`` is what all techniques share."""

    data: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class GuessTruth:
    """The numbers, shape (4,), each from 0 to 1."""

    numbers: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """Numbers, shape (4,)."""

    numbers: Tensor


def _check(problem: GuessProblem, answer: Guess) -> None:
    require_shape(answer.numbers, (4,), "numbers")


def _grade(problem: GuessProblem, truth: GuessTruth, answer: Guess) -> Mapping[str, float]:
    error = float((answer.numbers - truth.numbers).abs().mean())
    return {"closeness": 1 - error, "error": error}


BLINDERS: dict[str, Blinder[GuessProblem]] = {}
"""Controls of the track; a test that wants some calls ``offer_controls``."""

TRACK = Track(
    name="guessing",
    question="Which numbers?",
    problem_type=GuessProblem,
    truth_type=GuessTruth,
    answer_type=Guess,
    metrics=(
        Metric(name="closeness", direction="higher", best=1.0, floor="about 0.67"),
        Metric(name="error", direction="lower", best=0.0, floor="about 0.33"),
    ),
    check=_check,
    grade=_grade,
    true_answer=lambda problem, truth: Guess(numbers=truth.numbers),
    controls=BLINDERS,
)
CATALOGUE.add_track(TRACK)


def offer_controls(*names: str) -> None:
    """Let the track offer controls whose question is the planted one."""
    BLINDERS.update(dict.fromkeys(names, lambda problem, generator: problem))


@technique(cites="nobody", floor=True)
def random(problem: GuessProblem) -> Guess:
    """Guess."""
    return Guess(numbers=torch.rand(4, generator=problem.generator()))


@technique(cites="somebody", access="weights")
def reader(problem: GuessProblem, *, factor: float = 1.0) -> Guess:
    """Read the numbers from the weights."""
    with torch.no_grad():
        problem.model(torch.zeros(1, 2))
    return Guess(numbers=problem.model.module[0].weight.detach().diagonal() * factor)


@technique(cites="somebody else")
def half(problem: GuessProblem) -> Guess:
    """Answer one half."""
    return Guess(numbers=torch.full((4,), 0.5))


def plant(model: Model, seed: int, *, passed: bool = True) -> Planted[GuessProblem, GuessTruth]:
    """Write random numbers onto the diagonal of the weights."""
    numbers = torch.rand(4, generator=torch.Generator().manual_seed(seed + 100))
    with torch.no_grad():
        model.module[0].weight.diagonal().add_(numbers)
    check = Check(name="written", value=1.0 if passed else 0.0, relation=">=", bound=0.5)
    return Planted(
        problem=GuessProblem(model=model, seed=seed, data=torch.arange(6.0)),
        truth=GuessTruth(numbers=numbers),
        certificate=Certificate(checks=(check,)),
    )


@task(needs=Needs(max_params=1_000_000))
def numbers(model: Model, seed: int) -> Planted[GuessProblem, GuessTruth]:
    """Numbers on a diagonal."""
    return plant(model, seed)


class Network(nn.Sequential):
    """A linear map of width 4, all zero, that takes any input of two columns."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 4))
        self.register_buffer("count", torch.zeros(1))
        with torch.no_grad():
            self[0].weight.zero_()
        self.requires_grad_(False)
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        return self[0](torch.cat([inputs, inputs], dim=-1))


class FakeModels:
    """Stands in for ``interp_bench.harness.models.MODELS``; remembers what was opened."""

    def __init__(self, *specs: FakeSpec) -> None:
        self.specs = specs
        self.opened: list[str] = []

    def registry(self) -> FakeModels:
        return self

    def get(self, model_id: str) -> FakeSpec:
        for spec in self.specs:
            if spec.id == model_id:
                return spec
        raise KeyError(near_name(model_id, [spec.id for spec in self.specs]))

    def unavailable(self, spec: FakeSpec) -> str | None:
        return "its weights are on the moon" if spec.id.startswith("far") else None

    def libraries(self, spec: FakeSpec) -> tuple[str, ...]:
        return ()

    def open(self, spec: FakeSpec, device: str) -> Model:
        if self.unavailable(spec):
            raise UnavailableError("its weights are on the moon")
        self.opened.append(spec.id)
        return Model(spec, Network())


MODELS = FakeModels(
    FakeSpec(id="small", params=10),
    FakeSpec(id="large", params=1000),
    FakeSpec(id="far-away", params=500),
    FakeSpec(id="image-one", params=20, modality="image", ladder="pictures"),
    FakeSpec(id="huge", params=5_000_000, tier="full"),
)


def grid(*techniques: str, tasks: tuple[str, ...] = ("numbers",), seeds: tuple[int, ...] = (0,)) -> Grid:
    """Return a grid over the model ``small``."""
    return Grid(
        techniques=[CATALOGUE.techniques[f"guessing/{name}"] for name in techniques],
        tasks=[CATALOGUE.tasks[f"guessing/{name}"] for name in tasks],
        specs=[MODELS.get("small")],
        seeds=seeds,
        floors={"guessing": CATALOGUE.techniques["guessing/random"]},
    )


def broken(message: str) -> ContractError:
    """Return the error of a broken contract."""
    return ContractError(message)
