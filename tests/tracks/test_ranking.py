"""Average precision and AUROC of many rankings at once: by hand, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from interp_bench.tracks.ranking import Bools, Floats, aurocs, average_precisions


def rows(*values: float) -> Floats:
    return np.array([values])


def places(*where: int) -> Bools:
    planted = np.zeros((1, 5), dtype=bool)
    planted[0, list(where)] = True
    return planted


def test_average_precision_by_hand() -> None:
    # Ranked: place 3, 1, 0, 4, 2; planted 1 and 2 have ranks 2 and 5: (1/2 + 2/5) / 2.
    values = rows(3.0, 4.0, 1.0, 5.0, 2.0)
    assert average_precisions(values, places(1, 2)) == pytest.approx([0.45])
    assert average_precisions(values, places(3, 1)) == [1.0]


def test_equal_values_form_one_rank_and_all_equal_give_the_base_rate() -> None:
    assert average_precisions(np.ones((1, 5)), places(1, 2)) == pytest.approx([0.4])
    # Two places tie at the top, one of them planted, the other planted one is last: (1/2 + 2/5) / 2.
    assert average_precisions(rows(2.0, 2.0, 0.0, 1.0, 1.0), places(0, 2)) == pytest.approx([0.45])


def test_values_are_ranked_as_given_not_by_magnitude() -> None:
    values = rows(-9.0, 1.0, 0.5, 0.0, -1.0)
    assert average_precisions(values, places(1)) == [1.0]
    assert average_precisions(values, places(0)) == pytest.approx([0.2])


def test_auroc_by_hand() -> None:
    # Planted 4 and 1 against 3, 5, 2: it wins 4>3, 4>2 of six pairs.
    assert aurocs(rows(3.0, 4.0, 1.0, 5.0, 2.0), places(1, 2)) == pytest.approx([2 / 6])
    assert aurocs(np.ones((1, 5)), places(1, 2)) == pytest.approx([0.5])


@pytest.mark.parametrize("levels", [2, 6, 10_000])
def test_many_rows_equal_scikit_learn_row_by_row(levels: int) -> None:
    rng = np.random.default_rng(levels)
    values = rng.integers(0, levels, (50, 40)).astype(float)
    planted = rng.random((50, 40)) < 0.2
    planted[:, 0], planted[:, 1] = True, False
    precision = [average_precision_score(p, v) for p, v in zip(planted, values, strict=True)]
    area = [roc_auc_score(p, v) for p, v in zip(planted, values, strict=True)]
    np.testing.assert_allclose(average_precisions(values, planted), precision, rtol=1e-12)
    np.testing.assert_allclose(aurocs(values, planted), area, rtol=1e-12)
