"""Instructions that look at other positions, as attention heads."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from interp_bench.planting.heads import Head, Match, Offset, Recency
from interp_bench.planting.programs.instructions import Instruction
from interp_bench.planting.stream import Positions, Read


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What all heads of a program share.

    Attributes:
        positions: positions of the program, where reads are calibrated.
        n_prefix: positions in front of them.
        length: positions of the program.
        causal: whether a position sees only those up to itself.
        gain: margin in attention logits by which a shift finds its position.
        step: attention logits by which a later match outweighs an earlier one.
        back: (w, w) matrix that takes a position code one step back; None under rotary positions.
        margin: 1 minus the largest side lobe of position codes.
    """

    positions: Positions
    n_prefix: int
    length: int
    causal: bool
    gain: float
    step: float
    back: Tensor | None
    margin: float

    @property
    def prefix(self) -> Read:
        """A read of the flag of the prefix."""
        return Read("prefix", None, slice(0, self.n_prefix))

    def read(self, slot: str, width: int | None = None) -> Read:
        """Return a read of a slot; of ``width`` coordinates as they are where it is given."""
        return Read(slot, None if width is None else _eye(width), self.positions)


def head_of(instruction: Instruction, slots: list[str], sizes: list[int], out: str, frame: Frame) -> Head:
    """Return the head that carries out an instruction.

    Args:
        instruction: shift, exists, lookup, differing, latest, count or fraction.
        slots: slots of its arguments.
        sizes: widths of these slots.
        out: slot of its value.
        frame: what all heads share.
    """
    match instruction.operation:
        case "shift":
            return _shift(instruction, slots[0], sizes[0], out, frame)
        case "fraction":
            chosen = _eye(sizes[0])[:, [instruction.category]]
            value = Read(slots[0], chosen, frame.positions)
            # Kept off the prefix, not drawn to the rest: there attention must be even.
            outside = Match(query=frame.read("one"), key=frame.prefix, gain=-frame.gain)
            return Head(matches=(outside,), value=value, slot=out, map=_eye(1), own=False)
        case "exists":
            matches = _matching(slots, frame, gain=frame.gain, sink=-frame.gain / 2)
            return Head(matches=matches, value=frame.read("present"), slot=out, map=_eye(1))
        case "count":
            matches = _matching(slots, frame, gain=frame.gain, sink=-math.log(frame.n_prefix))
            return Head(matches=matches, value=frame.prefix, slot=out, map=_eye(1), own=False)
        case "latest":
            return _latest(instruction, slots, sizes, out, frame)
        case "differing":
            return _differing(slots, sizes, out, frame)
        case _:
            return _lookup(slots, sizes, out, frame)


def _eye(width: int) -> Tensor:
    return torch.eye(width, dtype=torch.float64)


def _shift(instruction: Instruction, slot: str, size: int, out: str, frame: Frame) -> Head:
    value = frame.read(slot)
    constant = frame.read("one")
    if frame.back is None:
        offset = Offset(
            steps=instruction.steps, gain=frame.gain, constant=constant, length=frame.n_prefix + frame.length
        )
        return Head(offset=offset, value=value, slot=out, map=_eye(size))
    query = Read("position", torch.linalg.matrix_power(frame.back, instruction.steps), frame.positions)
    match = Match(query=query, key=frame.read("position"), gain=frame.gain / frame.margin)
    return Head(matches=(match,), value=value, slot=out, map=_eye(size))


def _matching(slots: list[str], frame: Frame, *, gain: float, sink: float) -> tuple[Match, ...]:
    """Return terms that are 0 at a match, ``-gain`` at other positions, and ``sink`` at the prefix."""
    one = frame.read("one")
    return (
        Match(query=frame.read(slots[0]), key=frame.read(slots[1]), gain=gain),
        Match(query=one, key=frame.read("present"), gain=-gain),
        Match(query=one, key=frame.prefix, gain=sink),
    )


def _lookup(slots: list[str], sizes: list[int], out: str, frame: Frame) -> Head:
    match = Match(query=frame.read(slots[0]), key=frame.read(slots[1]), gain=_raise(frame))
    return _fetch((match,), sizes[0], slots[2], sizes[2], out, frame)


def _latest(instruction: Instruction, slots: list[str], sizes: list[int], out: str, frame: Frame) -> Head:
    chosen = Read(slots[0], _eye(sizes[0])[:, [instruction.category]], frame.positions)
    match = Match(query=frame.read("one"), key=chosen, gain=_raise(frame))
    return _fetch((match,), 1, slots[1], sizes[1], out, frame)


def _differing(slots: list[str], sizes: list[int], out: str, frame: Frame) -> Head:
    """Any category is a match, and one that equals the query's is none."""
    any_category = Read(slots[1], torch.ones(sizes[1], 1, dtype=torch.float64), frame.positions)
    matches = (
        Match(query=frame.read("one"), key=any_category, gain=_raise(frame)),
        Match(query=frame.read(slots[0]), key=frame.read(slots[1]), gain=-_raise(frame)),
    )
    return _fetch(matches, sizes[0] + 1, slots[2], sizes[2], out, frame)


def _raise(frame: Frame) -> float:
    """Return by how many attention logits a match stands above the other positions."""
    return frame.step * frame.length + 24


def _fetch(found: tuple[Match, ...], n_dims: int, slot: str, size: int, out: str, frame: Frame) -> Head:
    """Move a value from the latest match: above the prefix however far back, while all else is below it.

    Args:
        found: terms that are ``_raise(frame)`` at a match and 0 elsewhere.
        n_dims: head dimensions that these take.
        slot: slot of the value.
        size: width of the value.
        out: slot that it is moved to.
        frame: what all heads share.
    """
    span = frame.step * frame.length
    one, present = frame.read("one"), frame.read("present")
    matches = (
        *found,
        Match(query=one, key=present, gain=-_raise(frame)),
        Match(query=one, key=frame.prefix, gain=-(span + 10)),
    )
    recency = None
    if frame.back is None:
        recency = Recency(step=frame.step, query=one, key=present, length=frame.length, spared=n_dims + 3)
    else:
        ramp = frame.read("ramp")
        here = ramp if frame.causal else one
        matches += (Match(query=one, key=ramp, gain=span), Match(query=here, key=present, gain=-span))
    return Head(matches=matches, recency=recency, value=frame.read(slot), slot=out, map=_eye(size))
