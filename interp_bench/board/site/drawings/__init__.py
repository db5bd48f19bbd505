"""Drawings: the content of a snapshot as a chart, one file a kind of content."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from interp_bench.board.site.drawings import circuit, cosines, patch, phrase, pixels, subspace, tokens
from interp_bench.board.site.drawings.ink import Drawing
from interp_bench.harness.snapshots.stored import Content

_KINDS: dict[str, Callable[[Any], Drawing]] = {
    "circuit": circuit.draw,
    "cosines": cosines.draw,
    "patch": patch.draw,
    "phrase": phrase.draw,
    "pixels": pixels.draw,
    "subspace": subspace.draw,
    "tokens": tokens.draw,
}


def draw(content: Content) -> Drawing:
    """Draw what a snapshot holds."""
    return _KINDS[content.kind](content)
