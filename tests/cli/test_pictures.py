"""The command plants, calls techniques, and stores the same bytes every time."""

from __future__ import annotations

from pathlib import Path

import pytest

from interp_bench.cli import main
from interp_bench.cli.catalogue import PACKAGE, load_entries
from interp_bench.harness.snapshots.stored import Snapshot, read_snapshots

COMMITTED = Path(__file__).resolve().parents[2] / "leaderboard" / "pictures"
TECHNIQUES = ("attribution/input_x_gradient", "circuits/eap", "neurons", "mean_difference", "hotflip")


def test_committed_pictures_are_of_techniques_and_tasks_as_they_are() -> None:
    """A version that was raised makes pictures stale; make them anew with: interp-bench pictures."""
    techniques, tasks = load_entries()
    versions = {entry.id: entry.version for entry in techniques if entry.origin.is_relative_to(PACKAGE)}
    asked = {entry.id: entry.version for entry in tasks}
    shown = read_snapshots(COMMITTED)
    assert {f"{s.track}/{s.technique}": s.technique_version for s in shown} == versions
    assert {s.file_name for s in shown} == {path.name for path in COMMITTED.glob("*.json")}
    assert [s.file_name for s in shown if asked[f"{s.track}/{s.task}"] != s.task_version] == []
    assert all(path.stat().st_size < 64_000 for path in COMMITTED.iterdir())


def taken(folder: Path, *more: str) -> tuple[int, dict[str, bytes], tuple[Snapshot, ...]]:
    names = [word for name in TECHNIQUES for word in ("--technique", name)]
    status = main(["pictures", *names, "--model", "native-150k", "--out", str(folder), *more])
    return status, {path.name: path.read_bytes() for path in folder.iterdir()}, read_snapshots(folder)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, dict[str, bytes], tuple[Snapshot, ...]]:
    return taken(tmp_path_factory.mktemp("first"))


def test_every_track_is_pictured_in_kilobytes(
    first: tuple[int, dict[str, bytes], tuple[Snapshot, ...]],
) -> None:
    status, files, snapshots = first
    assert status == 0
    kinds = {s.track: s.content.kind for s in snapshots}
    assert kinds == {
        "attribution": "tokens",
        "circuits": "circuit",
        "concepts": "subspace",
        "features": "cosines",
        "triggers": "phrase",
    }
    assert [s.file_name for s in snapshots] == sorted(files)
    assert max(map(len, files.values())) < 8_000


def test_the_same_bytes_come_again(
    first: tuple[int, dict[str, bytes], tuple[Snapshot, ...]], tmp_path: Path
) -> None:
    assert taken(tmp_path)[1] == first[1]


def test_a_picture_holds_the_score_of_a_run(
    first: tuple[int, dict[str, bytes], tuple[Snapshot, ...]],
) -> None:
    """The score and what is drawn come from one answer: of nine planted edges some are found."""
    [circuit] = [s for s in first[2] if s.track == "circuits"]
    planted = [edge for edge in circuit.content.edges if edge.planted]
    found = [edge for edge in circuit.content.edges if edge.found]
    assert len(found) == len(planted) >= 3
    assert 0 < circuit.skill < 1
    assert 0 < sum(edge.found for edge in planted) < len(planted)


def test_a_technique_that_fits_no_model_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["pictures", "--technique", "grad_cam", "--model", "native-30k", "--out", str(tmp_path)])
    assert status == 1
    assert "0 pictures in" in (out := capsys.readouterr().out)
    assert "none of attribution/grad_cam" in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--technique", "saliencey"], "no technique is called 'saliencey' (did you mean"),
        (["--model", "native-31k"], "no model 'native-31k'"),
        (["--seed", "-1"], "is no seed"),
    ],
)
def test_a_mistake_is_one_line(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pictures", *options, "--out", str(tmp_path)]) == 4
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
