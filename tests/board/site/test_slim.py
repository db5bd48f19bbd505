"""Slim trials say what trials say, and hold what is equal once."""

from __future__ import annotations

import pytest

from interp_bench.analysis.cells import cells_of, newest
from interp_bench.board import jsonl
from interp_bench.board.site.slim import read_slim, slimmed, whole
from interp_bench.errors import StoreError
from interp_bench.harness.trial import Provenance, Trial
from tests.small_site import small_board


def test_every_attribute_is_the_same(board):
    for trial, slim in zip(board, slimmed(board), strict=True):
        for name in set(Trial.model_fields) - {"provenance"}:
            assert getattr(slim, name) == getattr(trial, name), name
        for name in Provenance.model_fields:
            assert getattr(slim.provenance, name) == getattr(trial.provenance, name)
        assert (slim.name, slim.cell, slim.technique_id, slim.task_id) == (
            trial.name, trial.cell, trial.technique_id, trial.task_id,
        )  # fmt: skip


def test_a_slim_trial_becomes_whole_again(board):
    for trial, slim in zip(board[:20], slimmed(board[:20]), strict=True):
        assert whole(slim) == trial
        assert slim.model_dump_json() == trial.model_dump_json()
    assert whole(board[0]) is board[0]


def test_analysis_cannot_tell(board):
    plain, slim = cells_of(board), cells_of(slimmed(board))
    assert [(c.technique, c.place, c.measured, c.ranked) for c in plain] == [
        (c.technique, c.place, c.measured, c.ranked) for c in slim
    ]
    # Of equally new trials that differ, the same one is kept.
    twins = [board[0], board[0].model_copy(update={"skill": 0.123})]
    kept = {whole(newest(slimmed(order))[0]).skill for order in (twins, twins[::-1])}
    assert kept == {newest(twins)[0].skill}


def test_equal_parts_are_one_object():
    first, second = slimmed([small_board()[0], small_board()[0]])
    for name in ("certificate", "floor_scores", "ceiling_scores", "dials", "provenance", "technique"):
        assert getattr(first, name) is getattr(second, name), name


def test_one_and_true_are_not_the_same(make_trial):
    trials = [
        make_trial(dials={"deep": True}),
        make_trial(dials={"deep": 1}),
        make_trial(dials={"deep": 1.0}),
    ]
    assert [type(slim.dials["deep"]) for slim in slimmed(trials)] == [bool, int, float]


def test_files_are_read_in_order(exported, tmp_path):
    trials = read_slim(exported)
    assert [trial.cell for trial in trials] == [trial.cell for trial in jsonl.read(exported)]
    one = exported / "circuits.jsonl"
    assert {trial.track for trial in read_slim(one)} == {"circuits"}
    (tmp_path / "bad.jsonl").write_bytes(one.read_bytes()[:-30])
    with pytest.raises(StoreError, match=r"bad\.jsonl:\d+: not a trial"):
        read_slim(tmp_path)
