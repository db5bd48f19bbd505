"""Techniques that raise, whatever they raise."""

from __future__ import annotations

import pytest

from tests.isolated.lab import Lab

MAY_TAKE = r"; it may take 1 GiB \(--bench-memory\)"

ODD = """
class Odd(Exception):
    def __str__(self):
        {body}
raise Odd("x")
"""

ERRORS = {
    "error": ('raise ValueError("no")', "failed", "ValueError: no"),
    "error without a text": ("raise KeyError", "failed", "KeyError"),
    "recursion": (
        "def f(n): return f(n + 1)\nf(0)",
        "failed",
        "RecursionError: maximum recursion depth exceeded.*",
    ),
    "import error": (
        "import no_such_module",
        "failed",
        "ModuleNotFoundError: No module named 'no_such_module'",
    ),
    "sys.exit": ("sys.exit(5)", "failed", "SystemExit: 5"),
    "interrupt": ("raise KeyboardInterrupt", "failed", "KeyboardInterrupt"),
    "generator exit": ('raise GeneratorExit("gone")', "failed", "GeneratorExit: gone"),
    "no exception": (
        'class Odd(BaseException): pass\nraise Odd("strange")',
        "failed",
        "Odd: strange",
    ),
    "group": (
        'raise ExceptionGroup("many", [ValueError("x"), KeyError("y")])',
        "failed",
        r"ExceptionGroup: many \(2 sub-exceptions\)",
    ),
    "warning as an error": (
        'import warnings\nwarnings.simplefilter("error")\nwarnings.warn("careful")',
        "failed",
        "UserWarning: careful",
    ),
    "text that raises": (
        ODD.format(body='raise RuntimeError("ha")'),
        "failed",
        r"Odd: its text cannot be had \(RuntimeError\)",
    ),
    "text that exits": (
        ODD.format(body="sys.exit(1)"),
        "failed",
        r"Odd: its text cannot be had \(SystemExit\)",
    ),
    "text that is none": (
        ODD.format(body="return 3"),
        "failed",
        r"Odd: its text cannot be had \(TypeError\)",
    ),
    "text that ends the process": (
        ODD.format(body="os._exit(4)"),
        "crashed",
        "ended its process with exit status 4 before it answered",
    ),
    "huge text": ('raise ValueError("x" * (1 << 26))', "failed", r"ValueError: x{480,500}\.\.\."),
    "text that no terminal should see": (
        r'raise ValueError("a\0b\x1b[31m\ud800c\nd")',
        "failed",
        r"ValueError: a\\x00b\\x1b\[31m\\ud800c d",
    ),
    "inapplicable": ('raise Inapplicable("too small")', "skipped", "too small"),
    "memory error": ("raise MemoryError", "out_of_memory", rf"MemoryError{MAY_TAKE}"),
    "torch's allocator": (
        "torch.zeros(1 << 40)",
        "out_of_memory",
        rf"RuntimeError: .*DefaultCPUAllocator: can't allocate memory.*{MAY_TAKE}",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_is_raised_becomes_the_reason(lab: Lab, name: str) -> None:
    body, status, reason = ERRORS[name]
    outcome = lab.check(body, status, reason)
    assert len(outcome.trial.reason) <= 550
    assert outcome.trial.reason.isprintable()
    assert len(outcome.trace) <= 20_000
    assert not any(sign in outcome.trace for sign in "\0\x1b\ud800")


def test_a_traceback_shows_the_technique_and_not_the_harness(lab: Lab) -> None:
    outcome = lab.check("value = 3\nraise ValueError(value)", "failed", "ValueError: 3")
    assert "raise ValueError(value)" in outcome.trace
    assert "interp_bench/harness" not in outcome.trace
