"""Bands of size: who is compared with whom, and by which interval."""

from __future__ import annotations

import pytest

from interp_bench.analysis.bands import bands_of, size_of
from interp_bench.analysis.cells import cells_of
from interp_bench.analysis.stats import t_interval


@pytest.mark.parametrize(
    ("params", "size"),
    [(1, 1), (0, 1), (3_100, 1_000), (3_200, 10_000), (31_000, 10_000), (1_100_000_000, 10**9)],
)
def test_a_size_rounds_on_a_log_axis(params, size):
    assert size_of(params) == size


def trial(make_trial, technique, model, seed, skill, params=1_000, **changes):
    return make_trial(
        track="circuits", task="planted", technique=technique, model=model, seed=seed, skill=skill,
        params=params, **changes,
    )  # fmt: skip


def test_the_interval_is_over_seeds_and_each_seed_is_the_mean_over_cells(make_trial):
    skills = {"one": (0.9, 0.7, 0.8), "two": (0.5, 0.3, 0.7)}
    trials = [
        trial(make_trial, "eap", model, seed, skill)
        for model, values in skills.items()
        for seed, skill in enumerate(values)
    ]
    [band] = bands_of(cells_of(trials))
    assert (band.size, band.models) == (1_000, ("one", "two"))
    [row] = band.rows
    assert row.skill == t_interval([0.7, 0.5, 0.75])


def test_only_those_on_most_cells_compare(make_trial):
    trials = [trial(make_trial, "easy", "one", seed, 1.0) for seed in range(3)]
    trials += [trial(make_trial, "fair", m, seed, 0.6) for m in ("one", "two") for seed in range(3)]
    trials += [trial(make_trial, "poor", m, seed, 0.2) for m in ("one", "two") for seed in range(3)]
    trials += [
        trial(make_trial, "truth", m, seed, 1.0, role="ceiling") for m in ("one", "two") for seed in range(3)
    ]
    [band] = bands_of(cells_of(trials))
    assert [row.technique for row in band.complete] == ["fair", "poor"]
    assert [row.technique for row in band.rows] == ["truth", "easy", "fair", "poor"]


def test_failing_counts_as_zero_and_what_was_skipped_not_at_all(make_trial):
    trials = [trial(make_trial, "eap", "one", seed, 0.8) for seed in (0, 1)]
    trials += [trial(make_trial, "eap", "one", 2, None, status="failed", reason="broke", scores={})]
    trials += [trial(make_trial, "other", "one", 0, None, status="skipped", reason="no", scores={})]
    [band] = bands_of(cells_of(trials))
    found = {row.technique: row.skill for row in band.rows}
    assert found == {"eap": t_interval([0.8, 0.8, 0.0]), "other": None}
    assert [row.technique for row in band.complete] == ["eap"]


def test_bands_stand_by_track_modality_and_size(make_trial):
    trials = [
        trial(make_trial, "eap", f"{modality}{size}", 0, 0.5, params=size, modality=modality)
        for modality in ("image", "lm")
        for size in (100_000, 1_000)
    ]
    places = [(band.modality, band.size) for band in bands_of(cells_of(trials))]
    assert places == [("lm", 1_000), ("lm", 100_000), ("image", 1_000), ("image", 100_000)]
