"""Techniques that close, replace or write to what they did not open."""

from __future__ import annotations

import os
import textwrap

import pytest

from tests.isolated.lab import Lab

FINE = "return Guess(numbers=torch.full((4,), 0.5))"
WRITE = """import struct
def message(kind, body): return kind + struct.pack("<Q", len(body)) + body
def write(data):
    for number in range(3, 100):
        try: os.write(number, data)
        except OSError: pass
"""
REPORT = "write(message(b'R', %s))\ntime.sleep(60)"
OPENED = "wrote to file descriptors that it did not open"

GARBLED = {
    "garbage": ("write(b'garbage' * 100)\ntime.sleep(60)", OPENED),
    "garbage and an answer": (f"write(b'garbage' * 100)\n{FINE}", OPENED),
    "a message that is too long": ("write(b'A' + struct.pack('<Q', 1 << 60))\ntime.sleep(60)", OPENED),
    "a report that is no JSON": (
        REPORT % """b'"answered":false{'""",
        r"its worker reported nonsense \(Invalid JSON: .*\)",
    ),
    "a report that is nested without end": (
        REPORT % """b'[' * 100_000 + b'"answered":false'""",
        r"its worker reported nonsense \(Invalid JSON: .*\)",
    ),
    "a report of another kind": (
        REPORT % """b'{"status":"splendid","answered":false}'""",
        r"its worker reported nonsense \(Input should be .*\)",
    ),
    "all descriptors closed": (
        f"os.closerange(0, 100)\n{FINE}",
        "its worker could not report: file descriptors that it did not open were closed, or the like",
    ),
}


@pytest.mark.parametrize("name", GARBLED)
def test_a_garbled_channel_is_a_crash(lab: Lab, name: str) -> None:
    body, reason = GARBLED[name]
    lab.check(WRITE + body, "crashed", reason)


FORGERY = """report = b'{"status":"ok","answered": true}'
write(message(b'R', report) + message(b'A', b'xyz'))
time.sleep(60)"""

FORGED = {
    "a report without an answer": (
        REPORT % """b'{"status":"ok","answered":false}'""",
        "ContractError: the answer arrived damaged .*",
    ),
    "an answer that is none": (
        FORGERY,
        "ContractError: the answer arrived damaged .*",
    ),
    "a reason for a terminal": (
        REPORT % r"""b'{"status":"failed","reason":"\\u001b[31mred","answered":false}'""",
        r"\\x1b\[31mred",
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_report_harms_only_its_own_trial(lab: Lab, name: str) -> None:
    body, reason = FORGED[name]
    lab.check(WRITE + body, "failed", reason)


STREAMS = {
    "output elsewhere": "os.close(1)\nos.open(os.devnull, os.O_WRONLY)\nprint('gone', flush=True)",
    "input closed": "sys.stdin.close()",
    "garbage": r"os.write(1, bytes(range(256)) * 100); os.write(2, b'\x1b[31m')",
}


@pytest.mark.parametrize("name", STREAMS)
def test_standard_streams_are_its_own_business(lab: Lab, name: str) -> None:
    lab.check(f"{STREAMS[name]}\n{FINE}", "ok", "")


def test_a_print_to_a_closed_output_is_its_own_error(lab: Lab) -> None:
    body = "os.close(1)\nos.close(2)\nprint('nobody hears', flush=True)"
    lab.check(body, "failed", r"OSError: \[Errno 9\] Bad file descriptor")


def test_what_a_crash_wrote_last_can_be_shown(lab: Lab) -> None:
    body = r"os.write(2, b'\x1b[31mlast words\xff\0'); os._exit(1)"
    outcome = lab.check(body, "crashed", "ended its process with exit status 1 before it answered")
    assert outcome.trace == "\\x1b[31mlast words\N{REPLACEMENT CHARACTER}\\x00"


FOLDERS = {
    "emptied": "import shutil\nshutil.rmtree(os.environ['TMPDIR'], ignore_errors=True)",
    "closed": "os.chmod(os.environ['TMPDIR'], 0o500)",
    "a closed folder in it": "import tempfile\nos.chmod(tempfile.mkdtemp(), 0)",
    "many files": """
        for number in range(1000): open(os.path.join(os.environ["TMPDIR"], str(number)), "w").close()
        """,
    "very deep": """
        import contextlib
        with contextlib.chdir(os.environ["TMPDIR"]):
            for _ in range(1200):
                os.mkdir("x")
                os.chdir("x")
        """,
    "links and pipes": """
        os.symlink("/", os.path.join(os.environ["TMPDIR"], "root"))
        os.mkfifo(os.path.join(os.environ["TMPDIR"], "pipe"))
        """,
}


@pytest.mark.parametrize("name", FOLDERS)
def test_whatever_lies_in_its_folder_goes_with_it(lab: Lab, name: str) -> None:
    body = textwrap.dedent(FOLDERS[name]).strip() + "\nraise ValueError(os.environ['TMPDIR'])"
    outcome = lab.check(body, "failed", "ValueError: /.*")
    assert not os.path.lexists(outcome.trial.reason.removeprefix("ValueError: "))
