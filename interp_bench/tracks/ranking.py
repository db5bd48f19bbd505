"""How well values rank some places before all others: many rankings at once, ties exact.

scikit-learn defines both scores for one ranking at a time, and takes some 10 ms to check its arguments;
these are the same numbers, for rows that a problem has dozens of.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def average_precisions(values: Floats, planted: Bools) -> Floats:
    """Return (n,), for each row the average precision of ranking its places by value.

    Places with equal values form one rank, whose precision all of them get (the step-wise sum of
    scikit-learn's ``average_precision_score``; Saito & Rehmsmeier 2015).

    Args:
        values: (n, n_places), large first.
        planted: (n, n_places), which places are to be found; some of each row.
    """
    before = rankdata(-values, method="max", axis=1).astype(np.int64)  # places of at least this value
    order = np.argsort(-values, axis=1, kind="stable")
    hits = np.cumsum(np.take_along_axis(planted, order, axis=1), axis=1)
    precision = np.take_along_axis(hits, before - 1, axis=1) / before
    found: Floats = np.where(planted, precision, 0.0).sum(1) / planted.sum(1)
    return found


def aurocs(values: Floats, planted: Bools) -> Floats:
    """Return (n,), for each row the share of (planted, other) pairs in the right order; equal ones half.

    The Mann-Whitney form of the area under the ROC curve (Hanley & McNeil 1982).

    Args:
        values: (n, n_places), large first.
        planted: (n, n_places), which places are to be found; some of each row, and not all.
    """
    many = planted.sum(1)
    sums = np.where(planted, rankdata(values, axis=1), 0.0).sum(1)
    pairs: Floats = (sums - many * (many + 1) / 2) / (many * (planted.shape[1] - many))
    return pairs
