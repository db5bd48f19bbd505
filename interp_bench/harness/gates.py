"""Regression gates: bounds on skill that a run must keep, by number or against a stored run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from interp_bench.errors import InterpBenchError, near_name
from interp_bench.harness.folders import is_file, is_folder
from interp_bench.harness.grid import CEILING, Cell
from interp_bench.harness.lines import read_lines
from interp_bench.harness.store import Store
from interp_bench.harness.trial import Trial

Identity = tuple[str, str, str, int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MinSkill:
    """Trials of a technique must have at least this skill.

    Attributes:
        technique: name or ``track/name``.
        bound: least skill.
    """

    technique: str
    bound: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxDrop:
    """Skill may not drop by more than this against the stored run.

    Attributes:
        amount: positive; a fraction of the stored skill when ``relative``, else in skill.
        relative: whether ``amount`` is a fraction.
    """

    amount: float
    relative: bool

    def allowed(self, before: float) -> float:
        """Return the least skill that is allowed where it was ``before``."""
        return before - (abs(before) * self.amount if self.relative else self.amount)


@dataclass(frozen=True, kw_only=True)
class Gates:
    """All gates of a run.

    Attributes:
        minima: bounds by technique.
        drop: how far skill may drop, or None.
        before: the trials that are compared with, by what they ask (``Trial.cell``).
    """

    minima: Sequence[MinSkill] = ()
    drop: MaxDrop | None = None
    before: dict[Identity, Trial] = field(default_factory=dict)

    def failure(self, trial: Trial) -> str:
        """Return why a trial fails the gates, or an empty string; controls, which should be low, never do."""
        if trial.skill is None or trial.control:
            return ""
        for minimum in self.minima:
            named = minimum.technique in (trial.technique, trial.technique_id)
            if named and trial.skill < minimum.bound:
                return f"skill {trial.skill:.3f} is below the bound {minimum.bound:g} of --bench-min-skill"
        old = self.before.get(trial.cell)
        if self.drop is None or old is None or old.skill is None:
            return ""
        allowed = self.drop.allowed(old.skill)
        if trial.skill < allowed:
            return (
                f"skill {trial.skill:.3f} was {old.skill:.3f} in run {old.run_id}; "
                f"--bench-compare-fail allows {allowed:.3f}"
            )
        return ""

    def lost(self, trials: Iterable[Trial]) -> list[Trial]:
        """Return the trials that had a skill before and were tried again without getting one."""
        now = {trial.cell: trial.skill for trial in trials}
        return [
            old for cell, old in self.before.items() if old.skill is not None and now.get(cell, 0.0) is None
        ]

    def gone(self, cells: Iterable[Cell], *, narrowed: Iterable[str]) -> list[Trial]:
        """Return the trials that had a skill before and of which this run has not even a cell.

        Args:
            cells: all cells of this run.
            narrowed: which of ``technique``, ``task`` and ``model`` the user has narrowed; trials
                outside of the narrowed selection are not missed.
        """
        listed, kinds = list(cells), list(narrowed)
        have = {cell.identity for cell in listed}
        seeds = {cell.seed for cell in listed}
        inside = {
            "technique": {cell.technique_id for cell in listed},
            "task": {cell.task.id for cell in listed},
            "model": {cell.spec.id for cell in listed},
        }

        def missed(trial: Trial) -> bool:
            values = {"technique": trial.technique_id, "task": trial.task_id, "model": trial.model}
            selected = trial.seed in seeds and all(values[kind] in inside[kind] for kind in kinds)
            return selected and trial.skill is not None and trial.cell not in have

        return [old for old in self.before.values() if missed(old)]


def parse_min_skill(text: str, known: Iterable[str]) -> MinSkill:
    """Read ``name:0.5``.

    Args:
        text: the option.
        known: names and ``track/name`` of techniques.

    Raises:
        InterpBenchError: the text has another form, or the technique is unknown.
    """
    name, colon, number = text.rpartition(":")
    bound = _number(number)
    if not colon or not name or bound is None:
        raise InterpBenchError(
            f"--bench-min-skill is {text!r}; give a technique and a skill, such as pca:0.5"
        )
    names = [*known, CEILING]
    if name not in names:
        raise InterpBenchError(f"--bench-min-skill: no technique is called {name!r}{near_name(name, names)}")
    return MinSkill(technique=name, bound=bound)


def parse_max_drop(text: str) -> MaxDrop:
    """Read ``skill:-5%`` or ``skill:-0.05``.

    Raises:
        InterpBenchError: the text has another form.
    """
    name, _, number = text.partition(":")
    amount = _number(number.removesuffix("%"))
    if name != "skill" or amount is None or amount > 0:
        raise InterpBenchError(
            f"--bench-compare-fail is {text!r}; give the largest drop, such as skill:-5% or skill:-0.05"
        )
    relative = number.endswith("%")
    return MaxDrop(amount=-amount / 100 if relative else -amount, relative=relative)


def load_comparison(source: str, *, store: Path, root: Path) -> dict[Identity, Trial]:
    """Return the trials to compare with, negative controls left out.

    Args:
        source: a folder of ``*.jsonl``, one such file, another store, or the id of a run.
        store: the store in which a run is looked up.
        root: folder that relative paths are looked up in.

    Raises:
        InterpBenchError: there is no such run or file, or it cannot be read.
    """
    path = root / source
    if is_folder(path):
        files = sorted(path.glob("*.jsonl"))
        if not files:
            raise InterpBenchError(f"--bench-compare: the folder {path} holds no *.jsonl")
        trials = [trial for file in files for trial in read_lines(file)]
    elif path.suffix == ".jsonl" and is_file(path):
        trials = read_lines(path)
    elif is_file(path):
        with Store.open(path) as other:
            trials = other.latest()
    else:
        trials = _read_run(source, store)
    return {trial.cell: trial for trial in trials if not trial.control}


def _read_run(run: str, store: Path) -> list[Trial]:
    runs: list[str] = []
    if store.is_file():
        with Store.open(store) as stored:
            runs = stored.runs()
            if run in runs:
                return stored.trials(run)
    hint = near_name(run, runs) or (f"; the newest is {runs[-1]}" if runs else "")
    raise InterpBenchError(f"--bench-compare: there is no run, file or folder {run!r}{hint}")


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
