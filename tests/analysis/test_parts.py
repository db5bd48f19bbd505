"""What differs in two trials besides their result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from interp_bench.analysis.parts import changed_parts, count_parts

if TYPE_CHECKING:
    from tests.conftest import MakeTrial


def told(parts):
    return [(part.kind, part.owner, part.name, part.before, part.now) for part in parts]


def test_equal_questions_differ_in_nothing(make_trial: MakeTrial) -> None:
    assert changed_parts(make_trial(skill=0.2), make_trial(skill=0.9, run_id="other", seconds=9.0)) == ()


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (
            {"task_version": 1},
            {"task_version": 2},
            ("question", "features/dictionary", "task version", "1", "2"),
        ),
        (
            {"dials": {"width": 4, "noise": 0.1}},
            {"dials": {"width": 8, "noise": 0.1}},
            ("question", "features/dictionary", "dial width", "4", "8"),
        ),
        (
            {"dials": {}},
            {"dials": {"width": 8}},
            ("question", "features/dictionary", "dial width", "unset", "8"),
        ),
        ({"model_revision": "a"}, {"model_revision": "b"}, ("question", "tiny", "model revision", "a", "b")),
        ({"primary": "mcc"}, {"primary": "f1"}, ("question", "features/dictionary", "metric", "mcc", "f1")),
        (
            {"technique_version": 1},
            {"technique_version": 3},
            ("technique", "features/pca", "technique version", "1", "3"),
        ),
        (
            {"technique_fingerprint": "aa"},
            {"technique_fingerprint": "bb"},
            ("technique", "features/pca", "source", "aa", "bb"),
        ),
        (
            {"technique_arguments": {"steps": 8}},
            {"technique_arguments": {"steps": None}},
            ("technique", "features/pca", "argument steps", "8", "None"),
        ),
        (
            {"provenance": {"torch": "2.14"}},
            {"provenance": {"torch": ""}},
            ("environment", "", "torch", "2.14", "unknown"),
        ),
        (
            {"provenance": {"device": "cpu"}},
            {"provenance": {"device": "NVIDIA"}},
            ("environment", "", "device", "cpu", "NVIDIA"),
        ),
    ],
)
def test_each_part_is_told(make_trial: MakeTrial, before, now, expected) -> None:
    assert told(changed_parts(make_trial(**before), make_trial(**now))) == [expected]


def test_when_it_ran_and_at_which_commit_is_no_part(make_trial: MakeTrial) -> None:
    later = {"started_at": "2027-01-01T00:00:00Z", "git_commit": "abc"}
    assert changed_parts(make_trial(), make_trial(provenance=later)) == ()


def test_another_problem_under_the_same_version_shows_in_what_guessing_scores(make_trial: MakeTrial) -> None:
    old = make_trial(floor_scores={"mcc": 0.200, "f1": 0.5})
    expected = ("question", "features/dictionary", "what guessing scores", "one value", "another")
    assert told(changed_parts(old, make_trial(floor_scores={"mcc": 0.210, "f1": 0.5}))) == [expected]
    assert changed_parts(old, make_trial(floor_scores={"mcc": 0.2005, "f1": 0.9})) == ()
    assert changed_parts(old, make_trial(floor_scores={})) == ()
    (version,) = changed_parts(old, make_trial(floor_scores={"mcc": 0.9}, task_version=2))
    assert version.name == "task version"


def test_parts_are_counted_questions_first(make_trial: MakeTrial) -> None:
    new = {"task_version": 2, "technique_version": 2, "provenance": {"torch": "3"}}
    pairs = [(make_trial(seed=seed), make_trial(seed=seed, **new)) for seed in range(3)]
    pairs.append((make_trial(model="big"), make_trial(model="big", technique_version=2)))
    found = count_parts(pairs)
    assert [(count.part.kind, count.part.name, count.pairs) for count in found] == [
        ("question", "task version", 3),
        ("technique", "technique version", 4),
        ("environment", "torch", 3),
    ]
