"""Two runs side by side, for the end of a run and for the command that compares stored ones."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence

from interp_bench.analysis.comparison import VERDICTS, CellChange, Comparison, Overall, Verdict
from interp_bench.analysis.paired import Paired
from interp_bench.analysis.pairing import StatusChange
from interp_bench.analysis.parts import Kind, PartCount
from interp_bench.board import columns, figures

SHOWN = 12
"""Cells, status changes and gone cells that are listed, each; the rest is counted."""

PARTS_SHOWN = 6

_VALUE = 16
_SENTENCES: Mapping[Kind, str] = {
    "question": "another question than before, so that a change may be the question's:",
    "technique": "techniques that are not what they were:",
    "environment": "run with something else:",
}

LEGEND = """\
difference: mean of new minus old skill with a 95% interval (paired t): over seeds in a cell of technique,
       task and model, over cells for a technique, over task x model for a track. No negative controls.
better, worse: the interval of a cell leaves 0, each by itself; for techniques and tracks p is below 0.05,
       corrected for the others (Holm). same: equal in every pair. undecided: changed, but maybe by chance.
what fails counts as skill 0: a lost skill is worse and a found one better without a test, unless the mean
       of the others says the contrary. Failing is never a gain."""


def comparison_text(found: Comparison, source: str, subject: str = "") -> str:
    """Return the comparison as text of at most ``columns.WIDTH`` columns where names allow.

    Args:
        found: the comparison.
        source: what was compared with, e.g. ``run 20260102T030405Z-ab12``.
        subject: what was compared with it, where that needs saying.
    """
    head = [
        f"{f'{subject} ' if subject else ''}compared with {source}: {_counts(found.verdicts)}",
        *_parts(found.parts),
    ]
    rows = [row for row in (*found.techniques, *_tracks(found)) if row.paired is not None and not _equal(row)]
    changed = [cell for cell in found.cells if cell.paired is not None and cell.verdict != "same"]
    gone = [cell for cell in found.cells if cell.verdict == "gone"]
    parts = ["\n".join(head)]
    if found.statuses:
        parts.append(_statuses(found.statuses))
    if rows:
        parts.append(_overall(rows))
    rest = _unmoved(found.techniques)
    if rest:
        parts.append("\n".join(rest))
    if changed:
        parts.append(_largest(changed))
    if gone:
        lines = [f"gone: {_name(cell)} (skill was {_skill(cell.before)})" for cell in gone]
        parts.append("\n".join(_capped(lines, "gone: and {} more")))
    if rows or changed:
        parts.append(LEGEND)
    return "\n\n".join(parts)


def _counts(verdicts: Mapping[Verdict, int]) -> str:
    if not verdicts:
        return "neither run has a skill"
    named = [f"{verdicts[verdict]:,} {verdict}" for verdict in VERDICTS if verdict in verdicts]
    return f"{', '.join(named)} (cells of technique x task x model)"


def _parts(counts: Sequence[PartCount]) -> list[str]:
    """Return one paragraph for each kind of part that changed."""
    lines = []
    for kind, sentence in _SENTENCES.items():
        every = [count for count in counts if count.part.kind == kind]
        if every:
            texts = [_part(count) for count in every[:PARTS_SHOWN]]
            if len(every) > PARTS_SHOWN:
                texts.append(f"and {len(every) - PARTS_SHOWN} more")
            text = f"{sentence} {'; '.join(texts)}"
            lines.append(textwrap.fill(text, columns.WIDTH, subsequent_indent="    ", break_on_hyphens=False))
    return lines


def _part(count: PartCount) -> str:
    part = count.part
    owner = f"{part.owner} " if part.owner else ""
    before, now = columns.cut(part.before, _VALUE), columns.cut(part.now, _VALUE)
    return f"{owner}{part.name} {before} -> {now} ({figures.plural(count.pairs, 'trial')})"


def _statuses(changes: Sequence[StatusChange]) -> str:
    rows = [
        [
            f"{change.track}/{change.technique}",
            change.before,
            change.now,
            str(len(change.pairs)),
            figures.names_text(sorted({pair.new.model for pair in change.pairs}), limit=1),
            change.reason,
        ]
        for change in changes[:SHOWN]
    ]
    headers = ["status changed", "was", "is", "trials", "model", "reason"]
    lines = [columns.fitted(headers, rows)]
    if len(changes) > SHOWN:
        lines.append(f"and {figures.plural(len(changes) - SHOWN, 'more kind')} of status change")
    return "\n".join(lines)


def _tracks(found: Comparison) -> list[Overall]:
    """Return the rows of tracks that more than one technique is compared on."""
    named = {(c.track, c.technique) for c in found.cells if c.role == "technique" and c.paired is not None}
    return [row for row in found.tracks if sum(track == row.track for track, _ in named) > 1]


def _equal(row: Overall) -> bool:
    """Whether every cell in common is the same."""
    return row.verdicts.keys() <= {"same", "new", "gone"}


def _unmoved(rows: Sequence[Overall]) -> list[str]:
    """Return a line for the techniques that are the same, new, gone, or share no cell."""
    named: dict[str, list[str]] = {}
    for row in rows:
        if row.paired is None or _equal(row):
            word = {"same": "same in every cell", "undecided": "no cell in common"}.get(
                row.verdict, row.verdict
            )
            named.setdefault(word, []).append(row.name)
    return [
        f"{figures.plural(len(names), 'technique')} {word}: {figures.names_text(names)}"
        for word, names in sorted(named.items())
    ]


def _overall(rows: Sequence[Overall]) -> str:
    body = [
        [
            row.name if row.technique else f"all of {row.track}",
            row.verdict,
            _skill(row.before),
            _skill(row.now),
            _difference(row.paired),
            _p(row.p),
            _cells(row),
            str(row.models or ""),
            str(row.lost or ""),
            str(row.found or ""),
        ]
        for row in sorted(rows, key=_order)
    ]
    headers = ["technique", "verdict", "before", "now", "difference", "p (Holm)", "cells", "models"]
    return _without_empty([*headers, "lost", "found"], body)


def _without_empty(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of those columns that hold something."""
    kept = [column for column in range(len(headers)) if any(row[column] for row in rows)]
    return columns.table([headers[i] for i in kept], [[row[i] for i in kept] for row in rows])


