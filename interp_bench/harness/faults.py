"""Why a problem or a trial has no scores: exceptions turned into a status and a reason."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path

import torch

from interp_bench.errors import Inapplicable, UnavailableError, one_line
from interp_bench.harness.trial import Status

_LONGEST_REASON = 500
_LONGEST_TRACE = 8000
_OWN_FOLDER = str(Path(__file__).resolve().parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a problem or a trial has no scores.

    Attributes:
        status, reason: for the trial.
        error: the exception behind it, where it was raised in this process; None where there is nothing
            to mend.
        trace: the traceback in text, without the frames of the harness; what a worker wrote last, where
            it left no traceback.
    """

    status: Status
    reason: str
    error: BaseException | None = None
    trace: str = ""


def fault_of(error: BaseException, where: str) -> Fault:
    """Return the fault that an exception stands for.

    Args:
        error: what was raised.
        where: who raised it, put before the reason.
    """
    match error:
        case Inapplicable() | UnavailableError():
            return Fault(status="skipped", reason=said(error))
        case MemoryError() | torch.OutOfMemoryError():
            status: Status = "out_of_memory"
        case RuntimeError() if _is_allocation(str(error)):
            status = "out_of_memory"
        case _:
            status = "failed"
    return Fault(status=status, reason=f"{where}{_named(error)}", error=error, trace=trace_of(error))


def said(error: BaseException) -> str:
    """Return the text of an exception as one line of at most 500 characters."""
    return shortened(one_line(str(error)))


def shortened(text: str) -> str:
    """Return a text of at most 500 characters."""
    return text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 3] + "..."


def trace_of(error: BaseException) -> str:
    """Return the traceback of an exception, frames of the harness left out; empty where no others are."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(_OWN_FOLDER)
    ]
    if not frames:
        return ""
    # A recursion has a thousand frames that say the same.
    text = "".join(traceback.StackSummary.from_list(frames).format())
    text += "".join(traceback.format_exception_only(error))
    half = _LONGEST_TRACE // 2
    return text if len(text) <= _LONGEST_TRACE else f"{text[:half]}\n    [...]\n{text[-half:]}"


def _is_allocation(text: str) -> bool:
    return "DefaultCPUAllocator" in text or "out of memory" in text.lower()


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {said(error)}".rstrip(": ")
