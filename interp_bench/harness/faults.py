"""Why a problem or a trial has no scores: exceptions turned into a status and a reason."""

from __future__ import annotations

import re
import traceback
from dataclasses import dataclass
from pathlib import Path

import torch

from interp_bench.errors import Inapplicable, UnavailableError, one_line
from interp_bench.harness.trial import Status

_LONGEST_REASON = 500
_LONGEST_TRACE = 8000
_OWN_FOLDER = str(Path(__file__).resolve().parent)
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


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
        case RuntimeError() if _is_allocation(_text_of(error)):
            status = "out_of_memory"
        case _:
            status = "failed"
    return Fault(status=status, reason=f"{where}{_named(error)}", error=error, trace=trace_of(error))


def said(error: BaseException) -> str:
    """Return the text of an exception as one line of at most 500 characters."""
    return shortened(one_line(_text_of(error)))


def shortened(text: str) -> str:
    """Return a text of at most 500 characters, all of which can be printed."""
    text = printable(text[:_LONGEST_TRACE])
    return text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 3] + "..."


def printable(text: str) -> str:
    """Return a text with escapes for what a terminal would obey, or no file could hold."""
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


def _text_of(error: BaseException) -> str:
    """Return what an exception says, as far as anybody reads it; its class may be a stranger's."""
    try:
        return str(error)[:_LONGEST_TRACE]
    except (Exception, SystemExit) as failure:
        return f"its text cannot be had ({type(failure).__name__})"


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
    text = printable(text + _last_lines(error))
    half = _LONGEST_TRACE // 2
    return text if len(text) <= _LONGEST_TRACE else f"{text[:half]}\n    [...]\n{text[-half:]}"


def _last_lines(error: BaseException) -> str:
    text = _text_of(error)
    if len(text) < _LONGEST_TRACE:
        return "".join(traceback.format_exception_only(error))
    return f"{type(error).__name__}: {text}"


def _is_allocation(text: str) -> bool:
    return "DefaultCPUAllocator" in text or "out of memory" in text.lower()


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {said(error)}".rstrip(": ")
