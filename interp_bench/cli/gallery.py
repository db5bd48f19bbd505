"""The gallery of techniques: their code and the board's trials to one page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from interp_bench.cli.catalogue import description, load_entries, needs_text, technique_record
from interp_bench.cli.parser import Commands
from interp_bench.cli.results import add_page, write_or_check

if TYPE_CHECKING:
    from interp_bench.board.gallery import Exhibit
    from interp_bench.tracks.catalogue import Technique

GALLERY = Path("leaderboard") / "techniques.md"

_NOTE = re.compile(r"^Note:\n((?:[ \t]+\S.*\n?|\n(?=[ \t]))+)", re.MULTILINE)


def gallery(trials: Path, out: Path, check: bool) -> int:
    """Write the page, or compare it with what would be written; return 1 if it is stale.

    Raises:
        StoreError: trials cannot be read, or the page cannot be written.
    """
    from interp_bench.board import jsonl
    from interp_bench.board.gallery import gallery as page

    techniques, _ = load_entries()
    exhibits = [exhibit(technique) for technique in techniques]
    content = page(exhibits, jsonl.read(trials)).encode("utf-8")
    return write_or_check(out, content, check=check, command="gallery")


def exhibit(technique: Technique) -> Exhibit:
    """Return a technique as its code describes it."""
    from interp_bench.board.gallery import Exhibit

    record = technique_record(technique)
    return Exhibit(
        name=record["name"],
        track=record["track"],
        summary=record["summary"],
        note=note_of(description(technique)),
        access=record["access"],
        cost=record["cost"],
        runs_on=needs_text(record["needs"]),
        cites=record["cites"],
        arguments=record["arguments"],
    )


def note_of(text: str) -> str:
    """Return what a docstring says under ``Note:``, as one line; empty where it has no such part."""
    found = _NOTE.search(text)
    return " ".join(found.group(1).split()) if found else ""


def add_to(commands: Commands) -> None:
    """Add the command `gallery`."""
    added = commands.add_parser("gallery", help="write the page of techniques from code and exported trials")
    added.set_defaults(run=lambda options: gallery(options.trials, options.out, options.check))
    add_page(added, GALLERY)
