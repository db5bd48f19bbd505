"""A submission is read back as it was packed; whatever was done to it on the way is found and named."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from interp_bench.board import jsonl, submission
from interp_bench.board.submission import pack, unpack
from interp_bench.errors import StoreError
from interp_bench.harness.trial import Trial
from tests.fuzz.strategies import one_line

COMMITTED = Path(__file__).resolve().parents[2] / "leaderboard" / "trials"


def scored(make_trial: Any, skill: float = 0.8, **changes: Any) -> Trial:
    """Return a trial whose skill follows from its scores."""
    scores = {"mcc": 0.2 + 0.5 * skill}
    given = {
        "scores": scores,
        "floor_scores": {"mcc": 0.2},
        "ceiling_scores": {"mcc": 0.7},
        "floor_draws": 16,
    }
    return make_trial(skill=(scores["mcc"] - 0.2) / (0.7 - 0.2), **{**given, **changes})


@pytest.fixture
def trials(make_trial: Any) -> list[Trial]:
    return [
        scored(make_trial, 0.25 * (seed + 1), seed=seed, technique=t)
        for t in ("ica", "pca")
        for seed in (0, 1)
    ]


@pytest.fixture
def document(trials: list[Trial]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(pack(trials, run="run-1", note="on my laptop"))
    return found


def refused(content: Any) -> str:
    """Return the words in which a document is refused, which are one line."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    with pytest.raises(StoreError) as raised:
        unpack(data, "mine.json")
    assert one_line(str(raised.value), most=1000)
    assert str(raised.value).startswith("mine.json: ")
    return str(raised.value)


def sealed(document: dict[str, Any]) -> dict[str, Any]:
    """Make every hash anew, as whoever knows the layout can."""

    def digest(content: Any) -> str:
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    for trial in document["trials"]:
        document["hashes"][Trial.model_validate(trial).name] = digest(trial)
    head = {key: value for key, value in document.items() if key not in ("sha256", "trials")}
    return {**document, "sha256": digest(head)}


def test_what_is_packed_is_read_back(trials: list[Trial]) -> None:
    found = unpack(pack(trials, run="run-1", note="naïve\nnote"), "")
    assert found.trials == tuple(trials)
    assert (found.head.run, found.head.note) == ("run-1", "naïve\nnote")
    assert found.head.techniques.keys() == {"features/ica", "features/pca"}
    assert found.head.tasks["features/dictionary"].version == 1


def test_the_same_trials_give_the_same_bytes_in_any_order_and_layout_is_free(trials: list[Trial]) -> None:
    content = pack(trials, run="r")
    assert pack(reversed(trials), run="r") == content
    again = json.dumps(json.loads(content), indent=3).encode()
    assert unpack(again, "") == unpack(content, "")


def test_hashes_are_those_of_canonical_json(document: dict[str, Any]) -> None:
    assert sealed(json.loads(json.dumps(document))) == document


@pytest.mark.skipif(not any(COMMITTED.glob("*.jsonl")), reason="no trials are committed yet")
def test_no_committed_trial_contradicts_itself() -> None:
    trials = jsonl.read(COMMITTED)
    assert [trial.name for trial in trials if submission.contradiction(trial)] == []


# ------------------------------------------------------------------------ what is found


def test_a_changed_skill_is_found_and_named(document: dict[str, Any]) -> None:
    document["trials"][2]["skill"] = 0.99
    assert "was changed: 'features/dictionary[pca-tiny-0]'" in refused(document)


@pytest.mark.parametrize(
    ("field", "value"),
    [("params", 31), ("reason", "x"), ("seconds", 0.4), ("model_revision", "r2"), ("status", "failed")],
)
def test_any_changed_field_is_found(document: dict[str, Any], field: str, value: object) -> None:
    document["trials"][0][field] = value
    assert "was changed: 'features/dictionary[ica-tiny-0]'" in refused(document)


def test_a_number_of_another_type_is_a_change(document: dict[str, Any]) -> None:
    document["trials"][0]["seed"] = 0.0
    assert "was changed" in refused(document)


def test_a_changed_hash_is_found(document: dict[str, Any]) -> None:
    name = "features/dictionary[ica-tiny-1]"
    document["hashes"][name] = "0" * 64
    assert f"was changed: {name!r}" in refused(document)


def test_dropped_and_added_trials_are_found_and_named(document: dict[str, Any]) -> None:
    trial = document["trials"].pop(1)
    assert "was dropped: 'features/dictionary[ica-tiny-1]'" in refused(document)
    document["trials"].append({**trial, "seed": 7})
    assert "was added: 'features/dictionary[ica-tiny-7]'" in refused(document)


def test_a_trial_that_is_there_twice_is_found(document: dict[str, Any]) -> None:
    document["trials"].append(document["trials"][0])
    assert "is there twice: 'features/dictionary[ica-tiny-0]'" in refused(document)


@pytest.mark.parametrize("key", ["run", "note", "sha256"])
def test_a_changed_head_is_found(document: dict[str, Any], key: str) -> None:
    document[key] = "another"
    assert "its sha256 is not that" in refused(document)


