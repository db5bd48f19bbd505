"""Regression gates: bounds on skill that a run must keep, by number or against a stored run."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from interp_bench.errors import InterpBenchError, near_name
from interp_bench.harness.folders import is_file, is_folder
from interp_bench.harness.grid import CEILING, Cell
from interp_bench.harness.lines import read_lines
from interp_bench.harness.store import Store
from interp_bench.harness.trial import Trial

LAST = "last"
"""Stands for the newest run of a store."""

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

    A drop within the noise of a seed counts like any other, since one trial cannot tell them apart.

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
        drop: how far the skill of a single trial may drop, or None.
        mean_drop: how far the mean skill of a technique over the cells in common may drop, or None.
        before: the trials that are compared with, by what they ask (``Trial.cell``).
        source: where they are from, in words.
        option: where drops are allowed, for the texts of failures.
    """

    minima: Sequence[MinSkill] = ()
    drop: MaxDrop | None = None
    mean_drop: MaxDrop | None = None
    before: dict[Identity, Trial] = field(default_factory=dict)
    source: str = ""
    option: str = "--bench-compare-fail"

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
                f"{self.option} allows {allowed:.3f}"
            )
        return ""

    def mean_failure(self, technique: str, before: float | None, now: float | None) -> str:
        """Return why a technique fails the gate on its mean skill, or an empty string.

        Args:
            technique: its name in the text.
            before: mean skill over the cells that both runs have, failing trials at 0; None where there
                is no such cell.
            now: the same in this run.
        """
        if self.mean_drop is None or before is None or now is None:
            return ""
        allowed = self.mean_drop.allowed(before)
        if now >= allowed:
            return ""
        return (
            f"mean skill of {technique} is {now:.3f} and was {before:.3f}; {self.option} allows {allowed:.3f}"
        )

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


def parse_max_drops(
    texts: Iterable[str], *, option: str = "--bench-compare-fail"
) -> tuple[MaxDrop | None, MaxDrop | None]:
    """Read ``skill:-5%`` or ``skill:-0.05``, for single trials, and ``mean:-2%``, for techniques.

    Args:
        texts: as given, in any order; the last of several of one word counts.
        option: what errors name.

    Returns:
        The largest drop of a trial, and of the mean of a technique; None where it is not given.

    Raises:
        InterpBenchError: a text has another form.
    """
    found: dict[str, MaxDrop] = {}
    for text in texts:
        word = "mean" if text.startswith("mean:") else "skill"
        found[word] = parse_max_drop(text, word=word, option=option)
    return found.get("skill"), found.get("mean")


def parse_max_drop(text: str, *, word: str = "skill", option: str = "--bench-compare-fail") -> MaxDrop:
    """Read ``skill:-5%`` or ``skill:-0.05``.

    Args:
        text: the option.
        word: what stands before the colon.
        option: what errors name.

    Raises:
        InterpBenchError: the text has another form.
    """
    name, _, number = text.partition(":")
    amount = _number(number.removesuffix("%"))
    if name != word or amount is None or amount > 0:
        raise InterpBenchError(
            f"{option} is {text!r}; give the largest drop, such as skill:-5% or skill:-0.05 for single "
            "trials, or mean:-2% for the means of techniques"
        )
    relative = number.endswith("%")
    return MaxDrop(amount=-amount / 100 if relative else -amount, relative=relative)


def load_comparison(
    source: str, *, store: Path, root: Path, current: str = "", asker: str = "--bench-compare"
) -> dict[Identity, Trial]:
    """Return the trials to compare with, negative controls left out.

    Args:
        source: a folder of ``*.jsonl``, one such file, another store, the id of a run, or ``last``.
        store: the store in which a run is looked up.
        root: folder that relative paths are looked up in.
        current: id of the run that is compared, which is never the ``last`` one meant.
        asker: option or command that errors name.

    Raises:
        InterpBenchError: there is no such run or file, or it cannot be read.
    """
    path = root / source
    if is_folder(path):
        files = sorted(path.glob("*.jsonl"))
        if not files:
            raise InterpBenchError(f"{asker}: the folder {path} holds no *.jsonl")
        trials = [trial for file in files for trial in read_lines(file)]
    elif path.suffix == ".jsonl" and is_file(path):
        trials = read_lines(path)
    elif is_file(path):
        with Store.open(path) as other:
            trials = other.latest()
    else:
        trials = _read_run(source, store, current, asker)
    return {trial.cell: trial for trial in trials if not trial.control}


def source_name(source: str, *, store: Path, root: Path, current: str = "") -> str:
    """Return what a source is called in a text: a run by its id, a file or folder by its path.

    Args:
        source: as ``load_comparison`` takes it, like the rest.
        store: see there.
        root: see there.
        current: see there.
    """
    if os.path.exists(root / source):
        return source
    runs = _earlier(store, current) if source == LAST else []
    return f"run {runs[-1] if runs else source}"


def _earlier(store: Path, current: str) -> list[str]:
    if not is_file(store):
        return []
    with Store.open(store) as stored:
        return [name for name in stored.runs() if name != current]


def _read_run(run: str, store: Path, current: str, asker: str) -> list[Trial]:
    runs = _earlier(store, current)
    if run == LAST and runs:
        run = runs[-1]
    if run in runs:
        with Store.open(store) as stored:
            return stored.trials(run)
    hint = near_name(run, [*runs, LAST]) or (f"; the newest is {runs[-1]}" if runs else "")
    raise InterpBenchError(f"{asker}: there is no run, file or folder {run!r}{hint}")


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
