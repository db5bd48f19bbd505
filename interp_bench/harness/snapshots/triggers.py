"""Snapshots of triggers: the patch or the tokens of the answer, beside those that were planted."""

from __future__ import annotations

from torch import Tensor

from interp_bench.harness.snapshots.digits import rows_of
from interp_bench.harness.snapshots.stored import Patch, Phrase
from interp_bench.tracks.triggers import Trigger, TriggerProblem, TriggerTruth


def snapshot(problem: TriggerProblem, truth: TriggerTruth, answer: Trigger) -> Patch | Phrase:
    """Put the answer beside the planted trigger."""
    values, planted = answer.values.detach().cpu(), truth.spellings.cpu()
    if planted.ndim == 4:
        return Patch(
            planted=_pixels(planted[0], problem.bound),
            found=_pixels(values, problem.bound),
        )
    return Phrase(planted=tuple(map(tuple, planted.tolist())), found=tuple(values.tolist()))


def _pixels(patch: Tensor, bound: float) -> tuple[str, ...]:
    return rows_of(patch.double().permute(1, 2, 0) / (2 * bound) + 0.5, 1)
