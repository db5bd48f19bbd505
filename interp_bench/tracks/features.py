"""The features track: from unlabelled activations at a site, which directions are the features?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from interp_bench.errors import ContractError
from interp_bench.tracks import variance
from interp_bench.tracks.base import Metric, Problem, Track, require_finite, require_floating, require_shape
from interp_bench.tracks.catalogue import CATALOGUE

OVERCOMPLETE = 2
"""An answer may hold this many directions per planted feature; the floor guesses with as many."""

_SYNTH = "SynthSAEBench (decoderesearch/SAELens, synthetic evals)"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureProblem(Problem):
    """Unlabelled activations at one site, in which ``n_features`` directions were planted.

    Attributes:
        site: name of the site.
        inputs: the unlabelled data: tokens (batch, position) or pixels (batch, 3, height, width).
        rows: (n_samples,) int64, which flattened (input, position) pairs are samples. The first
            position of a language model is left out: it is an attention sink whose huge norm
            (Sun et al. 2024, "Massive activations") says nothing about features.
        n_features: number of planted features.
    """

    site: str
    inputs: Tensor
    rows: Tensor
    n_features: int
    _recorded: Tensor = field(repr=False, compare=False)

    def activations(self) -> Tensor:
        """Return the activations (n_samples, d_site) at the site, float32; a copy at every call."""
        return self._recorded.clone()

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return self._recorded.shape[0]

    @property
    def d_site(self) -> int:
        """Width of the site."""
        return self._recorded.shape[1]

    @property
    def max_directions(self) -> int:
        """The most directions that an answer may hold."""
        return OVERCOMPLETE * self.n_features


@dataclass(frozen=True, slots=True, kw_only=True)
class Dictionary:
    """The answer: directions, and how strongly each is present in each sample.

    Attributes:
        directions: (n, d_site), n up to ``problem.max_directions``; norm and sign do not matter.
        codes: (n_samples, n), signed or not; a feature fires where its code is above zero. Left
            out, the code is the projection of the centred activations on the unit direction.
    """

    directions: Tensor
    codes: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureTruth:
    """What was planted.

    Attributes:
        directions: (n_features, d_site), unit norm.
        codes: (n_samples, n_features): each feature adds ``code * direction`` to the site.
    """

    directions: Tensor
    codes: Tensor


def check(problem: FeatureProblem, answer: Dictionary) -> None:
    """Raise ContractError unless shapes fit the problem and all values are finite."""
    require_floating(answer.directions, "Dictionary.directions")
    require_shape(answer.directions, (None, problem.d_site), "Dictionary.directions")
    n = len(answer.directions)
    if not 1 <= n <= problem.max_directions:
        raise ContractError(
            f"Dictionary.directions holds {n} directions; this problem takes 1 to {problem.max_directions} "
            "(problem.max_directions)"
        )
    require_finite(answer.directions, "Dictionary.directions")
    if answer.codes is not None:
        require_floating(answer.codes, "Dictionary.codes")
        require_shape(answer.codes, (problem.n_samples, n), "Dictionary.codes")
        require_finite(answer.codes, "Dictionary.codes")


def cosines(directions: Tensor, truth: Tensor) -> Tensor:
    """Return cosines (n, n_features); a direction of norm zero has cosine 0 with everything."""
    norms = directions.norm(dim=1, keepdim=True)
    unit: Tensor = directions / norms.clamp(min=torch.finfo(directions.dtype).tiny)
    return unit @ truth.T


def match(similarity: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows and columns of the one-to-one matching of largest total similarity."""
    rows, columns = linear_sum_assignment(similarity.numpy(), maximize=True)
    return torch.as_tensor(rows), torch.as_tensor(columns)


def firing_f1(found: Tensor, true: Tensor) -> Tensor:
    """Return F1 (n,) of ``found > 0`` as a guess of ``true > 0``, row by row of (n, n_samples)."""
    fires, should = found > 0, true > 0
    both = (fires & should).sum(1).double()
    return 2 * both / (fires.sum(1) + should.sum(1)).clamp(min=1)


def grade(problem: FeatureProblem, truth: FeatureTruth, answer: Dictionary) -> Mapping[str, float]:
    """Grade an answer; see ``TRACK.metrics`` for the definitions."""
    samples = variance.centred(problem._recorded)
    directions, true = answer.directions.detach().cpu().double(), truth.directions.cpu().double()
    codes = None if answer.codes is None else answer.codes.detach().cpu()
    cosine = cosines(directions, true)
    rows, columns = match(cosine.abs())
    matched = cosine[rows, columns]
    signs = matched.sign()
    if codes is None:
        unit = directions[rows] / directions[rows].norm(dim=1, keepdim=True).clamp(min=1e-300)
        found = (unit * signs[:, None]) @ samples.values.T
    else:
        found = codes.T[rows] * signs.to(codes.dtype)[:, None]
    f1 = firing_f1(found, truth.codes.cpu().T[columns])
    nearest = cosine.abs().argmax(dim=1)
    return {
        "mcc": float(matched.abs().sum()) / len(true),
        "f1": float(f1.sum()) / len(true),
        "uniqueness": len(set(nearest.tolist())) / min(len(directions), len(true)),
        "r2": variance.within(samples, directions)
        if codes is None
        else variance.explained(samples, codes.double()),
    }


def true_answer(problem: FeatureProblem, truth: FeatureTruth) -> Dictionary:
    """Return the planted dictionary as an answer."""
    return Dictionary(directions=truth.directions, codes=truth.codes)


def remade(problem: FeatureProblem, generator: torch.Generator) -> FeatureProblem:
    """Return the problem with its activations recorded anew from its model as it now is."""
    values = problem.model.activations(problem.inputs, problem.site)
    return replace(problem, _recorded=values.flatten(0, 1)[problem.rows].float())


METRICS = (
    Metric(
        name="mcc",
        direction="higher",
        best=1.0,
        floor="random directions, as many as an answer may hold",
        cites=f"{_SYNTH}: mean |cos| over the Hungarian matching; here the sum over the matching divided "
        "by the number of planted features, because the host has features of its own",
    ),
    Metric(
        name="f1",
        direction="higher",
        best=1.0,
        floor="a code above zero half of the time gives about twice the firing rate",
        cites=f"{_SYNTH}: F1 of latent > 0 against feature > 0; here over the pairs of the matching and "
        "averaged over planted features, where the peer averages over latents by their nearest feature",
    ),
    Metric(
        name="uniqueness",
        direction="higher",
        best=1.0,
        floor="random directions share nearest features by chance",
        cites=f"{_SYNTH}: distinct nearest features per latent; here per min(latents, features), so that "
        "larger dictionaries can reach 1",
    ),
    Metric(
        name="r2",
        direction="higher",
        best=1.0,
        floor="random codes explain their number divided by the number of samples",
        cites=f"{_SYNTH}: explained variance; here of the best linear read-out of the codes, or without "
        "codes of the projection on the span of the directions",
    ),
)

TRACK: Track[FeatureProblem, FeatureTruth, Dictionary] = Track(
    name="features",
    question="Unlabelled activations at a site: which directions are the features?",
    problem_type=FeatureProblem,
    truth_type=FeatureTruth,
    answer_type=Dictionary,
    metrics=METRICS,
    check=check,
    grade=grade,
    true_answer=true_answer,
    # There are no labels to shuffle.
    controls={"unplanted": remade, "rerandomised": remade},
)
CATALOGUE.add_track(TRACK)
