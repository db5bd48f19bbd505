"""Forging what a worker tells its keeper: the answer, the status, the cost."""

from __future__ import annotations

import json
import struct

import pytest
import torch

from interp_bench.errors import ContractError
from interp_bench.harness.isolation import answers
from tests.attacks.conftest import HALF, WORKERS, skill_without
from tests.isolated.lab import Lab

CHANNEL = """
import json, os, socket, struct

def channel():
    for number in range(3, 64):
        try:
            return socket.socket(fileno=os.dup(number))
        except OSError:
            continue

def say(kind, body=b""):
    channel().sendall(struct.pack("<cQ", kind, len(body)) + body)

def report(**fields):
    say(b"R", json.dumps(fields).encode())

def answer(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    say(b"A", struct.pack("<Q", len(text)) + text + data)
"""
"""Head of a file that speaks in the worker's name."""

GOOD = """
answer({"fields": {"numbers": {"tensor": 0}}, "tensors": [{"dtype": "torch.float32", "shape": [4]}]},
       struct.pack("<4f", 0.5, 0.5, 0.5, 0.5))
"""


@pytest.mark.parametrize("isolate", WORKERS)
def test_a_forged_answer_is_worth_what_it_says(lab: Lab, isolate: str) -> None:
    """It gains nothing: a technique may answer what it likes anyway."""
    body = GOOD + 'report(status="ok", answered=True)\ntime.sleep(60)'
    trial = lab.run(body, isolate=isolate, head=CHANNEL).trial
    assert (trial.status, trial.skill) == ("ok", skill_without(lab))


@pytest.mark.parametrize(
    "lines",
    [
        # An answer of which the report says nothing, and one that it only announces.
        GOOD + 'say(b"R", b\'{"status": "ok", "answered" : true}\')',
        GOOD + 'report(status="ok")',
        'report(status="ok", answered=False)',
        'say(b"R", b\'{"status":"ok","answered":false,"reason":"\\xff\\xfe"}\')',
        'report(status="invalid", reason="the task is to blame", answered=False)',
        'say(b"R", b\'{"status":"invalid","answered":false}\')',
        'say(b"R", b\'{"status":"ok","answered":false,"forwards":1\' + b"0" * 400 + b"}")',
        'say(b"E", b"{}")',
        'say(b"R", b"[" * 4_000_000 + b\'"answered":false\')',
        'channel().sendall(struct.pack("<cQ", b"A", 2**63))',
        "os.close(3); os._exit(0)",
        "for number in range(3, 64): os.closerange(number, number + 1)\nos.kill(os.getpid(), 11)",
    ],
)
def test_no_message_stops_the_run_or_blames_another(lab: Lab, lines: str) -> None:
    runner = lab.runner(seconds=3.0)
    trial = lab.run(lines + "\nos._exit(0)", runner=runner, head=CHANNEL).trial
    assert trial.status in ("ok", "failed", "crashed")
    assert trial.status != "ok" or trial.skill == skill_without(lab)
    assert runner.run(lab.cell("reader")).trial.skill == 1.0


SHAPES = [[float("inf")], [10**30], [-1], [0, 10**30], None, [[4]], [2**62, 4]]
HEADERS: list[object] = [
    *({"fields": {"numbers": {"tensor": 0}}, "tensors": [{"dtype": "torch.float32", "shape": shape}]}
      for shape in SHAPES),
    *({"fields": {"numbers": part}, "tensors": []} for part in
      ({"tensor": float("inf")}, {"tensor": 0}, {"tensor": None}, {"value": [1]}, {"code": "x"}, {}, 1)),
    {"fields": {"__class__": {"value": 1}}, "tensors": []},
    {"fields": {}, "tensors": []},
    {"fields": [], "tensors": []},
    {"tensors": [{"dtype": "torch.qint8", "shape": [1]}], "fields": {}},
    {"tensors": [{"dtype": "os.system", "shape": [1]}], "fields": {}},
    {"wrong": "a\0b"},
    {"wrong": "\ud800"},
    {"fields": {"numbers": {"value": "\ud800"}}, "tensors": []},
    [], 1, None, "wrong",
]  # fmt: skip


@pytest.mark.parametrize("header", HEADERS, ids=str)
def test_forged_headers_are_damaged_answers(fakes: object, header: object) -> None:
    text = json.dumps(header).encode()
    with pytest.raises(ContractError, match="arrived damaged"):
        answers.decode(struct.pack("<Q", len(text)) + text + bytes(16), fakes.Guess)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "data", [b"", bytes(7), struct.pack("<Q", 2**62), b"\x09" + bytes(7) + b"[" * 100_000]
)
def test_forged_bytes_are_damaged_answers(fakes: object, data: bytes) -> None:
    with pytest.raises(ContractError, match="arrived damaged"):
        answers.decode(data, fakes.Guess)  # type: ignore[attr-defined]


def test_what_arrives_is_no_stranger(fakes: object) -> None:
    """Built from the track's own class and plain tensors, whatever was sent."""
    found = answers.decode(answers.encode(fakes.Guess(numbers=torch.ones(4)), fakes.Guess), fakes.Guess)  # type: ignore[attr-defined]
    assert type(found) is fakes.Guess  # type: ignore[attr-defined]
    assert type(found.numbers) is torch.Tensor


EARLY = """
say(b"D")
begun = time.monotonic()
while time.monotonic() - begun < 1.0:
    pass
"""


def test_the_last_word_on_the_end_of_the_call_counts(lab: Lab) -> None:
    trial = lab.run(EARLY + HALF, head=CHANNEL).trial
    assert trial.status == "ok"
    # The keeper's clock starts when it hears of the start, on a busy machine somewhat late.
    assert trial.seconds > 0.5


def test_who_forges_the_end_of_the_call_is_believed(lab: Lab) -> None:
    """What is not promised: the worker says itself where its call ends, and how many passes it took.

    The keeper cannot tell a technique that goes on from the check of the weights that comes after it. It
    gives either a minute beyond the time limit.
    """
    silent = EARLY + GOOD + 'report(status="ok", answered=True, forwards=0)\ntime.sleep(60)'
    trial = lab.run(silent, head=CHANNEL).trial
    assert trial.status == "ok"
    assert trial.seconds < 0.5
    assert trial.forwards == 0
