"""What travels between the process that the user started and a worker that runs a group of cells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """The plan as it is handed to a worker, which remakes it from the options it was started with.

    Attributes:
        run: id of the run.
        stored: keys of the trials that need not be run again.
        threads: intra-op threads of the worker.
        workers: how many of them share a machine.
    """

    run: str
    stored: tuple[str, ...]
    threads: int
    workers: int = 1

    def as_input(self) -> dict[str, Any]:
        """Return it as plain values, for ``config.workerinput``."""
        return {
            "run": self.run,
            "stored": list(self.stored),
            "threads": self.threads,
            "workers": self.workers,
        }

    @classmethod
    def of_input(cls, sent: dict[str, Any]) -> Handed:
        """Return what `as_input` gave."""
        return cls(**{**sent, "stored": tuple(sent["stored"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A group of cells for one worker.

    Attributes:
        handed: the plan.
        arguments: pytest's, as the user gave them.
        folder: the folder that pytest was started in.
        environment: variables that decide what pytest and the registry load.
        keys: the cells to run, in this order.
    """

    handed: Handed
    arguments: tuple[str, ...]
    folder: Path
    environment: dict[str, str]
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Began:
    """A worker starts on the first cell of a group.

    Attributes:
        key: of the cell.
    """

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A trial on its way home.

    Attributes:
        key: of the cell.
        trial: as JSON.
        seconds: that the cell took, planting included.
        shown: what pytest shows of the exception behind it; None where the reason says all.
        output: what was written to standard output and error meanwhile.
        trace: the traceback in text, of a technique that ran in a process of its own.
        then: key of the cell that its worker starts on as soon as this has arrived; empty for the last one.
    """

    key: str
    trial: str
    seconds: float
    shown: Any = None
    output: tuple[str, str] = ("", "")
    trace: str = ""
    then: str = ""


Post = Began | Arrival
