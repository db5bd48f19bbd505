"""Variables that are copied, turned or erased along depth, or stand beside a louder one that does nothing.

Each task plants two variables that decide logits of their own, and asks for the first. Where it is carried
differs by depth, so that a direction found at one site is wrong at another.
"""

from __future__ import annotations

from interp_bench.model.handle import Model
from interp_bench.planting.concepts.journey import Journey
from interp_bench.planting.concepts.plant import plant_concept
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import Needs, task
from interp_bench.tracks.concepts import ConceptProblem, ConceptTruth
from interp_bench.tracks.planted_concept import Question, independent_seeds, planted_concept, thinned

_KINDS = ("native", "gpt2", "llama", "qwen2", "neox", "vit")
_ROOM = Needs(kinds=_KINDS, min_params=100_000)
_QUICK = Needs(kinds=_KINDS, min_params=100_000, max_params=200_000)


@task(version=1, needs=_ROOM, quick=_QUICK)
def copied_concept(
    model: Model,
    seed: int,
    *,
    n_values: int = 4,
    n_train: int = 256,
    correlation: float = 0.6,
    idle: bool = False,
    length: int = 16,
) -> Planted[ConceptProblem, ConceptTruth]:
    """Neurons write two more copies of a variable: any two of the three decide, or the new ones idle."""
    return _ask(model, seed, Journey(kind="copied", idle=idle), n_values, n_train, (correlation,), length)


@task(version=1, needs=_ROOM, quick=_QUICK)
def rotated_concept(
    model: Model,
    seed: int,
    *,
    n_values: int = 4,
    n_train: int = 256,
    correlation: float = 0.6,
    length: int = 16,
) -> Planted[ConceptProblem, ConceptTruth]:
    """Half-way down, neurons turn a variable into a fresh subspace and overwrite the old one."""
    return _ask(model, seed, Journey(kind="rotated"), n_values, n_train, (correlation,), length)


@task(version=1, needs=_ROOM, quick=_QUICK)
def erased_concept(
    model: Model,
    seed: int,
    *,
    n_values: int = 4,
    n_train: int = 256,
    correlation: float = 0.6,
    length: int = 16,
) -> Planted[ConceptProblem, ConceptTruth]:
    """A variable waits at a relay position, is moved on to where it is decided, and overwritten behind it."""
    return _ask(model, seed, Journey(kind="erased"), n_values, n_train, (correlation,), length)


@task(
    version=1,
    needs=Needs(kinds=_KINDS),
    quick=_QUICK,
)
def decoy_concept(
    model: Model,
    seed: int,
    *,
    n_values: int = 4,
    n_train: int = 256,
    decoy: float = 3.0,
    correlation: float = 0.75,
    length: int = 16,
) -> Planted[ConceptProblem, ConceptTruth]:
    """A louder variable that nothing reads goes with the labelled one in the training data."""
    ties = (1 / n_values, correlation) if decoy else (1 / n_values,)
    return _ask(model, seed, Journey(decoy=decoy), n_values, n_train, ties, length)


def _ask(
    model: Model,
    seed: int,
    journey: Journey,
    n_values: int,
    n_train: int,
    ties: tuple[float, ...],
    length: int,
) -> Planted[ConceptProblem, ConceptTruth]:
    plant_seed, *seeds = independent_seeds(seed, 4)
    planted = plant_concept(model, journey, seed=plant_seed, n_values=n_values, length=length)
    turns = [model.sites[layer + side] for layer in planted.stages for side in (-1, 0) if layer + side >= 0]
    sites = thinned(planted.sites, turns)
    question = Question(
        causal=planted.causal.at(sites),
        evidence=planted.evidence,
        show=planted.show,
        sites=sites,
        near=tuple(negative for negative in planted.near if negative.site in sites),
        n_values=n_values,
        n_train=n_train,
        ties=ties,
    )
    return planted_concept(model, question, seeds=seeds)
