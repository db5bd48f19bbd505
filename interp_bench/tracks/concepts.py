"""Concepts: which subspace at which site carries a labelled variable? Graded by interchange."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from interp_bench.errors import ContractError, near_name
from interp_bench.planting.concepts.causal import CausalModel
from interp_bench.planting.concepts.interchange import run_from as run_from
from interp_bench.planting.concepts.interchange import swap as swap
from interp_bench.tracks.base import (
    Metric,
    Problem,
    Track,
    other_outputs,
    require_finite,
    require_floating,
    require_shape,
)
from interp_bench.tracks.catalogue import CATALOGUE
from interp_bench.tracks.recall import Recall

ORTHONORMAL_TOLERANCE = 1e-3
_BATCH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Subspace:
    """The answer: where the variable lives, and in which directions.

    Attributes:
        site: one of the problem's sites.
        basis: (k, width) orthonormal rows. Any k up to the width is allowed: what a subspace holds
            beyond the variable is dragged along by the interchange and costs isolation.
    """

    site: str
    basis: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Counterfactual pairs of training inputs in which the variable differs.

    Attributes:
        base, source: (n,) indices into the problem's inputs.
        base_labels, source_labels: (n,) values of the variable.
    """

    base: Tensor
    source: Tensor
    base_labels: Tensor
    source_labels: Tensor

    def take(self, index: Tensor) -> Pairs:
        """Return the pairs ``index``."""
        return Pairs(
            base=self.base[index],
            source=self.source[index],
            base_labels=self.base_labels[index],
            source_labels=self.source_labels[index],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConceptProblem(Problem):
    """Labelled inputs; find the site and the subspace whose content decides the model's output.

    Attributes:
        inputs: tokens (n, position) or pixels (n, 3, height, width).
        labels: (n,) values of the variable, 0 to ``n_values - 1``.
        n_values: number of values.
        outputs: (n_values,) index of the logit that each value raises.
        sites: sites that an answer may name, in order of depth.
        position: the position that is interchanged: -1 (last token), 0 (class token), or None for
            all positions (the map of a CNN).
    """

    inputs: Tensor
    labels: Tensor
    n_values: int
    outputs: Tensor
    sites: tuple[str, ...]
    position: int | None
    _recall: Recall | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Give the problem a memory of its own."""
        if self._recall is None:
            object.__setattr__(self, "_recall", Recall(self.position))

    def features(self, site: str) -> Tensor:
        """Return float32 (n, width) at a site: at the position, or the mean over positions of a CNN.

        The mean is linear, so directions found in it are directions of every position.

        Raises:
            ContractError: the site is not among ``sites``.
        """
        assert self._recall is not None
        return self._recall.pooled(self.model, self.inputs, self.sites, self._known(site))

    def activations(self, site: str, index: Tensor | None = None) -> Tensor:
        """Return activations (n, position, width) of all inputs, or of the inputs ``index``.

        Raises:
            ContractError: the site is not among ``sites``.
        """
        assert self._recall is not None
        rows = torch.arange(len(self.inputs)) if index is None else index
        return self._recall.whole(self.model, self.inputs, self._known(site), rows)

    def behaviour(self, logits: Tensor) -> Tensor:
        """Return (n, n_values) logits of the values: of the last position in an LM."""
        return read_logits(logits, self.outputs)

    def pairs(self, n: int = 256, *, n_inputs: int | None = None) -> Pairs:
        """Return ``n`` pairs of training inputs with different labels, the same at every call.

        They follow the training distribution: whatever is correlated with the variable there is
        correlated with it here.

        Args:
            n: number of pairs.
            n_inputs: draw from the first so many inputs only, which saves forward passes.
        """
        generator = self.generator()
        pool_size = min(n_inputs or len(self.labels), len(self.labels))
        base = torch.randint(pool_size, (n,), generator=generator)
        differs = self.labels[:pool_size, None] != self.labels[base]
        if not bool(differs.any(0).all()):
            raise ContractError(f"the first {pool_size} inputs hold too few labels to pair; take more inputs")
        source = torch.multinomial(differs.T.float(), 1, generator=generator)[:, 0]
        return Pairs(
            base=base, source=source, base_labels=self.labels[base], source_labels=self.labels[source]
        )

    def interchange(self, pairs: Pairs, subspace: Subspace) -> Tensor:
        """Return (n, n_values) logits of the bases with the subspace taken from the sources.

        The activation becomes ``h_b + P (h_s - h_b)`` with ``P = basis.T @ basis``; differentiable
        in the basis. Only the network behind the site is run.
        """
        base = self.activations(subspace.site, pairs.base)
        source = self.activations(subspace.site, pairs.source)
        swapped = swap(base, source, subspace.basis, self.position)
        return self.behaviour(run_from(self.model, self.inputs, subspace.site, swapped))

    def _known(self, site: str) -> str:
        if site not in self.sites:
            raise ContractError(f"site {site!r} is not a site of this problem{near_name(site, self.sites)}")
        return site


@dataclass(frozen=True, slots=True, kw_only=True)
class ConceptTruth:
    """The key: a causal model of the variables, and held-out pairs.

    Attributes:
        causal: which variables there are, the one of interest first, where each is carried, and what it
            raises; interchange is graded by what this model expects.
        inputs: held-out inputs, in which the variables are independent.
        values: (n_inputs, n_variables) values of the variables.
        base, source: (n_pairs,) indices into ``inputs``; every variable differs within each pair.
        recall: remembers activations of the held-out inputs.
    """

    causal: CausalModel
    inputs: Tensor
    values: Tensor
    base: Tensor
    source: Tensor
    recall: Recall

    @property
    def carriers(self) -> Mapping[str, Tensor]:
        """Site -> (r, width) orthonormal rows of the variable of interest, in order of depth."""
        return self.causal.variables[0].carriers


def read_logits(logits: Tensor, outputs: Tensor) -> Tensor:
    """Return logits at indices ``outputs``, of the last position where there are positions."""
    final = logits[:, -1] if logits.ndim == 3 else logits
    return final[:, outputs.to(final.device)]


def orthonormal(directions: Tensor, rank: int | None = None) -> Tensor:
    """Return orthonormal rows (k, width) that span the rows of ``directions``, the strongest first.

    Args:
        directions: (m, width), not all zero.
        rank: keep at most so many; directions below 1e-6 of the strongest are always dropped.

    Raises:
        ContractError: all directions are zero or not finite.
    """
    require_finite(directions, "the directions")
    _, strength, rows = torch.linalg.svd(directions.double(), full_matrices=False)
    keep = int((strength > 1e-6 * strength[0]).sum()) if float(strength[0]) > 0 else 0
    if keep == 0:
        raise ContractError("all directions are zero: they span no subspace")
    kept: Tensor = rows[: min(keep, rank or keep)].float()
    return kept


def decisions(problem: ConceptProblem, truth: ConceptTruth, subspace: Subspace) -> tuple[Tensor, Tensor]:
    """Return (n_pairs,) bool: whether each held-out pair took the source's variable, and kept the others."""
    both = torch.cat([truth.base, truth.source])
    whole = truth.recall.whole(problem.model, truth.inputs, subspace.site, both)
    base, source = whole.chunk(2)
    found = []
    with torch.no_grad():
        basis = subspace.basis.detach()
        for b, s in zip(torch.split(base, _BATCH), torch.split(source, _BATCH), strict=True):
            swapped = swap(b, s, basis, problem.position)
            found.append(truth.causal.verdicts(run_from(problem.model, truth.inputs, subspace.site, swapped)))
    expected = truth.causal.expected(truth.values[truth.base], truth.values[truth.source], (0,))
    agreed = torch.cat(found) == expected
    return agreed[:, 0], agreed[:, 1:].all(1)


def overlap(basis: Tensor, carriers: Tensor | None) -> float:
    """Return the squared cosines of the principal angles, summed and divided by the larger rank.

    1 only for the same subspace, 0 for orthogonal ones and where nothing is carried; dividing by the
    larger rank keeps the whole space from scoring 1.
    """
    if carriers is None:
        return 0.0
    cosines = torch.linalg.svdvals(basis.detach().double().cpu() @ carriers.double().cpu().T)
    return float(cosines.clamp(max=1).square().sum()) / max(len(basis), len(carriers))


def _check(problem: ConceptProblem, answer: Subspace) -> None:
    if not isinstance(answer.site, str):
        raise ContractError(f"site is a {type(answer.site).__name__}; give the name of one of problem.sites")
    if answer.site not in problem.sites:
        close = near_name(answer.site, problem.sites)
        raise ContractError(f"site {answer.site!r} is not a site of this problem{close}")
    width = problem.model.width(answer.site)
    require_floating(answer.basis, "basis")
    require_shape(answer.basis, (None, width), "basis")
    require_finite(answer.basis, "basis")
    if not 1 <= len(answer.basis) <= width:
        raise ContractError(f"basis has {len(answer.basis)} rows; give at least 1 and at most {width}")
    rows = answer.basis.detach().double()
    error = float((rows @ rows.T - torch.eye(len(rows), dtype=torch.float64, device=rows.device)).abs().max())
    if error > ORTHONORMAL_TOLERANCE:
        raise ContractError(
            f"rows of basis are not orthonormal (off by {error:.2g}); use torch.linalg.qr(basis.T).Q.T"
        )


def _grade(problem: ConceptProblem, truth: ConceptTruth, answer: Subspace) -> Mapping[str, float]:
    took, kept = decisions(problem, truth, answer)
    return {
        "interchange_accuracy": float((took & kept).double().mean()),
        "cause": float(took.double().mean()),
        "isolate": float(kept.double().mean()),
        "overlap": overlap(answer.basis, truth.carriers.get(answer.site)),
        "site_hit": float(answer.site in truth.carriers),
    }


def middle_site(sites: Mapping[str, Tensor]) -> str:
    """Return the middle one of the sites, the earlier of two."""
    names = list(sites)
    return names[(len(names) - 1) // 2]


def _true_answer(problem: ConceptProblem, truth: ConceptTruth) -> Subspace:
    site = middle_site(truth.carriers)
    return Subspace(site=site, basis=truth.carriers[site])


def remade(problem: ConceptProblem, generator: torch.Generator) -> ConceptProblem:
    """Return the problem with an empty memory, filled from its model as it now is."""
    fresh = replace(problem, _recall=None)
    fresh.features(fresh.sites[0])
    return fresh


def shuffled(problem: ConceptProblem, generator: torch.Generator) -> ConceptProblem:
    """Return the problem with labels permuted across inputs, and logits that no value raises.

    The logits are part of the label: they alone would lead to what decides them.
    """
    order = torch.randperm(len(problem.labels), generator=generator)
    return replace(
        problem,
        labels=problem.labels[order.to(problem.labels.device)],
        outputs=other_outputs(problem, problem.outputs, problem.n_values, generator),
    )


_CHANCE = "near 0: a random subspace moves nothing"

TRACK = Track(
    name="concepts",
    question="Which subspace at which site carries a labelled variable?",
    problem_type=ConceptProblem,
    truth_type=ConceptTruth,
    answer_type=Subspace,
    metrics=(
        Metric(
            name="interchange_accuracy",
            direction="higher",
            best=1.0,
            floor=_CHANCE,
            cites="Geiger et al. 2021 (interchange accuracy), Huang et al. 2024 (RAVEL: cause and isolate)",
        ),
        Metric(name="cause", direction="higher", best=1.0, floor=_CHANCE, cites="Huang et al. 2024"),
        Metric(
            name="isolate",
            direction="higher",
            best=1.0,
            floor="near 1: a subspace that moves nothing leaves the other variable alone",
            cites="Huang et al. 2024",
        ),
        Metric(
            name="overlap",
            direction="higher",
            best=1.0,
            floor="rank / width at a site that carries the variable, 0 elsewhere",
            cites="Björck and Golub 1973 (principal angles)",
        ),
        Metric(name="site_hit", direction="higher", best=1.0, floor="share of sites that carry the variable"),
    ),
    check=_check,
    grade=_grade,
    true_answer=_true_answer,
    controls={"unplanted": remade, "rerandomised": remade, "shuffled": shuffled},
)

CATALOGUE.add_track(TRACK)
