"""A rotation of the residual basis leaves ceiling, floor and the scores of most techniques unchanged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from interp_bench.harness.discovery import load_file, load_installed
from interp_bench.harness.guards import borrowed_generators
from interp_bench.model.opening import open_model
from interp_bench.planting.codes import orthonormal
from interp_bench.registry import load_registry
from interp_bench.tracks.catalogue import CATALOGUE
from interp_bench.tracks.circuits import EdgeScores
from tests.rotation import rotate, turned

TASKS = Path(__file__).parents[2] / "tasks"
PACKAGE = TASKS.parent / "interp_bench"
CIRCUITS = (
    "eap", "eap_clean_corrupted", "eap_ig", "eap_gp", "gradient_x_activation", "gim", "relp", "atp_star",
    "hisp", "node_patching", "activation_patching", "path_patching", "weight_composition", "weight_norm",
    "attention_weights",
)  # fmt: skip


QUESTIONS = {
    "features": "bench_dictionary.py::dictionary",
    "concepts": "bench_concept.py::marker_concept",
    "attribution": "bench_evidence.py::token_evidence",
    "triggers": "bench_trigger.py::class_tokens",
}
FREE = {
    "features": ("pca", "k_means", "orthogonal_matching_pursuit"),
    "concepts": (
        "active_subspace", "mean_difference", "pca", "full_vector", "leace", "representation_reading",
        "logit_lens",
    ),
    "attribution": (
        "saliency", "input_x_gradient", "integrated_gradients", "occlusion", "embedding_norm",
        "gradient_shap", "kernel_shap", "lime", "rise", "feature_ablation", "deep_lift", "attn_lrp",
        "attention_rollout", "attention_x_gradient", "first_mlp", "rarest_token",
    ),
    "triggers": (
        "random_search", "greedy_search", "hotflip", "greedy_coordinate_gradient", "frequent_tokens",
        "gradient_guided_beam", "dataset_exemplars", "autoprompt",
    ),
    # The last seven need the runs of the others, but more of them; masks are learned in so many steps that
    # rounding grows.
    "circuits": (
        *CIRCUITS, "mean_patching", "zero_patching", "acdc", "eap_ig_activations", "subnetwork_probing",
        "edge_pruning", "ugs",
    ),
}  # fmt: skip
"""Techniques whose scores do not depend on the basis."""

BOUND = {
    # Neurons answers with coordinates, nmf wants none below zero. Adam takes steps coordinate by
    # coordinate. FastICA and dictionary learning start in the coordinates of eigenvectors, whose signs
    # follow from the basis; sparse PCA wants zeros among coordinates.
    "features": (
        "neurons",
        "nmf",
        "l1_autoencoder",
        "topk_autoencoder",
        "fast_ica",
        "archetypal_autoencoder",
        "batch_topk_autoencoder",
        "gated_autoencoder",
        "jumprelu_autoencoder",
        "matryoshka_autoencoder",
        "matching_pursuit_autoencoder",
        "transcoder",
        "dictionary_learning",
        "sparse_pca",
    ),
    # They divide each coordinate by its spread (lda within its shrinkage); das starts from the probe. A mask
    # over neurons is one over coordinates, and what else is trained takes Adam's steps.
    "concepts": (
        "logistic_probe",
        "lda",
        "das",
        "linear_svm",
        "ridge_probe",
        "nullspace_projection",
        "contrast_consistent_search",
        "boundless_das",
        "binary_mask",
        "binary_mask_pca",
        "binary_mask_autoencoder",
        "tuned_lens",
    ),
    # Its noise is as large as the range of the coordinates.
    "attribution": ("smooth_grad",),
    "triggers": (),
    # It measures what sources write by its l1 norm.
    "circuits": ("information_flow_routes",),
}
"""Techniques that depend on the basis by design."""

DRAWS = 24


def rotation_of(model: Any, seed: int) -> torch.Tensor:
    return orthonormal(model.d_model, model.d_model, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("track", FREE)
def test_every_technique_is_said_to_depend_on_the_basis_or_not(track: str) -> None:
    load_installed()
    spec = load_registry().get("native-rope-200k")
    suiting = {
        technique.name
        for technique in CATALOGUE.techniques.values()
        if technique.track.name == track
        and technique.origin.is_relative_to(PACKAGE)
        and technique.needs.unmet_by(spec.modality, spec.kind, spec.params) is None
        and not technique.floor
    }
    assert sorted(suiting) == sorted([*FREE[track], *BOUND[track]])


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("track", QUESTIONS)
def test_scores_do_not_hang_on_the_basis(track: str, seed: int) -> None:
    load_installed()
    file, _, name = QUESTIONS[track].partition("::")
    load_file(TASKS / track / file)
    model = open_model(load_registry().get("native-rope-200k"))
    task = CATALOGUE.tasks[f"{track}/{name}"]
    planted = task.function(model, seed)
    rotation = rotation_of(model, seed)
    inputs = planted.problem.inputs[:8]
    logits = model.logits(inputs)
    before = _scores(task.track, planted)
    rotate(model, rotation)
    torch.testing.assert_close(model.logits(inputs), logits, rtol=1e-3, atol=1e-2)
    after = _scores(task.track, turned(planted, rotation))
    # One of 32 pairs of a concept may stand at its threshold, where rounding decides.
    for row, scores in before.items():
        assert after[row] == pytest.approx(scores, abs=0.035), row
    assert after["ceiling"] == pytest.approx(before["ceiling"], abs=1e-3)
    one, other = _floor(task.track, planted, rotation, model)
    error = ((one.var() + other.var()) / DRAWS).sqrt()
    assert abs(float(one.mean() - other.mean())) <= 4 * float(error) + 1e-3


def _scores(track: Any, planted: Any) -> dict[str, dict[str, float]]:
    """Return the scores of the truth and of each technique that is free of the basis."""
    answers = {"ceiling": track.true_answer(planted.problem, planted.truth)}
    for name in FREE[track.name]:
        with borrowed_generators(planted.problem.seed):
            answers[name] = CATALOGUE.techniques[f"{track.name}/{name}"].function(planted.problem)
    return {name: track.score(planted.problem, planted.truth, answer) for name, answer in answers.items()}


def _floor(track: Any, planted: Any, rotation: torch.Tensor, model: Any) -> list[torch.Tensor]:
    """Return (DRAWS,) primary scores of guesses on the rotated model, and on the model turned back."""
    found = []
    for back in (False, True):
        if back:
            rotate(model, rotation.T)
        problem = planted if back else turned(planted, rotation)
        scores = []
        for seed in range(DRAWS):
            guess = CATALOGUE.floor_of(track.name).function(replace(problem.problem, seed=seed))
            scores.append(track.score(problem.problem, problem.truth, guess)[track.primary.name])
        found.append(torch.tensor(scores))
    return found


@pytest.mark.parametrize("seed", [0, 1])
def test_scores_of_circuits_do_not_hang_on_the_basis(seed: int) -> None:
    load_installed()
    load_file(TASKS / "circuits" / "bench_induction.py")
    model = open_model(load_registry().get("native-rope-200k"))
    task = CATALOGUE.tasks["circuits/induction"]
    planted = task.function(model, seed)
    rows = [CATALOGUE.techniques[f"circuits/{name}"] for name in CIRCUITS]

    def answers() -> list[torch.Tensor]:
        return [row.function(planted.problem.first(4)).scores.double() for row in rows]

    def graded(answer: torch.Tensor) -> dict[str, float]:
        # Rounding must not decide between edges whose scores are equal but for it.
        steps = (answer / answer.abs().max() * 1e3).round()
        return task.track.score(planted.problem, planted.truth, EdgeScores(scores=steps))

    before = answers()
    logits = model.logits(planted.problem.clean)
    rotate(model, rotation_of(model, seed))
    torch.testing.assert_close(model.logits(planted.problem.clean), logits, rtol=1e-3, atol=1e-2)
    for name, one, other in zip(CIRCUITS, before, answers(), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-2, atol=1e-3 * float(one.abs().max()), msg=name)
        assert graded(other) == pytest.approx(graded(one), abs=0.02), name
