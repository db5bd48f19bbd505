"""Learned interchange: pyvene's interventions, planted neurons, a known rotation, and numbers by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.decomposition import PCA

from interp_bench.techniques.concepts.alignment import das
from interp_bench.techniques.concepts.boundless import boundless_das, root_of_boundary
from interp_bench.techniques.concepts.interchange_training import divergence_of_others, starting_rows
from interp_bench.techniques.concepts.masked_autoencoder import (
    Latents,
    binary_mask_autoencoder,
    fit_latents,
    moved_at,
)
from interp_bench.techniques.concepts.masks import (
    annealed,
    binary_mask,
    binary_mask_pca,
    chosen,
    principal_components,
    root_of_mask,
)
from interp_bench.tracks.concepts import TRACK, Subspace, swap
from tests.concept_toy import toy

TESTS = Path(__file__).parents[1]
PYVENE = json.loads((TESTS / "reference" / "pyvene_interventions.json").read_text(encoding="utf-8"))
ALL: tuple[Callable[..., Subspace], ...] = (
    binary_mask,
    binary_mask_pca,
    binary_mask_autoencoder,
    boundless_das,
)


def activations() -> tuple[torch.Tensor, torch.Tensor]:
    """Return base and source of the reference, (3, 1, width)."""
    base, source = (torch.tensor(PYVENE[name])[:, None] for name in ("base", "source"))
    return base, source


def swapped(rows: torch.Tensor) -> torch.Tensor:
    base, source = activations()
    return swap(base, source, rows, None)[:, 0]


# ---------------------------------------------------------- equal to pyvene 0.1.8


def test_the_interchange_of_das_is_pyvenes() -> None:
    reference = PYVENE["low_rank"]
    found = swapped(torch.tensor(reference["rotation"]).T)
    torch.testing.assert_close(found, torch.tensor(reference["output"]))


def test_the_sigmoid_mask_is_pyvenes() -> None:
    reference = PYVENE["sigmoid_mask"]
    root = root_of_mask(torch.tensor(reference["logits"]), reference["temperature"])
    torch.testing.assert_close(swapped(root[:, None] * torch.eye(5)), torch.tensor(reference["output"]))


def test_the_boundary_of_boundless_das_is_pyvenes() -> None:
    reference = PYVENE["boundless"]
    boundary = torch.tensor(reference["boundary"] * 5)
    root = root_of_boundary(torch.arange(5.0), boundary, reference["temperature"])
    torch.testing.assert_close(root.square(), torch.tensor(reference["mask"]))
    rows = root[:, None] * torch.tensor(reference["rotation"]).T
    torch.testing.assert_close(swapped(rows), torch.tensor(reference["output"]))


# ------------------------------------------------------------------ found on toys


@pytest.mark.parametrize("find", ALL)
def test_answers_are_where_the_variable_is_read(find: Callable[..., Subspace]) -> None:
    problem, _ = toy(n_values=2, width=10, noise=0.3, seed=7, correlation=0.5)
    answer = find(problem, steps=15)
    assert answer.site == "after"
    assert not answer.basis.requires_grad


@pytest.mark.parametrize("isolation", [0.0, 1.0])
def test_a_mask_finds_the_planted_neurons(isolation: float) -> None:
    # Seed 0 leaves the axes unrotated: neurons 0 to 3 are the values, 4 to 7 those of the other variable.
    problem, truth = toy(n_values=4, width=12, noise=0.3)
    answer = binary_mask(problem, isolation=isolation, sites=1)
    torch.testing.assert_close(answer.basis, torch.eye(12)[:4])
    assert TRACK.score(problem, truth, answer)["interchange_accuracy"] == 1


def test_a_dearer_mask_is_never_larger() -> None:
    problem, _ = toy(n_values=4, width=24, noise=0.3, seed=7)
    sizes = [len(binary_mask(problem, sparsity=weight, sites=1).basis) for weight in (0.0, 3.0, 300.0)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1


@pytest.mark.parametrize("start", ["probe", "random"])
def test_boundless_das_finds_a_known_rotation_and_how_much_of_it_to_take(start: str) -> None:
    problem, truth = toy(n_values=4, width=24, noise=0.1, seed=1)
    answer = boundless_das(problem, steps=200, sites=1, start=start)
    carriers = truth.carriers["after"]
    differences = torch.linalg.qr((carriers[1:] - carriers[:1]).T).Q.T
    assert float(torch.linalg.svdvals(answer.basis @ differences.T)[-1]) >= 0.95
    assert len(answer.basis) < 24
    assert TRACK.score(problem, truth, answer)["interchange_accuracy"] == 1


def test_das_finds_a_known_rotation_from_a_random_start_as_in_its_paper() -> None:
    problem, truth = toy(n_values=4, width=24, noise=0.1, seed=1)
    answer = das(problem, steps=300, sites=1, learning_rate=0.2, start="random")
    carriers = truth.carriers["after"]
    differences = torch.linalg.qr((carriers[1:] - carriers[:1]).T).Q.T
    assert float(torch.linalg.svdvals(answer.basis @ differences.T)[-1]) >= 0.95
    with pytest.raises(ValueError, match="probe or random"):
        starting_rows(problem, answer.basis, 3, "middle")


def test_principal_components_are_scikit_learns_and_complete() -> None:
    problem, _ = toy(n_values=3, width=12, noise=0.4, seed=2)
    x = problem.features("after").double()
    rows = principal_components(problem, "after").double()
    reference = torch.from_numpy(PCA().fit(x.numpy()).components_[: len(rows)])
    torch.testing.assert_close((rows * reference).sum(1).abs(), torch.ones(len(rows), dtype=torch.float64))
    assert len(rows) == int((PCA().fit(x.numpy()).explained_variance_ > 1e-6).sum())


# ------------------------------------------------------------------------ by hand


def test_temperature_and_choice_by_hand() -> None:
    assert [annealed(p, 1.0, 0.01) for p in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.505, 0.01])
    assert chosen(torch.tensor([0.1, -0.1, 2.0, 0.0])).tolist() == [0, 2]
    assert chosen(torch.tensor([-0.3, -0.1, -2.0])).tolist() == [1]
    cold = root_of_mask(torch.tensor([-50.0, 50.0], requires_grad=True), 0.01)
    (gradient,) = torch.autograd.grad(cold.square().sum(), cold)
    assert bool(gradient.isfinite().all())


def test_divergence_of_the_other_logits_by_hand() -> None:
    # Logits 0 and 1 are left out. Before: (1/2, 1/2); after: (1/4, 3/4).
    before = torch.tensor([[9.0, 0.0, 1.0, 1.0]])
    after = torch.tensor([[0.0, 5.0, 0.0, math.log(3.0)]])
    wanted = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    found = divergence_of_others(before, after, torch.tensor([0, 1]))
    assert float(found) == pytest.approx(wanted, abs=1e-6)
    assert float(divergence_of_others(before, before + 3, torch.tensor([0, 1]))) == pytest.approx(0, abs=1e-6)


def identity_latents() -> Latents:
    """Return latents that are the positive parts of two coordinates in units of 2 about (1, 0)."""
    return Latents(
        pre_codes=lambda x: x,
        decoder=torch.eye(2),
        mean=torch.tensor([1.0, 0.0]),
        scale=torch.tensor(2.0),
        k=2,
    )


def test_latents_are_moved_and_errors_stay() -> None:
    latents = identity_latents()
    base, source = torch.tensor([[5.0, -4.0]]), torch.tensor([[3.0, 6.0]])
    torch.testing.assert_close(latents.codes(base), torch.tensor([[2.0, 0.0]]))
    torch.testing.assert_close(latents.codes(source), torch.tensor([[1.0, 3.0]]))
    # The second coordinate of the base is negative: no latent holds it, so it stays as an error.
    moved = latents.moved(base, source, torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(moved, torch.tensor([[5.0, 2.0]]))
    whole = moved_at(
        -1, latents, torch.stack([base, base], 1), torch.stack([source, source], 1), torch.ones(2)
    )
    torch.testing.assert_close(whole[0], torch.tensor([[5.0, -4.0], [3.0, 2.0]]))


def test_an_autoencoder_of_a_site_reconstructs_it() -> None:
    problem, _ = toy(n_values=3, width=12, noise=0.05, seed=2)
    latents = fit_latents(problem, "after", expansion=2.0, density=0.15, max_steps=300)
    x: Any = problem.features("after")
    moved = latents.moved(x, x.roll(1, 0), torch.ones(24))
    assert float((moved - x.roll(1, 0)).square().sum() / (x - x.roll(1, 0)).square().sum()) < 0.5
    assert int((latents.codes(x) > 0).sum(1).max()) <= 4
