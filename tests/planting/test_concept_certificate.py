"""The causal model and its certificate, on a network whose concept is known by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from interp_bench.planting.concepts.causal import CausalModel, Variable
from interp_bench.planting.concepts.certify import ConceptTrial, certify_concept
from interp_bench.planting.concepts.interchange import swap
from interp_bench.planting.concepts.journey import NearNegative
from tests.concept_toy import toy

AXES = torch.eye(8)  # 0, 1: values of the variable; 2, 3: of the other one; 4 to 7: noise
SITES = ("before", "after")
VARIABLES = tuple(
    Variable(name=name, outputs=outputs, carriers={"after": AXES[axes]})
    for name, outputs, axes in (
        ("v", torch.tensor([0, 1]), slice(0, 2)),
        ("w", torch.tensor([2, 3]), slice(2, 4)),
        ("u", None, slice(4, 6)),
    )
)


def show(values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return inputs of the toy network: one of 40 spellings of each pair of values, and the blank."""
    spelling = torch.randint(40, (len(values),), generator=generator)
    return torch.stack([values[:, 0] * 2 + values[:, 1] + 4 * spelling, torch.full_like(spelling, 160)], 1)


def trial(causal: CausalModel | None = None) -> ConceptTrial:
    problem, truth = toy(noise=0.5)
    problem.model.module.carriers = AXES[:4]
    generator = torch.Generator().manual_seed(3)
    return ConceptTrial(problem.model, causal or truth.causal, show, SITES, 2, 24, generator)


def values_of(checks: object) -> dict[str, float]:
    return {check.name: check.value for check in checks}  # type: ignore[attr-defined]


def test_the_causal_model_says_what_an_interchange_must_do() -> None:
    causal = CausalModel(variables=VARIABLES, position=-1)
    base, source = torch.tensor([[0, 1, 0], [1, 1, 1]]), torch.tensor([[1, 0, 1], [0, 0, 0]])
    assert causal.read == (0, 1)
    assert causal.expected(base, source).tolist() == [[0, 1], [1, 1]]
    assert causal.expected(base, source, (0,)).tolist() == [[1, 1], [0, 1]]
    assert causal.expected(base, source, (1, 2)).tolist() == [[0, 0], [1, 0]]


def test_verdicts_are_the_largest_logits_of_each_variable_at_the_last_position() -> None:
    causal = CausalModel(variables=VARIABLES, position=-1)
    logits = torch.tensor([[[9.0, 0, 9, 0], [0, 1, 5, 2]], [[0, 9, 0, 9], [3, 1, 0, 7]]])
    assert causal.verdicts(logits).tolist() == [[1, 0], [0, 1]]
    assert causal.verdicts(logits[:, -1]).tolist() == [[1, 0], [0, 1]]


def test_a_model_at_some_sites_has_carriers_nowhere_else() -> None:
    causal = CausalModel(variables=VARIABLES, position=-1)
    assert list(causal.at(["after"]).variables[0].carriers) == ["after"]
    assert [dict(v.carriers) for v in causal.at(["before"]).variables] == [{}] * 3


def test_each_row_can_have_a_subspace_of_its_own() -> None:
    base, source = torch.zeros(2, 2, 3), torch.ones(2, 2, 3)
    bases = torch.eye(3)[[0, 2]][:, None]
    assert swap(base, source, bases, -2)[:, 0].tolist() == [[1, 0, 0], [0, 0, 1]]
    assert float(swap(base, source, bases, -2)[:, 1].abs().sum()) == 0


def test_the_truth_passes_every_check() -> None:
    found = certify_concept(trial())
    values = values_of(found)
    assert all(check.passed for check in found), [str(check) for check in found]
    assert values["own[after]"] == values["rest_sufficient[after]"] == values["random_sets[after]"] == 1
    assert values["other_variable[after]"] == values["uncarried[before]"] == 0


def test_the_wrong_carriers_fail_what_they_must() -> None:
    truth = toy(noise=0.5)[1]
    v, w = truth.causal.variables
    swapped = replace(
        truth.causal, variables=(replace(v, carriers=w.carriers), replace(w, carriers=v.carriers))
    )
    failed = {c.name for c in certify_concept(trial(swapped)) if not c.passed}
    assert failed >= {"own[after]", "rest_sufficient[after]", "random_sets[after]", "other_variable[after]"}


@pytest.mark.parametrize(
    ("rows", "changed", "read"), [(slice(4, 6), 0, 0.5), (slice(2, 4), 1, 0.5), (slice(0, 2), 1, 1)]
)
def test_near_negatives_by_hand(rows: slice, changed: float, read: float) -> None:
    near = NearNegative(name="near", site="after", basis=AXES[rows], empty=True)
    values = values_of(certify_concept(trial(), [near]))
    assert values["near[after]"] == changed
    assert values["near_probe[after]"] == pytest.approx(read, abs=0.12)


@pytest.mark.parametrize("tie", [0.5, 0.9])
def test_a_decoy_reads_as_the_label_as_often_as_it_goes_with_it(tie: float) -> None:
    generator = torch.Generator().manual_seed(1)

    def training(n: int) -> tuple[torch.Tensor, torch.Tensor]:
        v = torch.arange(n) % 2
        w = torch.where(torch.rand(n, generator=generator) < tie, v, 1 - v)
        values = torch.stack([v, w], 1)
        return show(values, generator), values

    near = NearNegative(name="decoy", site="after", basis=AXES[2:4])
    values = values_of(certify_concept(trial(), [near], training=training, tie=tie))
    assert values["decoy_probe[after]"] == pytest.approx(tie, abs=0.1)
