"""Techniques written into files, run in worker processes on the pretended problem, as a run does it."""

from __future__ import annotations

import gc
import os
import re
import textwrap
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil

from interp_bench.harness.calling import Caller, Here
from interp_bench.harness.discovery import load_techniques
from interp_bench.harness.isolation.caller import Isolated
from interp_bench.harness.isolation.staff import Nursery, the_nursery
from interp_bench.harness.limits import Limits
from interp_bench.harness.runner import Outcome, Runner
from interp_bench.harness.trial import Provenance

HEAD = """
import ctypes, gc, os, signal, subprocess, sys, threading, time
import numpy as np
import torch
from {fakes} import Guess, GuessProblem
from interp_bench.errors import Inapplicable
from interp_bench.tracks.catalogue import technique

@technique(cites="a stranger")
def {name}(problem: GuessProblem) -> Guess:
    '''Do something.'''
"""


def provenance() -> Provenance:
    return Provenance(interp_bench="0", python="3", started_at="2026-01-02T03:04:05+00:00")


class Lab:
    """Runs bodies of techniques.

    Attributes:
        folder: where their files are; what it holds otherwise, workers can read.
        nursery: starts the workers.
    """

    def __init__(self, fakes: ModuleType, folder: Path) -> None:
        self.fakes = fakes
        self.folder = folder
        self.nursery: Nursery = the_nursery(())
        self._count = 0
        # Runners collect garbage as they start and end, which takes long among the objects of torch.
        gc.freeze()
        self._runners: list[Runner] = []

    def runner(self, isolate: str = "fresh", *, hidden: tuple[Path, ...] = (), **limits: Any) -> Runner:
        """Return a runner; ``limits`` are fields of Limits."""
        usual: dict[str, Any] = {"seconds": 20.0, "memory_bytes": 1 << 30}
        caller: Caller = Here()
        if isolate != "none":
            limited = Limits(**{**usual, **limits})
            caller = Isolated(self.nursery, limited, warm=isolate == "warm", hidden=hidden)
        models = self.fakes.FakeModels(*self.fakes.MODELS.specs)
        made = Runner(opener=models.open, run="run", provenance=provenance, caller=caller, floor_draws=4)
        self._runners.append(made)
        return made

    def write(self, body: str, *, head: str = "") -> str:
        """Write a technique with this body into a file of its own, register it, and return its name."""
        self._count += 1
        name = f"stranger_{self._count}"
        text = head + HEAD.format(fakes=self.fakes.__name__, name=name)
        path = self.folder / f"{name}.py"
        path.write_text(text + textwrap.indent(textwrap.dedent(body), "    ") + "\n", encoding="utf-8")
        load_techniques(path)
        return name

    def cell(self, name: str, seed: int = 0) -> Any:
        """Return the cell of a technique, built-in ones of the fakes included."""
        return {c.row.name: c for c in self.fakes.grid(name, seeds=(seed,)).cells}[name]

    def run(self, body: str, *, runner: Runner | None = None, head: str = "", **changes: Any) -> Outcome:
        """Run a technique with this body once."""
        name = self.write(body, head=head)
        return (runner or self.runner(**changes)).run(self.cell(name))

    def check(self, body: str, status: str, reason: str, *, head: str = "", **limits: Any) -> Outcome:
        """Run a body between two trials of a good technique, and look at what became of all three.

        Args:
            body: of the technique.
            status: what its trial has to have.
            reason: what its reason has to match as a whole.
            head: goes before everything else in its file.
            limits: as for `runner`.
        """
        runner = self.runner(**limits)
        before = runner.run(self.cell("reader")).trial
        running = settled(count_family, None)
        outcome = runner.run(self.cell(self.write(body, head=head)))
        assert outcome.trial.status == status, outcome
        assert re.fullmatch(reason, outcome.trial.reason, re.DOTALL), outcome.trial.reason
        assert (outcome.trial.scores == {}) == (status != "ok")
        after = runner.run(self.cell("reader")).trial
        assert (after.status, after.scores) == ("ok", before.scores), after.reason
        count = settled(count_family, running)
        # There may be fewer: on a busy machine one that an earlier test ended can still count as running.
        assert count <= running, f"{count} processes of {running}"
        return outcome

    def keeper(self) -> psutil.Process:
        """Return the keeper at hand, once those of earlier problems are gone."""
        assert self.nursery._process is not None
        nursery = psutil.Process(self.nursery._process.pid)
        assert settled(lambda: len(nursery.children()), 1) == 1
        [keeper] = nursery.children()
        return keeper

    def close(self) -> None:
        """End what was started."""
        for runner in self._runners:
            runner.close()
        gc.unfreeze()


def count_family() -> int:
    """Return how many processes there are below this one, or that were forked from its nursery."""
    own = os.getpid()
    mark = f"nursery import main; main\\(\\d+, {own}\\)".encode()
    children: dict[int, list[int]] = {}
    found = set()
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            pid = int(folder.name)
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z" and (folder / "statm").read_text().startswith("0 "):
                continue  # killed, and its memory is being given back
            children.setdefault(int(parent), []).append(pid)
            if re.search(mark, (folder / "cmdline").read_bytes()):
                found.add(pid)
    todo = [own]
    while todo:
        below = children.get(todo.pop(), [])
        found.update(below)
        todo += below
    return len(found)


def settled(count: Callable[[], int], wanted: int | None) -> int:
    """Return a count once it is the one wanted, or has stayed the same for a while."""
    deadline = time.monotonic() + 10.0
    now, since = count(), time.monotonic()
    while time.monotonic() < deadline:
        if now == wanted or (wanted is None and time.monotonic() - since > 0.1):
            break
        time.sleep(0.02)
        if (new := count()) != now:
            now, since = new, time.monotonic()
    return now


def gone(pid: int) -> bool:
    """Return whether a process has ended; the kernel may need a moment for one that was killed."""
    try:
        process = psutil.Process(pid)
        process.wait(timeout=10)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return process.status() == psutil.STATUS_ZOMBIE
    return True
