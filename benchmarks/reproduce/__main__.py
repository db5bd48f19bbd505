"""Published orderings of techniques, measured anew with this package.

Run ``python benchmarks/reproduce [SECTION ...] [--seeds N] [--write benchmarks/reproduce.md]``. Verdicts are
those of paired differences over seeds with 95% t-intervals: nothing is tuned until an ordering holds. A new
section is a module beside this one with a ``SECTION``, and a line in ``SECTIONS``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import features
from orderings import Reproduction, Section
from tabulate import tabulate

from interp_bench.analysis.stats import t_interval

SECTIONS: dict[str, Section] = {section.name: section for section in (features.SECTION,)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure sections and print them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args(arguments)
    unknown = [name for name in options.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"no section is called {unknown[0]!r}; there are {', '.join(SECTIONS)}")
    parts = []
    for name in options.sections or SECTIONS:
        begun = time.process_time()
        found = SECTIONS[name].measure(options.seeds)
        parts.append(told(SECTIONS[name], found, options.seeds, time.process_time() - begun))
        print(parts[-1], flush=True)
    if options.write:
        head = "# Published orderings, measured anew\n\nMade by `python benchmarks/reproduce`.\n\n"
        options.write.write_text(head + "\n".join(parts), encoding="utf-8")
    return 0


def told(section: Section, found: Reproduction, seeds: int, seconds: float) -> str:
    """Return a section in Markdown."""
    metrics = list(found.values)
    rows = [
        [name, *(_interval(found.values[metric][name]) for metric in metrics)]
        for name in found.values[metrics[0]]
    ]
    judged = [ordering.judged(found.values) for ordering in section.orderings]
    heads = ("metric", "published ordering", "published values", "difference here", "verdict")
    notes = "".join(f"{note}\n" for note in found.notes)
    return (
        f"## {section.title}\n\nPublished in {section.source}. {section.scale} "
        f"{seeds} seeds, {seconds:.0f} s of one processor.\n\n"
        f"{tabulate(rows, headers=('technique', *metrics), tablefmt='github')}\n\n"
        f"{tabulate(judged, headers=heads, tablefmt='github')}\n\n{notes}"
    )


def _interval(values: Sequence[float]) -> str:
    found = t_interval(values)
    return f"{found.mean:.3f} ±{(found.high - found.low) / 2:.3f}"


if __name__ == "__main__":
    sys.exit(main())
