"""From planted variables to a problem of the concepts track: what all concept tasks have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from interp_bench.model.handle import Model
from interp_bench.planting.certificate import Certificate
from interp_bench.planting.concepts.causal import CausalModel
from interp_bench.planting.concepts.certify import ConceptBounds, ConceptTrial, certify_concept
from interp_bench.planting.concepts.journey import NearNegative, Values
from interp_bench.planting.evidence.base import Evidence
from interp_bench.planting.evidence.certify import certify_evidence
from interp_bench.tracks.base import Planted
from interp_bench.tracks.concepts import ConceptProblem, ConceptTruth
from interp_bench.tracks.recall import Recall

MOST_SITES = 10
LARGE = 50_000_000
"""Number of parameters from which on half as much is shown and measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What was planted, and how it is asked.

    Attributes:
        causal: the causal model of the variables.
        evidence: the mechanism from the side of the input.
        show: draws inputs of given values (n, n_variables).
        sites: sites that an answer may name, in order of depth.
        near: subspaces that must not pass for the labelled variable.
        n_values: values of each variable.
        n_train: training inputs.
        ties: for each further variable, how often it goes with the labelled one in the training data.
    """

    causal: CausalModel
    evidence: Evidence
    show: Values
    sites: tuple[str, ...]
    near: tuple[NearNegative, ...] = ()
    n_values: int
    n_train: int
    ties: tuple[float, ...]


def planted_concept(
    model: Model, question: Question, *, seeds: Sequence[int]
) -> Planted[ConceptProblem, ConceptTruth]:
    """Certify planted variables on inputs of their own, and ask for the labelled one on others.

    Args:
        model: the planted model.
        question: what was planted.
        seeds: three seeds: of the inputs, of the certificate, of techniques.
    """
    data_seed, check_seed, own_seed = seeds
    generator = torch.Generator().manual_seed(data_seed)
    large = model.spec.params >= LARGE
    truth = _truth(model, question, large, generator)
    values = tied_values(question.n_train // (1 + large), question.n_values, question.ties, generator)
    outputs = question.causal.variables[0].outputs
    assert outputs is not None
    problem = ConceptProblem(
        model=model,
        seed=own_seed,
        inputs=question.show(values, generator),
        labels=values[:, 0].to(model.device),
        n_values=question.n_values,
        outputs=outputs,
        sites=question.sites,
        position=question.causal.position,
    )
    checks = _checks(model, question, large, check_seed, generator)
    problem.features(problem.sites[0])  # Part of the question, so no technique pays for it.
    return Planted(problem=problem, truth=truth, certificate=checks)


def _checks(
    model: Model, question: Question, large: bool, check_seed: int, generator: torch.Generator
) -> Certificate:
    n = 16 if large else 32
    bounds = ConceptBounds(n_sites=2, n_rows=1, n_probed=48) if large else ConceptBounds()
    seen = certify_evidence(model, question.evidence, check_seed, n_inputs=n, n_sites=1)
    trial = ConceptTrial(
        model, question.causal, question.show, question.sites, question.n_values, n, generator
    )

    def training(count: int) -> tuple[Tensor, Tensor]:
        values = tied_values(count, question.n_values, question.ties, generator)
        return question.show(values, generator), values

    checks = certify_concept(trial, question.near, bounds, training=training, tie=question.ties[-1])
    return Certificate(checks=(*seen.checks, *checks))


def _truth(model: Model, question: Question, large: bool, generator: torch.Generator) -> ConceptTruth:
    n_variables = len(question.causal.variables)
    every = torch.cartesian_prod(*[torch.arange(question.n_values)] * n_variables)
    repeats = 1 if n_variables > 2 else 3 - large
    values = every.repeat(repeats, 1)
    inputs = question.show(values, generator)
    base = torch.randint(len(values), (16 if large else 32,), generator=generator)
    differ = (values[:, None] != values[base]).all(2).T
    source = torch.multinomial(differ.float(), 1, generator=generator)[:, 0]
    recall = Recall(question.causal.position)
    recall.remember(model, inputs, question.sites)
    return ConceptTruth(
        causal=question.causal, inputs=inputs, values=values, base=base, source=source, recall=recall
    )


def independent_seeds(seed: int, n: int) -> list[int]:
    """Return independent seeds that follow from one."""
    generator = torch.Generator().manual_seed(seed)
    drawn: list[int] = torch.randint(2**31 - 1, (n,), generator=generator).tolist()
    return drawn


def tied_values(n: int, n_values: int, ties: Sequence[float], generator: torch.Generator) -> Tensor:
    """Draw (n, 1 + n_ties) values: the first balanced, each other tied to it with its probability.

    Otherwise it is one of the other values, all alike.
    """
    first = torch.arange(n)[torch.randperm(n, generator=generator)] % n_values
    columns = [first]
    for tie in ties:
        tied = torch.rand(n, generator=generator) < tie
        shift = torch.randint(1, n_values, (n,), generator=generator)
        columns.append(torch.where(tied, first, (first + shift) % n_values))
    return torch.stack(columns, dim=1)


def thinned(sites: Sequence[str], always: Sequence[str] = ()) -> tuple[str, ...]:
    """Return at most MOST_SITES of the sites, spread evenly, the last one and ``always`` among them."""
    if len(sites) <= MOST_SITES:
        return tuple(sites)
    room = max(1, MOST_SITES - len(always))
    even = {sites[round(i)] for i in torch.linspace(0, len(sites) - 1, room).tolist()} | {sites[-1]}
    return tuple(site for site in sites if site in even or site in always)
