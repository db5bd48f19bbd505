"""Two planted variables decide logits of their own; find where the labelled one lives, and not the other.

In the training data the two variables go together most of the time, so what separates the classes is
partly the wrong variable. In the held-out pairs that grade the answer they are independent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from interp_bench.model.handle import Model
from interp_bench.planting.certificate import Certificate, Check
from interp_bench.planting.evidence.base import Evidence, Scene
from interp_bench.planting.evidence.certify import certify_evidence
from interp_bench.planting.evidence.plant import plant_evidence
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import Needs, task
from interp_bench.tracks.concepts import (
    ConceptProblem,
    ConceptTruth,
    Subspace,
    decisions,
    middle_site,
    orthonormal,
)
from interp_bench.tracks.recall import Recall

INTERCHANGE, NOTHING = 0.95, 0.25
MOST_SITES = 10
_LARGE = 50_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Size:
    """How much is shown and measured; half as much in models of more than 50 million parameters.

    Attributes:
        train: training inputs.
        repeats: held-out inputs of each combination of values.
        pairs: held-out pairs.
        certified: inputs of each check of the plant.
        sites: carrying sites that the certificate interchanges, spread evenly.
    """

    train: int
    repeats: int
    pairs: int
    certified: int
    sites: int

    @classmethod
    def of(cls, model: Model, n_train: int) -> _Size:
        if model.spec.params < _LARGE:
            return cls(train=n_train, repeats=3, pairs=32, certified=32, sites=99)
        return cls(train=n_train // 2, repeats=2, pairs=16, certified=16, sites=2)


@task(
    version=1,
    needs=Needs(modalities=("lm",)),
    quick=Needs(modalities=("lm",), max_params=10_000_000),
)
def marker_concept(
    model: Model,
    seed: int,
    *,
    n_values: int = 4,
    n_train: int = 256,
    correlation: float = 0.6,
    length: int = 16,
) -> Planted[ConceptProblem, ConceptTruth]:
    """Which of a few marker tokens stands in the text, read at its last token."""
    return _plant(model, seed, n_values, _Size.of(model, n_train), correlation, Scene(length=length))


@task(version=1, needs=Needs(modalities=("image",), kinds=("resnet", "convnext", "vit")))
def visual_concept(
    model: Model, seed: int, *, n_values: int = 4, n_train: int = 256, correlation: float = 0.6
) -> Planted[ConceptProblem, ConceptTruth]:
    """Which of a few patterns stands somewhere in the image, read at the class token or over the map."""
    return _plant(model, seed, n_values, _Size.of(model, n_train), correlation)


def _plant(
    model: Model, seed: int, n_values: int, size: _Size, correlation: float, scene: Scene | None = None
) -> Planted[ConceptProblem, ConceptTruth]:
    plant_seed, data_seed, check_seed, own_seed = _seeds(seed, 4)
    evidence = plant_evidence(model, (n_values, n_values), seed=plant_seed, scene=scene or Scene())
    generator = torch.Generator().manual_seed(data_seed)
    sites = _undecided(model, evidence)
    truth = _truth(model, evidence, sites, n_values, size, generator)
    values = correlated_values(size.train, n_values, correlation, generator)
    problem = ConceptProblem(
        model=model,
        seed=own_seed,
        inputs=_show(evidence, values, generator),
        labels=values[:, 0].to(model.device),
        n_values=n_values,
        outputs=truth.outputs[0],
        sites=sites,
        position=evidence.position,
    )
    checks = certify_evidence(model, evidence, check_seed, n_inputs=size.certified, n_sites=1).checks
    checks += _certify(problem, truth, evidence, size, generator)
    problem.features(problem.sites[0])  # Part of the question, so no technique pays for it.
    return Planted(problem=problem, truth=truth, certificate=Certificate(checks=checks))


def _seeds(seed: int, n: int) -> list[int]:
    """Return independent seeds that follow from one."""
    generator = torch.Generator().manual_seed(seed)
    drawn: list[int] = torch.randint(2**31 - 1, (n,), generator=generator).tolist()
    return drawn


def correlated_values(n: int, n_values: int, correlation: float, generator: torch.Generator) -> Tensor:
    """Draw (n, 2) values: the first balanced, the second equal to it with probability ``correlation``.

    Otherwise the second is one of the other values, all alike.
    """
    first = torch.arange(n)[torch.randperm(n, generator=generator)] % n_values
    tied = torch.rand(n, generator=generator) < correlation
    shift = torch.randint(1, n_values, (n,), generator=generator)
    return torch.stack([first, torch.where(tied, first, (first + shift) % n_values)], dim=1)


def _show(evidence: Evidence, values: Tensor, generator: torch.Generator) -> Tensor:
    """Return inputs that show the patterns of the values (n, 2)."""
    starts = torch.tensor([evidence.members(0).start, evidence.members(1).start])
    return evidence.sample(values + starts, generator).inputs


def _undecided(model: Model, evidence: Evidence) -> tuple[str, ...]:
    """Return the sites from which the logits do not yet follow by the head's own weights.

    A transformer decides in threshold neurons and carries on with other directions, which are rows of
    its head; the last block of a CNN is read by the head too. Asking there would be trivial.
    """
    if evidence.position is None:
        return _thinned(model.sites[:-1])
    carrying = [site for site in model.sites if site in evidence.carriers]
    first = evidence.carriers[carrying[0]]
    last = [site for site in carrying if torch.equal(evidence.carriers[site], first)][-1]
    return _thinned(model.sites[: model.sites.index(last) + 1])


def _thinned(sites: tuple[str, ...]) -> tuple[str, ...]:
    """Return at most MOST_SITES of the sites, spread evenly, the last one always among them."""
    if len(sites) <= MOST_SITES:
        return sites
    return tuple(sites[round(i)] for i in torch.linspace(0, len(sites) - 1, MOST_SITES).tolist())


def _truth(
    model: Model,
    evidence: Evidence,
    sites: tuple[str, ...],
    n_values: int,
    size: _Size,
    generator: torch.Generator,
) -> ConceptTruth:
    every = torch.cartesian_prod(torch.arange(n_values), torch.arange(n_values))
    values = every.repeat(size.repeats, 1)
    inputs = _show(evidence, values, generator)
    base = torch.randint(len(values), (size.pairs,), generator=generator)
    differ = (values[:, None] != values[base]).all(2).T
    source = torch.multinomial(differ.float(), 1, generator=generator)[:, 0]
    recall = Recall(evidence.position)
    recall.remember(model, inputs, sites)
    return ConceptTruth(
        carriers=_spans(evidence, 0, sites),
        inputs=inputs,
        values=values,
        base=base,
        source=source,
        outputs=torch.stack([evidence.outputs[evidence.members(group)] for group in (0, 1)]),
        recall=recall,
    )


def _spans(evidence: Evidence, group: int, sites: tuple[str, ...]) -> dict[str, Tensor]:
    """Return an orthonormal basis of one group's carriers at each of the sites that carry it."""
    return {
        site: orthonormal(evidence.carriers[site][evidence.members(group)])
        for site in sites
        if site in evidence.carriers
    }


