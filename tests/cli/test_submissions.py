"""``submit`` and ``verify``: a run to a file, and the file against what comes out here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from interp_bench.cli import main, verifying
from interp_bench.harness.store import DEFAULT_PATH, Store
from interp_bench.harness.trial import Trial
from interp_bench.tracks.catalogue import CATALOGUE
from tests.board.test_submission import sealed
from tests.plugin.conftest import Project, project

__all__ = ["project"]

ROOT = Path(__file__).resolve().parents[2]

Change = Callable[[dict[str, Any]], None]
Verify = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def packed() -> dict[str, bytes]:
    """The file, once it is made, since a run takes seconds."""
    return {}


@pytest.fixture
def submitted(project: Project, packed: dict[str, bytes]) -> Path:
    """A file of a run of three techniques on one small model and two seeds."""
    project.technique(value=0.25)
    path = project.path / "mine.json"
    if packed:
        # `numbers` is defined by the file of tasks here, in place of the pretended one.
        CATALOGUE.tasks.clear()
        path.write_bytes(packed["mine.json"])
        return path
    done = project.bench(
        "--bench-technique", "reader", "--bench-technique", "half", "--bench-technique", "mine.py",
        "--bench-model", "small", "--bench-seeds", "2",
    )  # fmt: skip
    assert done.ret == 0
    assert main(["submit", "--out", "mine.json", "--note", "by me"]) == 0
    packed["mine.json"] = path.read_bytes()
    return path


@pytest.fixture
def verify(
    submitted: Path, fakes: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Verify:
    """Return a function that changes the file, makes its hashes anew, and verifies it in this process."""
    monkeypatch.setattr(verifying, "ISOLATE", False)

    def verify(*options: str, change: Change | None = None, name: str = "mine.json") -> tuple[int, str, str]:
        document = json.loads(submitted.read_bytes())
        if change is not None:
            change(document)
            submitted.with_name(name).write_text(json.dumps(sealed(document)), "utf-8")
        capsys.readouterr()
        status = main(["verify", name, "--technique", "mine.py", *options])
        out, err = capsys.readouterr()
        return status, out, err

    return verify


def trials_of(document: dict[str, Any], technique: str) -> list[dict[str, Any]]:
    return [trial for trial in document["trials"] if trial["technique"] == technique]


def marks_of(out: str) -> dict[str, str]:
    """Return the mark of each trial in a table, by its name."""
    rows = [line.split() for line in out.splitlines() if line.startswith("guessing/")]
    return {row[0]: row[1] for row in rows}


def test_an_honest_run_is_verified_bit_for_bit(verify: Verify) -> None:
    status, out, err = verify("--sample", "99")
    assert (status, err) == (0, "")
    assert "10 trials, 6 of them of techniques" in out
    assert "note of its author: by me" in out
    assert "missing" not in out
    assert len(marks_of(out)) == 8
    assert out.count("bit for bit") == 8 + 1
    assert "8 verified, 0 differ, 0 cannot be told here" in out


def test_a_sample_follows_from_its_seed_and_differs_between_seeds(verify: Verify) -> None:
    outs = [verify("--sample", "3", "--seed", seed)[1] for seed in "11234"]
    samples = [frozenset(marks_of(out)) for out in outs]
    assert {len(sample) for sample in samples} == {3}
    assert samples[0] == samples[1]
    assert len(set(samples)) > 2


def test_the_seed_is_drawn_and_printed(verify: Verify, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying.secrets, "randbelow", lambda most: most - 1)
    assert "the same with: --sample 2 --seed 999999999" in verify("--sample", "2")[1]


def test_no_sample_checks_the_file_only(verify: Verify, fakes: ModuleType) -> None:
    before = list(fakes.MODELS.opened)
    status, out, _ = verify("--sample", "0")
    assert status == 0
    assert "hashes are right" in out
    assert fakes.MODELS.opened == before


# ------------------------------------------------------------------------ lies with right hashes


def better(document: dict[str, Any]) -> None:
    """Raise the scores of a technique, and its skill as it follows from them."""
    for trial in trials_of(document, "half"):
        floor, ceiling = trial["floor_scores"]["closeness"], trial["ceiling_scores"]["closeness"]
        trial["scores"]["closeness"] += 0.05
        trial["skill"] = (trial["scores"]["closeness"] - floor) / (ceiling - floor)


def larger(document: dict[str, Any]) -> None:
    for trial in document["trials"]:
        trial["params"] = 7_000_000_000


@pytest.mark.parametrize(
    ("change", "differing", "how"),
    [(better, 2, "skill: 0."), (larger, 8, "params: 7000000000 there and 10 here")],
)
def test_a_lie_is_found_by_running_it_again(verify: Verify, change: Change, differing: int, how: str) -> None:
    status, out, _ = verify("--sample", "99", change=change)
    assert status == 1
    assert list(marks_of(out).values()).count("differs") == differing
    assert how in out


def test_a_lie_within_the_tolerance_is_none(verify: Verify) -> None:
    assert verify("--sample", "99", "--tolerance", "0.5", change=better)[0] == 0
    assert verify("--sample", "99", "--tolerance", "0.01")[0] == 1


def test_a_seed_that_was_left_out_is_named(verify: Verify) -> None:
    def change(document: dict[str, Any]) -> None:
        dropped = trials_of(document, "half")[1]
        document["trials"].remove(dropped)
        del document["hashes"][Trial.model_validate(dropped).name]

    status, out, _ = verify("--sample", "1", change=change)
    assert status == 0
    assert "1 trial missing, of seeds that others have: guessing/numbers[half-small-1]" in out


# ------------------------------------------------------------------------ what cannot be run here


def of_others(**changes: object) -> Change:
    def change(document: dict[str, Any]) -> None:
        document["trials"] = trials_of(document, "half")
        document["hashes"] = {}
        for trial in document["trials"]:
            trial.update(changes)
        trial = Trial.model_validate(document["trials"][0])
        document["tasks"] = {trial.task_id: {"version": trial.task_version, "dials": trial.dials}}
        document["techniques"] = {
            trial.technique_id: {
                "version": trial.technique_version,
                "fingerprint": trial.technique_fingerprint,
                "arguments": trial.technique_arguments,
            }
        }

    return change


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"technique": "gone"}, "no technique guessing/gone is installed here"),
        ({"technique_version": 9}, "technique guessing/half has version 1 here, and 9 there"),
        ({"technique_fingerprint": "f" * 16}, "technique guessing/half has source file "),
        ({"technique_arguments": {"k": 1}}, "technique guessing/half has arguments {} here"),
        ({"task": "gone"}, "there is no task guessing/gone here"),
        ({"task_version": 9}, "task guessing/numbers has version 1 here, and 9 there"),
        ({"dials": {"n": 1}}, "task guessing/numbers has dials {} here"),
        ({"model_revision": "r9"}, "model small has revision r1 here, and r9 there"),
        ({"model": "far-away"}, "its weights are on the moon"),
        ({"model": "huge"}, "meant for at most 1,000,000 parameters"),
        ({"seed_secret": "abc"}, "its seed follows from the secret abc"),
        ({"key": "0" * 32}, "its key is another"),
        ({"control": "shuffled"}, "the track has no such control"),
    ],
)
def test_what_cannot_be_run_here_says_why(verify: Verify, changes: dict[str, object], reason: str) -> None:
    _, out, err = verify("--sample", "1", "--out", "marks.json", change=of_others(**changes))
    assert err == ""
    written = json.loads(Path("marks.json").read_bytes())
    assert [row["mark"] for row in written["marks"]] == ["cannot"]
    assert reason in written["marks"][0]["how"]
    assert "0 verified, 0 differ, 1 cannot be told here" in out


def test_nothing_verified_is_no_success(verify: Verify) -> None:
    assert verify("--sample", "2", change=of_others(technique="gone"))[0] == 1


@pytest.mark.parametrize("seed", [-1, 10**9, -(2**63)])
def test_a_seed_that_nobody_can_ask_for_is_not_run(verify: Verify, seed: int) -> None:
    def change(document: dict[str, Any]) -> None:
        of_others()(document)
        document["trials"] = [{**document["trials"][0], "seed": seed}]

    status, _, _ = verify("--out", "marks.json", change=change)
    assert status == 1
    assert "none that can be asked for" in json.loads(Path("marks.json").read_bytes())["marks"][0]["how"]


# ------------------------------------------------------------------------ usage


def test_verdicts_are_written_with_what_they_are_about(verify: Verify) -> None:
    verify("--sample", "4", "--seed", "5", "--out", "marks.json")
    written = json.loads(Path("marks.json").read_bytes())
    document = json.loads(Path("mine.json").read_bytes())
    assert written["submission"] == document["sha256"]
    assert (written["seed"], written["sample"], written["tolerance"]) == (5, 4, None)
    assert {row["mark"] for row in written["marks"]} == {"verified"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["submit"], "the following arguments are required: --out"),
        (["submit", "--out", "x"], "there is no store .interp-bench/store.sqlite3"),
        (["submit", "--out", "x", "--store", "s.sqlite3", "--run", "zzz"], "holds no run 'zzz'"),
        (["submit", "--out", "x", "--store", "s.sqlite3"], "its skill does not follow from scores of mcc"),
        (["verify"], "the following arguments are required: FILE"),
        (["verify", "none.json"], "there is no file none.json"),
        (["verify", "."], "there is no file ."),
        (["verify", "models.yaml"], "models.yaml: is not JSON"),
        (["verify", "x", "--sample", "-1"], "'-1' is no number of trials"),
        (["verify", "x", "--sample", "many"], "'many' is no number of trials"),
        (["verify", "x", "--tolerance", "nan"], "'nan' is no difference of skill"),
        (["verify", "x", "--seed", "1.5"], "'1.5' is no seed"),
    ],
)
def test_mistakes_are_one_line(
    run: Any, make_trial: Any, tmp_path: Path, arguments: list[str], message: str
) -> None:
    with Store.open(tmp_path / "s.sqlite3") as store:
        store.put(make_trial())
    ran = run(*arguments)
    assert (ran.status, ran.out, ran.err.count("\n")) == (4, "", 1)
    assert message in ran.err
    assert not (tmp_path / "x").exists()


def test_a_run_is_chosen_by_its_id(run: Any, make_trial: Any, tmp_path: Path) -> None:
    right = {"floor_scores": {"mcc": 0.0}, "ceiling_scores": {"mcc": 1.0}}
    with Store.open(tmp_path / DEFAULT_PATH) as store:
        for name in ("one", "two"):
            store.put(make_trial(run_id=name, technique=name, **right))
    for arguments, name in (([], "two"), (["--run", "one"], "one"), (["--run", "last"], "two")):
        assert run("submit", "--out", "out.json", *arguments).status == 0
        document = json.loads((tmp_path / "out.json").read_bytes())
        assert (document["run"], list(document["techniques"])) == (name, [f"features/{name}"])


@pytest.mark.slow
def test_a_real_run_is_verified_in_workers_of_its_own(tmp_path: Path) -> None:
    """The same code as ``pytest --bench``: planted, isolated, scored, and the same to the last bit."""
    (tmp_path / "pyproject.toml").touch()
    shutil.copytree(ROOT / "tasks" / "features", tmp_path / "tasks" / "features")
    shutil.copy(ROOT / "examples" / "my_technique.py", tmp_path)
    bench = [
        sys.executable, "-m", "pytest", "--bench", "--bench-task", "dictionary",
        "--bench-model", "native-30k", "--bench-seeds", "1",
        "--bench-technique", "pca", "--bench-technique", "my_technique.py",
    ]  # fmt: skip
    tool = [sys.executable, "-c", "import sys; from interp_bench.cli import main; sys.exit(main())"]
    verify = [*tool, "verify", "mine.json", "--technique", "my_technique.py"]
    for command in (bench, [*tool, "submit", "--out", "mine.json"], verify):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=250, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "3 verified, 0 differ, 0 cannot be told here" in done.stdout
    assert done.stdout.count("bit for bit") == 3 + 1
