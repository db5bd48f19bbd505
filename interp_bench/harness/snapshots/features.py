"""Snapshots of features: cosines of found directions and planted ones, in the order of their matching."""

from __future__ import annotations

import torch

from interp_bench.harness.snapshots.digits import cosine_share, rows_of
from interp_bench.harness.snapshots.stored import Cosines
from interp_bench.tracks.features import Dictionary, FeatureProblem, FeatureTruth, cosines, match

MOST_SHOWN = 32


def snapshot(problem: FeatureProblem, truth: FeatureTruth, answer: Dictionary) -> Cosines:
    """Match as grading does; of many features show some, spread evenly from the best to the worst."""
    found, true = answer.directions.detach().cpu().double(), truth.directions.cpu().double()
    similarity = cosines(found, true).abs()
    rows, columns = match(similarity)
    # Features without a partner come last, as rows of zeros.
    paired = torch.zeros(len(true), len(true), dtype=torch.float64)
    strength = similarity[rows, columns]
    order = strength.argsort(descending=True, stable=True)
    alone = torch.tensor([f for f in range(len(true)) if f not in set(columns.tolist())], dtype=torch.long)
    features = torch.cat([columns[order], alone])
    paired[:, : len(order)] = similarity[rows[order]].T[features]
    count = min(MOST_SHOWN, len(true))
    shown = torch.linspace(0, len(true) - 1, count).round().long()
    return Cosines(
        matched=tuple(cosine_share(value) for value in paired.diagonal().tolist()),
        shown=tuple(shown.tolist()),
        matrix=rows_of(paired[shown][:, shown], 2),
        n_directions=len(found),
    )
