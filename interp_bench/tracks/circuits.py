"""Circuits: which edges of the network compute this behaviour?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from interp_bench.errors import ContractError
from interp_bench.model.edge_writes import SourceWrites, record_writes
from interp_bench.model.edges import (
    Deltas,
    edge_attributions,
    held_logits,
    patched_logits,
    source_outputs,
)
from interp_bench.model.graph import Edge, Graph
from interp_bench.model.memory import activation_bytes
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
class CircuitProblem(Problem):
    """A behaviour and pairs of inputs that differ in it.

    Attributes:
        clean: (batch, ...) inputs that show the behaviour.
        corrupted: (batch, ...) inputs of the same shape with another outcome.
        outcomes: (batch, 2) logit indices: the outcome of the clean and of the corrupted input.
    """

    clean: Tensor
    corrupted: Tensor
    outcomes: Tensor

    @property
    def graph(self) -> Graph:
        """The edges that are to be scored."""
        return self.model.graph

    def metric(self, logits: Tensor) -> Tensor:
        """Return (batch,), the logit of the clean outcome minus that of the corrupted one.

        Args:
            logits: of the model on this problem's inputs; an LM is read at its last position.
        """
        clean, corrupted = self.final(logits).gather(1, self.outcomes).unbind(1)
        return clean - corrupted

    @staticmethod
    def final(logits: Tensor) -> Tensor:
        """Return (batch, n_outputs), the logits that count: those of an LM at the last position."""
        return logits[:, -1] if logits.ndim == 3 else logits

    def first(self, n_pairs: int) -> CircuitProblem:
        """Return the same problem with the first ``n_pairs`` pairs of inputs only."""
        return self._pairs(slice(n_pairs))

    def pairs(self) -> Iterator[CircuitProblem]:
        """Yield the problem with one pair at a time."""
        for row in range(len(self.clean)):
            yield self._pairs(slice(row, row + 1))

    def repeated(self, times: int) -> CircuitProblem:
        """Return the problem with all of its pairs one after the other, this many times."""
        return replace(
            self,
            clean=self.clean.repeat(times, *[1] * (self.clean.ndim - 1)),
            corrupted=self.corrupted.repeat(times, *[1] * (self.corrupted.ndim - 1)),
            outcomes=self.outcomes.repeat(times, 1),
        )

    def _pairs(self, rows: slice) -> CircuitProblem:
        return replace(
            self, clean=self.clean[rows], corrupted=self.corrupted[rows], outcomes=self.outcomes[rows]
        )

    def batches(self, *, memory: float = 0.25) -> Iterator[CircuitProblem]:
        """Yield the problem in parts whose forward with gradient fits a budget of memory.

        Args:
            memory: GiB that activations kept for one backward may take, by a rough count.
        """
        count = max(1, int(memory * 2**30 / activation_bytes(self.model, self.clean)))
        for start in range(0, len(self.clean), count):
            yield self._pairs(slice(start, start + count))

    def source_outputs(self, inputs: Tensor) -> Tensor:
        """Return (n_sources, batch, position, d_model), what every source writes on these inputs.

        In a CNN sources are channel groups, and their values are (n_sources, batch, 1, width): flattened
        and padded with zeros.
        """
        return source_outputs(self.model, inputs)

    def writes(self, inputs: Tensor) -> SourceWrites:
        """Return the same in a form that takes far less memory, layer by layer of sources."""
        return record_writes(self.model, inputs)

    def patched_logits(self, replacement: Tensor, cut: Tensor) -> Tensor:
        """Return (batch, n_outputs), the logits that count on clean inputs when cut edges are replaced.

        Args:
            replacement: (n_sources, batch, position, d_model) from ``source_outputs``.
            cut: (n_sources, n_destinations) bool, or (batch, n_sources, n_destinations), for each
                input its own. In floating point, the share of each edge that is replaced; gradients
                reach it where it requires them.
        """
        with torch.set_grad_enabled(cut.requires_grad):
            return self.final(patched_logits(self.model, self.clean, replacement, cut))

    def patched_metric(self, replacement: Tensor, cut: Tensor) -> Tensor:
        """Return the metric (batch,) on clean inputs when cut edges carry other values.

        Args:
            replacement: (n_sources, batch, position, d_model) from ``source_outputs``.
            cut: as in ``patched_logits``.
        """
        return self.metric(self.patched_logits(replacement, cut))

    def held_logits(self, held: Mapping[str, Tensor]) -> Tensor:
        """Return (batch, n_outputs), the logits that count when parts of ``SourceWrites`` are replaced.

        Args:
            held: part -> what its sources write on the clean inputs; the logits are differentiable in it.
        """
        return self.final(held_logits(self.model, self.clean, held))

    def edge_attributions(
        self, deltas: Deltas, *, held: Mapping[str, Tensor] | None = None, per_input: bool = False
    ) -> Tensor:
        """Return (n_sources, n_destinations) first-order effects of ``deltas`` on the summed metric.

        Args:
            deltas: (n_sources, batch, position, d_model) changes of what sources write; or a function
                that makes them from the ``SourceWrites`` of this very run, which needs less memory.
            held: parts of ``SourceWrites`` that take the place of what these sources write, such as
                the first one, the residual stream before block 0 or the stem's output of a CNN.
            per_input: whether to return (batch, n_sources, n_destinations), each input by itself.
        """
        return edge_attributions(self.model, self.clean, self.metric, deltas, held=held, per_input=per_input)


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitTruth:
    """The planted edges.

    Attributes:
        edges: (source, destination) names.
    """

    edges: tuple[Edge, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeScores:
    """How much each edge belongs to the circuit.

    Attributes:
        scores: (n_sources, n_destinations); entries where no edge exists are ignored.
        signed: whether the sign counts in the ranking; by default edges rank by absolute value.
    """

    scores: Tensor
    signed: bool = False


def _check(problem: CircuitProblem, answer: EdgeScores) -> None:
    require_floating(answer.scores, "EdgeScores.scores")
    if not isinstance(answer.signed, bool):
        raise ContractError(f"EdgeScores.signed is a {type(answer.signed).__name__}; give True or False")
    require_shape(answer.scores, problem.graph.shape, "EdgeScores.scores")
    require_finite(answer.scores[problem.graph.valid], "EdgeScores.scores")


def _grade(problem: CircuitProblem, truth: CircuitTruth, answer: EdgeScores) -> dict[str, float]:
    graph = problem.graph
    values = answer.scores.detach().cpu().double()
    ranked = (values if answer.signed else values.abs())[graph.valid]
    return grade_edges(ranked, graph.mask(list(truth.edges))[graph.valid])


def grade_edges(ranked: Tensor, planted: Tensor) -> dict[str, float]:
    """Grade scores (n_edges,) against planted (n_edges,) bool, ties in the worst-case-free way.

    In average precision and AUROC tied scores form one step of the curve, so no order among ties is
    rewarded. R-precision is the expected share of planted edges among the
    first ``n_planted``, over random orders of ties.
    """
    scores, labels = ranked.double().numpy()[None], planted.numpy()[None]
    return {
        "average_precision": float(average_precisions(scores, labels)[0]),
        "auroc": float(aurocs(scores, labels)[0]),
        "r_precision": _r_precision(ranked, planted),
    }


def _r_precision(ranked: Tensor, planted: Tensor) -> float:
    count = int(planted.sum())
    threshold = ranked.sort(descending=True).values[count - 1]
    above, tied = ranked > threshold, ranked == threshold
    room = count - int(above.sum())
    hits = float(planted[above].sum()) + room * float(planted[tied].double().mean())
    return hits / count


def _true_answer(problem: CircuitProblem, truth: CircuitTruth) -> EdgeScores:
    return EdgeScores(scores=problem.graph.mask(list(truth.edges)).double())


def shuffled(problem: CircuitProblem, generator: torch.Generator) -> CircuitProblem:
    """Return the problem with the outcomes of each pair taken from a pair that shares none with it.

    Where there is no such pair, two logits are drawn that are an outcome of none.
    """
    own = problem.outcomes.cpu()
    shares = (own[:, None, :, None] == own[None, :, None, :]).any(-1).any(-1)
    outcomes = torch.empty_like(own)
    for row, taken in enumerate(shares):
        others = (~taken).nonzero()[:, 0]
        if len(others):
            outcomes[row] = own[others[torch.randint(len(others), (), generator=generator)]]
        else:
            outcomes[row] = other_outputs(problem, own, 2, generator)
    return replace(problem, outcomes=outcomes.to(problem.outcomes.device))


TRACK = Track(
    name="circuits",
    question="Which edges compute this behaviour?",
    problem_type=CircuitProblem,
    truth_type=CircuitTruth,
    answer_type=EdgeScores,
    metrics=(
        Metric(
            name="average_precision",
            direction="higher",
            best=1.0,
            floor="about the share of edges that are planted",
            cites="Saito & Rehmsmeier 2015; scikit-learn average_precision_score",
        ),
        Metric(name="auroc", direction="higher", best=1.0, floor="0.5", cites="Conmy et al. 2023, ACDC"),
        Metric(
            name="r_precision",
            direction="higher",
            best=1.0,
            floor="about the share of edges that are planted",
            cites="Manning, Raghavan & Schuetze 2008, section 8.4",
        ),
    ),
    check=_check,
    grade=_grade,
    true_answer=_true_answer,
    controls={"unplanted": unchanged, "rerandomised": unchanged, "shuffled": shuffled},
)
CATALOGUE.add_track(TRACK)
