"""Runs that are killed at random moments and resumed: what is lost, computed twice or corrupt afterwards.

Run ``python benchmarks/kill_points.py [--kills N] [--seed S] [--write benchmarks/kill_points.md]`` (Linux
and macOS). A small real run is started, killed with SIGKILL, and started again on the same store until
it is complete; then the next one begins on an empty store. After each kill the store is examined; in
the end it is compared with that of a run that nobody disturbed. The command fails unless every count is 0.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from tabulate import tabulate

from interp_bench.errors import StoreError
from interp_bench.harness.keys import is_settled
from interp_bench.harness.store import Store
from interp_bench.harness.trial import Trial

ROOT = Path(__file__).resolve().parents[1]
SELECTION = (
    "--bench-model", "native-30k", "--bench-task", "token_evidence", "--bench-task", "class_tokens",
    "--bench-seeds", "2",
)  # fmt: skip
KINDS: dict[str, tuple[int, str, float]] = {
    "while it starts": (0, "group", 0.2),
    "main process": (0, "main", 0.2),
    "whole process group": (0, "group", 0.25),
    "main process of `-n 2`": (2, "main", 0.1),
    "whole process group of `-n 2`": (2, "group", 0.1),
    "one worker of `-n 2`": (2, "worker", 0.15),
}
"""Workers, which processes are killed, and the share of all kills."""

FAULTS = ("lost", "duplicated", "corrupt", "left behind", "differing")
HEADERS = ("killed", "kills", *FAULTS, "longest until all processes ended")
PATIENCE = 20.0
"""Seconds in which every process of a killed run has to be gone."""

_LONGEST_START, _MOST_TRIALS, _MOST_JITTER = 6.0, 5, 0.3
_TAG = "INTERP_BENCH_KILL_POINT"
_REPORT = re.compile(r"::(\S+\]) (?:PASSED|SKIPPED)|(?:PASSED|SKIPPED) \S+::(\S+\])")


class Running:
    """A run of the benchmark in a session of its own.

    Args:
        store: file of the store.
        workers: of pytest-xdist, 0 for none.
        selection: options that say what is run.
    """

    def __init__(self, store: Path, workers: int, selection: Sequence[str] = SELECTION) -> None:
        self.tag = uuid.uuid4().hex
        settings = store.with_name("pytest.ini")
        settings.write_text("[pytest]\n", encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "--bench", str(ROOT / "tasks"), *selection, "-v"]
        command += ["-c", str(settings), "-p", "no:cacheprovider", "--bench-store", str(store)]
        command += ["-n", str(workers)] if workers else []
        self.process = subprocess.Popen(
            command,
            cwd=store.parent,
            env=os.environ | {_TAG: self.tag, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.printed: list[str] = []
        self.output: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.output.append(line)
                self.printed += [match[1] or match[2] for match in _REPORT.finditer(line)]
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def wait_for(self, count: int, seconds: float = 120.0) -> bool:
        """Wait until so many trials were reported, or the run has ended; return whether it still runs."""
        deadline = time.monotonic() + seconds
        with self._news:
            while len(self.printed) < count and self.process.poll() is None:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no report within {seconds} s:\n{''.join(self.output[-20:])}")
                self._news.wait(0.2)
        return self.process.poll() is None

    def kill(self, what: str, rng: random.Random) -> None:
        """Kill the main process, one of its children, or the whole process group."""
        children = [child.pid for child in psutil.Process(self.process.pid).children()]
        if what == "worker" and children:
            os.kill(rng.choice(sorted(children)), signal.SIGKILL)
            self.process.wait(timeout=300)
        elif what == "main":
            self.process.kill()
        else:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def outlive(self) -> tuple[int, float]:
        """Return how many of its processes are left after ``PATIENCE``, which ends them, and the wait."""
        start = time.monotonic()
        while (left := self._processes()) and time.monotonic() - start < PATIENCE:
            time.sleep(0.05)
        waited = time.monotonic() - start
        for process in left:
            process.kill()
        self._reader.join(timeout=PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return len(left), waited

    def _processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                alive = process.status() != psutil.STATUS_ZOMBIE
                if alive and process.environ().get(_TAG) == self.tag:
                    found.append(process)
            except psutil.Error:
                continue
        return found


@dataclass(kw_only=True)
class Ledger:
    """What one store is known to hold.

    Attributes:
        path: its file.
        rows: each row as it was last seen, by key and run.
    """

    path: Path
    rows: dict[tuple[str, str], str] = field(default_factory=dict)

    def settled(self) -> int:
        """Return how many trials a next run takes over."""
        if not self.path.exists():
            return 0
        with Store.open(self.path) as store:
            return len(store.settled())

    def examine(self, printed: Sequence[str]) -> Counter[str]:
        """Return the faults of the store after a kill, and remember what it holds.

        Args:
            printed: names of the trials that the run had reported.
        """
        found: Counter[str] = Counter()
        if not self.path.exists():
            found["lost"] = len(self.rows) + len(printed)
            return found
        try:
            found["corrupt"] = _integrity(self.path) != "ok"
            with Store.open(self.path) as store:
                trials = store.trials()
        except (StoreError, sqlite3.Error) as error:
            print(f"  {error}", file=sys.stderr)
            found["corrupt"] += 1
            return found
        rows = {(trial.key, trial.run_id): trial.model_dump_json() for trial in trials}
        names = {bare(trial) for trial in trials}
        found["lost"] += sum(rows.get(place) != row for place, row in self.rows.items())
        found["lost"] += sum(name not in names for name in printed)
        found["duplicated"] += len(trials) - len(rows) + _computed_again(trials)
        self.rows = rows
        return found


def _integrity(path: Path) -> str:
    connection = sqlite3.connect(path)
    try:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        connection.close()


def bare(trial: Trial) -> str:
    """Return the name of a trial without its track, as a node id ends."""
    return trial.name.partition("/")[2]


def _computed_again(trials: Sequence[Trial]) -> int:
    """Return how many trials, oldest first, were computed although their key was settled."""
    settled: set[str] = set()
    again = 0
    for trial in trials:
        again += trial.key in settled
        if is_settled(trial.status, posed=bool(trial.ceiling_scores)):
            settled.add(trial.key)
    return again


def results(path: Path) -> dict[str, tuple[object, ...]]:
    """Return what the newest trial of each key measured, without what depends on the clock."""
    with Store.open(path) as store:
        return {
            trial.key: (
                trial.status, trial.skill, trial.scores, trial.floor_scores, trial.floor_spread,
                trial.ceiling_scores, trial.certificate, trial.forwards, trial.backwards,
            )
            for trial in store.latest()
        }  # fmt: skip


def undisturbed(folder: Path, selection: Sequence[str] = SELECTION) -> Path:
    """Run the selection to its end in a folder, and return the store."""
    folder.mkdir(parents=True)
    finish(folder / "store.sqlite3", selection)
    return folder / "store.sqlite3"


def finish(store: Path, selection: Sequence[str] = SELECTION) -> None:
    """Run what is missing in a store.

    Raises:
        RuntimeError: pytest failed; its output is the text.
    """
    run = Running(store, 0, selection)
    status = run.process.wait(timeout=300)
    run.outlive()
    if status:
        raise RuntimeError("".join(run.output))


@dataclass(kw_only=True)
class Campaign:
    """Kills, one after another.

    Attributes:
        folder: where the stores are.
        expected: results of the undisturbed run.
        rng: decides about kinds and moments.
        faults: counts of each kind of kill.
        slowest: longest wait for processes to end, of each kind.
    """

    folder: Path
    expected: dict[str, tuple[object, ...]]
    rng: random.Random
    selection: Sequence[str] = SELECTION
    faults: dict[str, Counter[str]] = field(default_factory=dict)
    slowest: dict[str, float] = field(default_factory=dict)
    _rounds: int = 0

    def run(self, kills: int) -> None:
        """Kill so many runs."""
        done = 0
        while done < kills:
            self._rounds += 1
            store = self.folder / f"round-{self._rounds}" / "store.sqlite3"
            store.parent.mkdir(parents=True)
            ledger = Ledger(path=store)
            kind = ""
            while done < kills and ledger.settled() < len(self.expected):
                kind = self._choose()
                done += self.kill_one(ledger, kind)
            finish(store, self.selection)
            self._note(kind, ledger.examine(()) + Counter(differing=self._differing(store)))

    def _choose(self) -> str:
        shares = [share for _, _, share in KINDS.values()]
        return self.rng.choices(list(KINDS), weights=shares)[0]

    def kill_one(self, ledger: Ledger, kind: str) -> bool:
        """Start a run, kill it, and examine the store; return False where it ended before the moment."""
        workers, what, _ = KINDS[kind]
        if kind == "while it starts":
            reports, delay = 0, self.rng.uniform(0, _LONGEST_START)
        else:
            reports = ledger.settled() + self.rng.randint(1, _MOST_TRIALS)
            delay = self.rng.uniform(0, _MOST_JITTER)
        run = Running(ledger.path, workers, self.selection)
        if run.wait_for(reports):
            time.sleep(delay)
        killed = run.process.poll() is None
        if killed:
            run.kill(what, self.rng)
        left, waited = run.outlive()
        found = ledger.examine(run.printed) + Counter({"left behind": left})
        stored = f"{len(ledger.rows)} rows stored"
        print(f"{kind}: killed={killed}, {stored}, {dict(+found) or 'no fault'}, {waited:.1f} s", flush=True)
        self._note(kind, found + Counter(kills=int(killed)))
        self.slowest[kind] = max(waited, self.slowest.get(kind, 0.0))
        return killed

    def _note(self, kind: str, found: Counter[str]) -> None:
        self.faults[kind] = self.faults.get(kind, Counter()) + found

    def _differing(self, store: Path) -> int:
        """Return how many trials of a complete store are not those of the undisturbed run, to the bit."""
        found = results(store)
        return sum(found.get(key) != self.expected.get(key) for key in found.keys() | self.expected.keys())

    def total(self) -> Counter[str]:
        """Return the counts of all kinds together."""
        return sum(self.faults.values(), Counter())

    def table(self) -> str:
        """Return the counts as a Markdown table."""
        rows = [
            [kind, found["kills"], *(found[name] for name in FAULTS), f"{self.slowest.get(kind, 0.0):.1f} s"]
            for kind, found in ((kind, self.faults[kind]) for kind in KINDS if kind in self.faults)
        ]
        total = self.total()
        longest = f"{max(self.slowest.values(), default=0.0):.1f} s"
        rows.append(["all", total["kills"], *(total[name] for name in FAULTS), longest])
        return tabulate(rows, headers=HEADERS, tablefmt="github", disable_numparse=True)


PAGE = """# Runs killed at random moments