def _certify(
    problem: ConceptProblem,
    truth: ConceptTruth,
    evidence: Evidence,
    size: _Size,
    generator: torch.Generator,
) -> tuple[Check, ...]:
    """Check that the variable's own subspace, and nothing near it, passes the interchange."""

    def accuracy(site: str, basis: Tensor) -> float:
        took, kept = decisions(problem, truth, Subspace(site=site, basis=basis))
        return float((took & kept).double().mean())

    def check(name: str, value: float, *, high: bool) -> Check:
        return Check(
            name=name, value=value, relation=">=" if high else "<=", bound=INTERCHANGE if high else NOTHING
        )

    names = list(truth.carriers)
    spread = {
        names[round(i)] for i in torch.linspace(0, len(names) - 1, min(size.sites, len(names))).tolist()
    }
    checks = [
        check(f"own[{site}]", accuracy(site, basis), high=True)
        for site, basis in truth.carriers.items()
        if site in spread
    ]
    site = middle_site(truth.carriers)
    basis = truth.carriers[site]
    guesses = [orthonormal(torch.randn(basis.shape, generator=generator)) for _ in range(2)]
    guessed = sum(accuracy(site, guess) for guess in guesses) / len(guesses)
    checks.append(check(f"random[{site}]", guessed, high=False))
    other = _spans(evidence, 1, (site,))[site]
    checks.append(check(f"other_variable[{site}]", accuracy(site, other), high=False))
    checks += [
        check(f"uncarried[{site}]", accuracy(site, basis), high=False)
        for site, basis in _before(problem, truth.carriers).items()
    ]
    return tuple(checks)


def _before(problem: ConceptProblem, carriers: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the site in front of the first carrying one, with the carriers of that one.

    Empty where there is none, or one of another width: no subspace corresponds there.
    """
    first, basis = next(iter(carriers.items()))
    index = problem.sites.index(first) - 1
    if index < 0 or problem.model.width(problem.sites[index]) != basis.shape[1]:
        return {}
    return {problem.sites[index]: basis}
