"""What a worker is asked, and what it says of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from interp_bench.harness.limits import Limits

Text = Annotated[str, Field(max_length=20_000)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Told = Literal["ok", "failed", "skipped", "out_of_memory"]
"""What a worker may say of its own trial; the rest is found out from outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a technique is defined.

    Attributes:
        module: name of its module.
        file: the file it is loaded from; empty where the module is imported by name.
    """

    module: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One thing that a worker does.

    Attributes:
        do: ``call`` a technique, or ``describe`` what a source registers.
        source: where it is defined.
        technique: ``track/name``.
        seed: of the technique's own randomness.
        owner: whose techniques may share one worker; empty for one that shares it with nobody.
        limits: what it may take.
    """

    do: Literal["call", "describe"]
    source: Source
    technique: str = ""
    seed: int = 0
    owner: str = ""
    limits: Limits = field(default_factory=Limits)

    def as_json(self) -> dict[str, Any]:
        """Return the job for the wire."""
        return asdict(self)

    @classmethod
    def of(cls, data: dict[str, Any]) -> Job:
        """Return the job of what `as_json` gave."""
        source, limits = Source(**data.pop("source")), Limits(**data.pop("limits"))
        return cls(source=source, limits=limits, **data)


class Report(BaseModel):
    """What a worker says of its job; a technique could have forged it, about itself.

    Attributes:
        status, reason: of the trial, apart from what grading finds.
        trace: traceback in text.
        warnings: how many of each category.
        accelerator_bytes: peak memory of the accelerator above that at the start of the call.
        forwards, backwards: passes through the model, as its handle counted them.
        answered: whether an answer follows.
        found: what a source registers, where that was asked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Told = "ok"
    reason: Text = ""
    trace: Text = ""
    warnings: dict[Annotated[str, Field(max_length=200)], Count] = Field(default={}, max_length=100)
    accelerator_bytes: Count = 0
    forwards: Count = 0
    backwards: Count = 0
    answered: bool = False
    found: tuple[dict[str, Any], ...] = ()


class Ending(BaseModel):
    """What a keeper says of a worker that has ended its job.

    Attributes:
        how: it ``answered``, or ``died`` before, or was ended: for its ``time``, ``memory``, ``output``,
            number of ``processes``, bytes on ``disk``, or for what was no message (``garbled``).
        called: whether the call had begun.
        answered: whether the bytes of an answer follow.
        code: exit status of one that died; minus the number of a signal.
        seconds, cpu_seconds: of the call, measured from outside.
        peak_bytes: peak memory above that at the start of the call, measured from outside.
        left: processes that were still running at the end of the call.
        output: what it wrote last.
        report: what it said itself, as JSON.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    how: Literal["answered", "died", "time", "memory", "output", "processes", "disk", "garbled"]
    called: bool = False
    answered: bool = False
    code: int = 0
    seconds: FiniteFloat = 0.0
    cpu_seconds: FiniteFloat = 0.0
    peak_bytes: int = 0
    left: int = 0
    output: str = ""
    report: str = ""
