"""Tables and the page are written of any valid trials, and do not depend on their order."""

from __future__ import annotations

import math

from hypothesis import example, given
from hypothesis import strategies as st

from interp_bench.analysis.stats import mean, t_interval
from interp_bench.board.markdown import page
from interp_bench.board.terminal import summary
from interp_bench.harness.estimate import spoken
from interp_bench.harness.trial import Trial
from tests.fuzz.trials import EXAMPLE, finite, trials

LARGEST = 1.7976931348623157e308


def trial(**changes: object) -> Trial:
    return Trial(**{**EXAMPLE, **changes})


@example([trial(skill=LARGEST), trial(skill=LARGEST, seed=1), trial(skill=-LARGEST, model="other")])
@example([trial(control="unplanted", skill=None)])
@example([trial(control="shuffled", skill=LARGEST, seed=seed) for seed in range(3)])
@example([trial(params=2**63 - 1, forwards=2**63 - 1), trial(forwards=2**63 - 1, seed=1)])
@example([trial(status="failed", skill=None, reason="a|b\x00<c>", technique="", model="")])
@given(st.lists(trials, max_size=8))
def test_any_trials_make_tables(many: list[Trial]) -> None:
    text = page(many)
    assert text == page(many[::-1])
    assert text.encode()
    summary(many).encode()


@given(st.lists(finite, min_size=1, max_size=6))
def test_a_mean_is_finite_and_within_its_values(values: list[float]) -> None:
    centre = mean(values)
    assert math.isfinite(centre)
    slack = 1e-12 * max(map(abs, values))
    assert min(values) - slack <= centre <= max(values) + slack
    interval = t_interval(values)
    assert interval.low <= centre <= interval.high
    assert interval.contains(centre)


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_any_duration_can_be_spoken(seconds: float) -> None:
    assert spoken(seconds)