Written by `{command}`; do not edit it by hand.

A run of {trials} trials (`pytest --bench {selection}`) is killed with SIGKILL at a random moment and started
again on the same store until it is complete; then the next one begins on an empty store. One row a
kind of kill.

- **lost**: trials that were reported or seen in the store before, and are not in it, or not as they were
- **duplicated**: trials computed although their key was settled, and keys stored twice by one run
- **corrupt**: stores that SQLite's `integrity_check` or the benchmark refuses
- **left behind**: processes that still run {patience:.0f} s after the kill
- **differing**: trials of a completed store whose status, scores, floor, ceiling, certificate or number of
  passes are not those of an undisturbed run to the last bit

{table}
"""


def main() -> int:
    """Print or write the table; return 1 where a count of faults is not 0."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of kinds and moments; default: %(default)s")
    parser.add_argument("--write", type=Path, help="file for the Markdown page")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="interp-bench-") as name:
        expected = results(undisturbed(Path(name) / "undisturbed"))
        campaign = Campaign(folder=Path(name), expected=expected, rng=random.Random(options.seed))
        campaign.run(options.kills)
    table = campaign.table()
    print(table)
    if options.write:
        command = f"python benchmarks/kill_points.py --kills {options.kills} --seed {options.seed}"
        page = PAGE.format(
            command=f"{command} --write {options.write}",
            trials=len(expected),
            selection=" ".join(SELECTION),
            patience=PATIENCE,
            table=table,
        )
        options.write.write_text(page, encoding="utf-8")
    return int(any(campaign.total()[name] for name in FAULTS))


if __name__ == "__main__":
    sys.exit(main())
