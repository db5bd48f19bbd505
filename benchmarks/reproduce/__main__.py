"""Measure published orderings anew: ``python -m benchmarks.reproduce [--section NAME] [--write PAGE]``.

Every section that is measured replaces its own file in ``results/``; the page is put together from all of
them, each with its own day and versions. Exits with 1 where something does not hold and nothing explains it.
A new section is a module beside this one with a ``SECTION``, and a name in ``SECTIONS``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from . import attribution, circuits, concepts, features
from .measuring import measured
from .page import judgements, page, told
from .sections import Section
from .stored import RESULTS, Result, load, save

SECTIONS: dict[str, Section] = {
    section.name: section
    for section in (features.SECTION, circuits.SECTION, concepts.SECTION, attribution.SECTION)
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure sections, print them, and write the page."""
    options = _parser().parse_args(arguments)
    if options.brief and options.results.resolve() == RESULTS:
        _parser().error(
            "--brief says nothing of orderings and may not replace results; name a folder with --results"
        )
    command = " ".join(
        ["python -m benchmarks.reproduce", *(arguments if arguments is not None else sys.argv[1:])]
    )
    for name in [] if options.assemble else options.section or SECTIONS:
        section = SECTIONS[name]
        found = measured(
            section, seeds=options.seeds, brief=options.brief, jobs=options.jobs, command=command
        )
        save(found, options.results)
        print(told(section, found), flush=True)
    everything = assembled(options.results)
    if options.write:
        options.write.write_text(page(everything), encoding="utf-8")
    return 0 if options.brief or not unexplained(everything) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.reproduce", description=__doc__.partition(":")[0])
    parser.add_argument(
        "--section", action="append", choices=list(SECTIONS), help="measure this one (default: all)"
    )
    parser.add_argument("--seeds", type=int, help="plants a cell (default: as many as each section says)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (1)")
    parser.add_argument(
        "--write", type=Path, help="file for the page of all sections, such as docs/reproduction.md"
    )
    parser.add_argument("--assemble", action="store_true", help="measure nothing; put the page together anew")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the sections' files")
    parser.add_argument(
        "--brief", action="store_true", help="smallest cells and fewest steps, to try the code"
    )
    return parser


def assembled(folder: Path = RESULTS) -> list[tuple[Section, Result | None]]:
    """Return all sections, each with what was found last; None where it was never measured."""
    return [(section, load(section.name, folder)) for section in SECTIONS.values()]


def unexplained(found: Sequence[tuple[Section, Result | None]]) -> list[str]:
    """Return statements that do not hold and that nothing is said about."""
    return [
        f"{section.name}: {one.statement} ({one.metric})"
        for section, result in found
        if result is not None
        for one in judgements(section, result)
        if one.verdict == "does not hold" and not one.explained
    ]


if __name__ == "__main__":
    sys.exit(main())
