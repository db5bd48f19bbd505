"""Attribution: which parts of the input decided this output? Graded against the planted evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from interp_bench.tracks.base import (
    Metric,
    Problem,
    Track,
    other_outputs,
    require_finite,
    require_floating,
    require_shape,
    unchanged,
)
from interp_bench.tracks.catalogue import CATALOGUE
from interp_bench.tracks.ranking import aurocs, average_precisions


@dataclass(frozen=True, slots=True, kw_only=True)
class Saliency:
    """The answer: how much each place of each input mattered.

    Attributes:
        values: (n, position) for tokens, (n, height, width) for pixels; the larger, the more it
            spoke for the output. Places are ranked by the value as given: a technique that means
            magnitudes gives magnitudes.
    """

    values: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributionProblem(Problem):
    """Inputs, each with one logit to explain.

    Attributes:
        inputs: tokens (n, position) or pixels (n, 3, height, width).
        outputs: (n,) index of the logit to explain: of the last position of an LM, or of the classes.
        reference: an uninformative input beside each of ``inputs``, of the same shape: black
            images, token sequences without evidence.
    """

    inputs: Tensor
    outputs: Tensor
    reference: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the wanted values: (n, position) or (n, height, width)."""
        n, *rest = self.inputs.shape
        return (n, *rest[-2:]) if self.model.modality == "image" else (n, *rest)

    def logit(self, inputs: Tensor, outputs: Tensor | None = None) -> Tensor:
        """Return the logit to explain, (m,), differentiable where inputs are pixels.

        Args:
            inputs: m inputs.
            outputs: (m,) index of the logit; ``self.outputs`` when None.
        """
        return self._pick(self.model(inputs), outputs)

    def features(self) -> Tensor:
        """Return what gradients can be taken of: pixels, or token embeddings (n, position, d_model)."""
        return self._features(self.inputs)

    def reference_features(self) -> Tensor:
        """Return the features of the reference inputs."""
        return self._features(self.reference)

    def feature_logit(self, features: Tensor, outputs: Tensor | None = None) -> Tensor:
        """Return the logit to explain, (m,), as a differentiable function of features."""
        if self.model.modality == "image":
            return self.logit(features, outputs)
        return self._pick(self.model.from_embeddings(features), outputs)

    @property
    def feature_axis(self) -> int:
        """The axis of features that a place of the answer has no share in: colours, or width."""
        return 1 if self.model.modality == "image" else -1

    def _features(self, inputs: Tensor) -> Tensor:
        return inputs.clone() if self.model.modality == "image" else self.model.embed(inputs).clone()

    def _pick(self, logits: Tensor, outputs: Tensor | None) -> Tensor:
        final = logits[:, -1] if logits.ndim == 3 else logits
        index = self.outputs if outputs is None else outputs
        return final.gather(1, index.to(final.device)[:, None])[:, 0]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributionTruth:
    """The hidden key.

    Attributes:
        masks: (n, position) or (n, height, width) bool: where the planted evidence stands.
    """

    masks: Tensor


def pointing_game(values: Tensor, masks: Tensor) -> Tensor:
    """Return (n,), whether the largest value lies on evidence; among equal ones, the share that does."""
    largest = values == values.max(dim=1, keepdim=True).values
    return (largest & masks).sum(1).double() / largest.sum(1)


def relevance_mass(values: Tensor, masks: Tensor) -> Tensor:
    """Return (n,), the share of all positive value that lies on evidence; 0 where none is positive."""
    positive = values.clamp_min(0)
    total = positive.sum(1)
    return torch.where(total > 0, (positive * masks).sum(1) / total, 0.0)


def _check(problem: AttributionProblem, answer: Saliency) -> None:
    require_floating(answer.values, "saliency")
    require_shape(answer.values, problem.shape, "saliency")
    require_finite(answer.values, "saliency")


def _grade(problem: AttributionProblem, truth: AttributionTruth, answer: Saliency) -> Mapping[str, float]:
    values = answer.values.detach().double().cpu().flatten(1)
    masks = truth.masks.cpu().flatten(1)
    return {
        "average_precision": float(average_precisions(values.numpy(), masks.numpy()).mean()),
        "pointing_game": float(pointing_game(values, masks).mean()),
        "relevance_mass": float(relevance_mass(values, masks).mean()),
        "auroc": float(aurocs(values.numpy(), masks.numpy()).mean()),
    }


def _true_answer(problem: AttributionProblem, truth: AttributionTruth) -> Saliency:
    return Saliency(values=truth.masks.to(torch.float32))


def shuffled(problem: AttributionProblem, generator: torch.Generator) -> AttributionProblem:
    """Return the problem asking, for each input, for the output of another one.

    Where all inputs have the same output, another logit is drawn.
    """
    known = problem.outputs.unique()
    if len(known) == 1:
        other = other_outputs(problem, known, 1, generator).expand_as(problem.outputs)
        return replace(problem, outputs=other.clone())
    own = (problem.outputs[:, None] == known).int().argmax(1).cpu()
    shift = torch.randint(1, len(known), own.shape, generator=generator)
    return replace(problem, outputs=known[((own + shift) % len(known)).to(known.device)])


TRACK: Track[AttributionProblem, AttributionTruth, Saliency] = Track(
    name="attribution",
    question="Which parts of the input decided this output?",
    problem_type=AttributionProblem,
    truth_type=AttributionTruth,
    answer_type=Saliency,
    metrics=(
        Metric(
            name="average_precision",
            direction="higher",
            best=1.0,
            floor="the base rate: evidence as a share of all places, about 0.01 to 0.02 of the pixels "
            "and 0.05 of the tokens (a little more on short inputs)",
            cites="Saito & Rehmsmeier 2015; scikit-learn average_precision_score",
        ),
        Metric(
            name="pointing_game",
            direction="higher",
            best=1.0,
            floor="the base rate: evidence as a share of all places",
            cites="Zhang et al. 2018, Top-down neural attention by excitation backprop",
        ),
        Metric(
            name="relevance_mass",
            direction="higher",
            best=1.0,
            floor="the base rate: evidence as a share of all places",
            cites="Arras et al. 2022, CLEVR-XAI",
        ),
        Metric(name="auroc", direction="higher", best=1.0, floor="0.5", cites="Hanley & McNeil 1982"),
    ),
    check=_check,
    grade=_grade,
    true_answer=_true_answer,
    controls={"unplanted": unchanged, "rerandomised": unchanged, "shuffled": shuffled},
)
CATALOGUE.add_track(TRACK)