def _order(row: Overall) -> tuple[bool, int, float, str, str]:
    size = 0.0 if row.paired is None else abs(row.paired.difference.mean)
    return (not row.technique, VERDICTS.index(row.verdict), -size, row.track, row.technique)


def _cells(row: Overall) -> str:
    every = sum(row.verdicts.values())
    return str(row.cells) if row.cells == every else f"{row.cells} of {every}"


def _largest(cells: Iterable[CellChange]) -> str:
    ordered = sorted(cells, key=_size)
    rows = [
        [
            _name(cell),
            cell.verdict + ("*" if cell.another_question else ""),
            _skill(cell.before),
            _skill(cell.now),
            _difference(cell.paired),
            str(cell.paired.difference.n) if cell.paired else "",
            _note(cell),
        ]
        for cell in ordered[:SHOWN]
    ]
    headers = ["largest changes", "verdict", "before", "now", "difference", "seeds", ""]
    text = _without_empty(headers, rows)
    more = len(ordered) - SHOWN
    if more > 0:
        text += f"\nand {figures.plural(more, 'more changed cell')}"
    marked = any(cell.another_question for cell in ordered[:SHOWN])
    return f"{text}\n*: asks another question than before" if marked else text


def _size(cell: CellChange) -> tuple[float, str]:
    return (0.0 if cell.paired is None else -abs(cell.paired.difference.mean), _name(cell))


def _note(cell: CellChange) -> str:
    notes = []
    if cell.lost:
        notes.append(f"{cell.lost} lost")
    if cell.found:
        notes.append(f"{cell.found} found")
    if cell.paired is not None and cell.paired.difference.n == 1:
        notes.append("n=1, no interval")
    return "; ".join(notes)


def _name(cell: CellChange) -> str:
    return f"{cell.track}/{cell.task}[{cell.technique}-{cell.model}]"


def _skill(skill: float | None) -> str:
    return figures.NOTHING if skill is None else _number(skill, ".3f")


def _number(value: float, form: str) -> str:
    """Return three decimals, and never ``-0.000``."""
    return format(value if round(value, 3) else 0.0, form)


def _difference(found: Paired | None) -> str:
    if found is None:
        return figures.NOTHING
    interval = found.difference
    change = _number(interval.mean, "+.3f")
    return f"{change} ±{interval.half:.3f}" if interval.bounded else change


def _p(p: float | None) -> str:
    if p is None:
        return figures.NOTHING
    return f"{p:.3f}" if p >= 0.001 else "<0.001"


def _capped(lines: Sequence[str], more: str) -> list[str]:
    shown = list(lines[:SHOWN])
    return shown if len(lines) <= SHOWN else [*shown, more.format(len(lines) - SHOWN)]