def test_dropping_a_trial_with_its_hash_is_found_by_the_hash_of_all(document: dict[str, Any]) -> None:
    del document["hashes"][Trial.model_validate(document["trials"].pop()).name]
    assert "its sha256 is not that" in refused(document)


def test_lists_that_are_not_of_the_trials_are_found(document: dict[str, Any]) -> None:
    document["techniques"]["features/pca"]["fingerprint"] = "f" * 16
    assert "lists of techniques and tasks are not those of its trials" in refused(sealed(document))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"skill": 0.99}, "its skill is 0.99, and its scores make it 0.5"),
        ({"skill": None}, "its skill does not follow"),
        ({"floor_scores": {"mcc": 0.7}}, "its skill does not follow"),
        ({"scores": {}}, "its skill does not follow"),
        ({"status": "failed"}, "it has a skill though it gave no answer"),
        (
            {"certificate": {"cut": {"value": 0, "relation": ">=", "bound": 1, "passed": False}}},
            "its problem is not certified",
        ),
    ],
)
def test_a_trial_that_contradicts_itself_is_found_whatever_its_hashes(
    document: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    document["trials"][1].update(changes)
    assert message in refused(sealed(document))


def test_gaps_are_seeds_that_others_have_on_the_same_task_and_model(make_trial: Any) -> None:
    def one(technique: str, seed: int, model: str = "tiny", control: str = "") -> Trial:
        made: Trial = make_trial(technique=technique, seed=seed, model=model, control=control)
        return made

    whole = [one(technique, seed) for technique in ("ica", "pca") for seed in (0, 1, 2)]
    apart = [one("pca", 7, model="large"), one("ica", 0, control="shuffled")]
    assert submission.gaps([*whole, *apart]) == []
    assert submission.gaps([*whole[:1], *whole[2:], *apart]) == ["features/dictionary[ica-tiny-1]"]


# ------------------------------------------------------------------------ what is no submission


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON"),
        (b"not JSON", "is not JSON"),
        (b"\x00" * 100, "is not JSON"),
        (b"\xff\xfe\xfd", "is not JSON"),
        (b"[]", "is no submission; make one with: interp-bench submit"),
        (b"{}", "is no submission"),
        (b'{"a": 1, "b": 2, "a": 3}', "the key 'a' is there twice"),
        (b'{"a": {"x\\n": 1, "x\\n": 1}}', r"the key 'x\n' is there twice"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": -Infinity}', "-Infinity is no number"),
        (b'{"a": 1e999}', "is not JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "is not JSON"),
        (b"[" * 100_000, "is nested too deeply"),
        (b'{"a":' * 100_000, "is nested too deeply"),
    ],
)
def test_nonsense_is_refused_in_one_line(content: bytes, message: str) -> None:
    assert message in refused(content)


@pytest.mark.parametrize("number", [0, 2, "1", None, 1e9])
def test_a_foreign_schema_is_refused(document: dict[str, Any], number: object) -> None:
    assert "upgrade interp_bench" in refused({**document, "schema_number": number})


def test_a_trial_of_a_newer_schema_or_with_a_strange_field_is_refused(document: dict[str, Any]) -> None:
    document["trials"][1]["schema_number"] = 99
    assert "trial 2: not a trial: schema_number" in refused(document)
    document["trials"][1] = {"skill": 1}
    assert "trial 2: not a trial" in refused(document)


@pytest.mark.parametrize("key", ["trials", "hashes", "run", "note", "techniques", "tasks"])
def test_a_missing_part_is_named(document: dict[str, Any], key: str) -> None:
    del document[key]
    assert f"{key}: " in refused(document)


def test_a_key_that_is_no_part_is_named(document: dict[str, Any]) -> None:
    assert "extra: " in refused({**document, "extra": 1})


def test_a_huge_file_is_refused_before_it_is_parsed(
    document: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as stream:
        stream.truncate(submission.MOST_BYTES * 1000)
    with pytest.raises(StoreError, match="is larger than a submission may be"):
        submission.read(path)
    monkeypatch.setattr(submission, "MOST_BYTES", 1000)
    assert "is larger than" in refused(document)


# ------------------------------------------------------------------------ what is not packed


def test_nonsense_is_not_packed(
    make_trial: Any, trials: list[Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match="no trials to pack"):
        pack([], run="r")
    with pytest.raises(StoreError, match="the note has 2,001 characters"):
        pack(trials, run="r", note="x" * 2001)
    with pytest.raises(StoreError, match=r"its skill does not follow .*pca-tiny-0"):
        pack([make_trial()], run="r")
    with pytest.raises(StoreError, match="two versions of features/pca"):
        pack([*trials, scored(make_trial, seed=5, technique_version=2)], run="r")
    with pytest.raises(StoreError, match="two versions of features/dictionary"):
        pack([*trials, scored(make_trial, seed=5, dials={"n": 3})], run="r")
    monkeypatch.setattr(submission, "MOST_BYTES", 100)
    with pytest.raises(StoreError, match="the most is 100"):
        pack(trials, run="r")
