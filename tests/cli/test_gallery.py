"""Every technique is above guessing somewhere on the committed board, or its page says why not."""

from __future__ import annotations

from pathlib import Path

from interp_bench.analysis.cells import cells_of
from interp_bench.analysis.footholds import footholds_of
from interp_bench.board import jsonl
from interp_bench.cli.catalogue import description
from interp_bench.cli.gallery import note_of
from interp_bench.harness.discovery import load_installed
from interp_bench.tracks.catalogue import CATALOGUE

ROOT = Path(__file__).resolve().parents[2]


def test_a_technique_is_above_guessing_somewhere_or_says_why_not():
    load_installed()
    found = footholds_of(cells_of(jsonl.read(ROOT / "leaderboard" / "trials")))
    own = [one for one in CATALOGUE.techniques.values() if one.origin.is_relative_to(ROOT / "interp_bench")]
    assert len(own) >= 60
    assert [one.id for one in own if one.id not in found] == []
    silent = [
        one.id for one in own if not one.floor and not found[one.id].held and not note_of(description(one))
    ]
    assert silent == []


def test_a_note_is_read_from_the_docstring():
    text = "Do it.\n\nMore.\n\nNote:\n    Only on odd\n    days.\n\nArgs:\n    problem: the problem."
    assert note_of(text) == "Only on odd days."
    assert note_of("Do it.\n\nArgs:\n    problem: the problem.") == ""
