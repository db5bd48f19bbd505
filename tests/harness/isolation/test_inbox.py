"""Messages put together from pieces, and forgotten where they were."""

from __future__ import annotations

import struct

import pytest

from interp_bench.harness.isolation.inbox import Inbox, wipe

LIMITS = {b"A": 100, b"R": 10}


def message(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack("<cQ", kind, len(body)) + body


@pytest.mark.parametrize("size", [1, 2, 7, 9, 10, 1000])
def test_messages_come_out_whole_however_they_arrive(size: int) -> None:
    inbox = Inbox(LIMITS)
    data = message(b"S") + message(b"A", b"an answer") + message(b"R") + message(b"R", b"0123456789")
    parts = [data[start : start + size] for start in range(0, len(data), size)]
    found = [(kind, bytes(body)) for part in parts for kind, body in inbox.take(part)]
    assert found == [(b"S", b""), (b"A", b"an answer"), (b"R", b""), (b"R", b"0123456789")]
    assert not inbox.broken


@pytest.mark.parametrize(
    "head", [message(b"R", bytes(11)), struct.pack("<cQ", b"A", 2**63), message(b"X", b"1")]
)
def test_nothing_is_read_after_what_is_no_message(head: bytes) -> None:
    inbox = Inbox(LIMITS)
    found = list(inbox.take(message(b"S") + head + message(b"S")))
    assert [kind for kind, _ in found] == [b"S"]
    assert inbox.broken
    assert list(inbox.take(message(b"S"))) == []


def test_a_wiped_message_is_zero_where_it_was() -> None:
    inbox = Inbox(LIMITS)
    [(_, body)] = inbox.take(message(b"A", b"an answer"))
    wipe(body)
    assert body == bytes(9)
    wipe(bytearray())


def test_half_a_message_is_wiped_too() -> None:
    inbox = Inbox(LIMITS)
    assert list(inbox.take(message(b"A", b"an answer")[:-3])) == []
    inbox.wipe()
    [(_, body)] = inbox.take(b"wer")
    assert bytes(body) == bytes(6) + b"wer"
