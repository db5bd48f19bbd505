"""Interchange, grading and checking of subspaces, against values worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from interp_bench.errors import ContractError
from interp_bench.model.opening import open_model
from interp_bench.registry import load_registry
from interp_bench.tracks.concepts import TRACK, Subspace, orthonormal, overlap, run_from, swap
from interp_bench.tracks.recall import Recall
from tests.concept_toy import toy

AXES = torch.eye(8)  # 0, 1: values of the variable; 2, 3: of the other one


def scored(site: str, basis: torch.Tensor) -> dict[str, float]:
    problem, truth = toy()
    return TRACK.score(problem, truth, Subspace(site=site, basis=basis))


def test_truth_scores_one_on_everything() -> None:
    problem, truth = toy()
    assert set(TRACK.score(problem, truth, TRACK.true_answer(problem, truth)).values()) == {1.0}


@pytest.mark.parametrize(
    ("basis", "accuracy", "cause", "isolate", "angles"),
    [
        (AXES[:2], 1, 1, 1, 1),
        (torch.tensor([[1.0, -1, 0, 0, 0, 0, 0, 0]]) / 2**0.5, 1, 1, 1, 0.5),
        (AXES[2:4], 0, 0, 0, 0),
        (AXES, 0, 1, 0, 0.25),
        (AXES[4:6], 0, 0, 1, 0),
        # Both differences in one direction: it moves both variables when they change alike (half of the
        # pairs), else neither.
        (torch.tensor([[1.0, -1, 1, -1, 0, 0, 0, 0]]) / 2, 0, 0.5, 0.5, 0.25),
    ],
)
def test_hand_worked_scores(
    basis: torch.Tensor, accuracy: float, cause: float, isolate: float, angles: float
) -> None:
    scores = scored("after", basis)
    assert scores == pytest.approx(
        {
            "interchange_accuracy": accuracy,
            "cause": cause,
            "isolate": isolate,
            "overlap": angles,
            "site_hit": 1,
        },
        abs=1e-6,
    )


def test_a_site_before_the_variable_arrives_scores_nothing() -> None:
    scores = scored("before", AXES[:2])
    assert scores == {"interchange_accuracy": 0, "cause": 0, "isolate": 1, "overlap": 0, "site_hit": 0}


def test_scores_do_not_depend_on_the_basis_of_the_subspace() -> None:
    turn = torch.linalg.qr(torch.randn(2, 2, generator=torch.Generator().manual_seed(0))).Q
    basis = orthonormal(torch.tensor([[1.0, -0.7, 0.2, 0, 0, 0, 0, 0], [0, 0.1, 0.9, -0.4, 0, 0, 0, 0]]))
    assert scored("after", turn @ basis) == pytest.approx(scored("after", basis), abs=1e-6)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Subspace(site="aftr", basis=AXES[:2]), "did you mean 'after'"),
        (Subspace(site="after", basis=2 * AXES[:2]), "not orthonormal"),
        (Subspace(site="after", basis=AXES[:2, :7]), r"shape \(2, 7\); expected \(any, 8\)"),
        (Subspace(site="after", basis=AXES[:0]), "at least 1"),
        (Subspace(site="after", basis=AXES[:1] * torch.nan), "not finite"),
        (AXES, "takes Subspace"),
        (Subspace(site="after", basis=AXES[:2].long()), "basis has dtype torch.int64; give floating-point"),
        (Subspace(site="after", basis=AXES[:2] > 0), "basis has dtype torch.bool"),
        (Subspace(site="after", basis=AXES[:2].cdouble()), "basis has dtype torch.complex128"),
        (Subspace(site="after", basis=None), "basis is a NoneType; give a torch.Tensor"),
        (Subspace(site=["after"], basis=AXES[:2]), "site is a list; give the name of one of problem.sites"),
    ],
)
def test_a_broken_answer_is_refused_in_one_line(answer: object, message: str) -> None:
    problem, truth = toy()
    with pytest.raises(ContractError, match=message):
        TRACK.score(problem, truth, answer)


def test_swap_takes_only_the_subspace_and_only_the_position() -> None:
    base, source = torch.zeros(1, 2, 3), torch.ones(1, 2, 3)
    row = torch.tensor([[0.0, 1.0, 0.0]])
    assert swap(base, source, row, -1).tolist() == [[[0, 0, 0], [0, 1, 0]]]
    assert swap(base, source, row, None).tolist() == [[[0, 1, 0], [0, 1, 0]]]


def test_interchange_is_differentiable_in_the_basis() -> None:
    problem, _ = toy()
    basis = torch.randn(2, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    logits = problem.interchange(problem.pairs(8), Subspace(site="after", basis=basis))
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), [basis])
    assert logits.shape == (8, 2)
    assert float(gradient.abs().sum()) > 0


def test_pairs_differ_in_the_label_and_repeat_themselves() -> None:
    problem, _ = toy(n_values=3)
    pairs = problem.pairs(50)
    assert bool((pairs.base_labels != pairs.source_labels).all())
    assert torch.equal(pairs.base_labels, problem.labels[pairs.base])
    assert torch.equal(pairs.source, problem.pairs(50).source)
    assert int(problem.pairs(50, n_inputs=20).source.max()) < 20


def test_features_are_activations_at_the_position_and_cannot_be_spoilt() -> None:
    problem, _ = toy(noise=0.5, seed=3)
    features = problem.features("after")
    assert torch.equal(features, problem.activations("after")[:, -1])
    features.zero_()
    assert float(problem.features("after").abs().sum()) > 0
    with pytest.raises(ContractError, match="did you mean 'after'"):
        problem.features("afer")


def test_another_seed_shares_what_is_remembered() -> None:
    problem, _ = toy()
    problem.features("after")
    forwards = problem.model.meter.forwards
    replace(problem, seed=99).features("before")
    assert problem.model.meter.forwards == forwards


def test_recall_forgets_what_does_not_fit() -> None:
    problem, _ = toy()
    recall = Recall(-1, limit=0)
    index = torch.tensor([3, 1, 3])
    recall.remember(problem.model, problem.inputs, problem.sites)
    values = recall.whole(problem.model, problem.inputs, "after", index)
    assert torch.equal(values, problem.activations("after")[index])
    forwards = problem.model.meter.forwards
    recall.whole(problem.model, problem.inputs, "after", index)
    assert problem.model.meter.forwards == forwards + 1


@pytest.mark.parametrize("name", ["native-30k", "vit-slim-200k", "convnext-slim-20k"])
def test_running_from_a_site_equals_running_the_whole_network(name: str) -> None:
    model = open_model(load_registry().get(name))
    generator = torch.Generator().manual_seed(0)
    if model.modality == "lm":
        inputs = torch.randint(100, (3, 7), generator=generator)
    else:
        inputs = torch.randn(3, 3, model.image_size, model.image_size, generator=generator)
    site = model.sites[1]
    with torch.no_grad():
        logits = run_from(model, inputs[[2, 1, 0]], site, model.activations(inputs, site))
        torch.testing.assert_close(logits, model(inputs), rtol=1e-4, atol=1e-4)


def test_orthonormal_drops_what_is_dependent() -> None:
    rows = torch.tensor([[3.0, 0, 0], [0, 1, 0], [3, 1, 0]])
    basis = orthonormal(rows)
    assert basis.shape == (2, 3)
    torch.testing.assert_close(basis.abs().sum(0)[2], torch.tensor(0.0))
    assert orthonormal(rows, rank=1).shape == (1, 3)
    with pytest.raises(ContractError, match="span no subspace"):
        orthonormal(torch.zeros(2, 3))


def test_overlap_of_lines_at_sixty_degrees() -> None:
    line = torch.tensor([[0.5, 3**0.5 / 2, 0]])
    assert overlap(line, torch.eye(3)[:1]) == pytest.approx(0.25)
    assert overlap(torch.eye(3), torch.eye(3)[:1]) == pytest.approx(1 / 3)
    assert overlap(line, None) == 0
