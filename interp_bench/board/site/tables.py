"""Tables of the site as values: what a cell shows, what it is sorted by, and what a row is filtered by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from interp_bench.analysis.reach import WORKS, Reach, Rung
from interp_bench.analysis.stats import Interval
from interp_bench.board import figures

FILTERS: Mapping[str, str] = {
    "track": "Track",
    "modality": "Modality",
    "ladder": "Ladder",
    "family": "Family",
    "size": "Size",
    "model": "Model",
    "task": "Task",
    "role": "Role",
    "status": "Status",
}
"""What rows and columns may be filtered by, with the label of the choice."""

ROLES: Mapping[str, str] = {"ceiling": "the truth", "technique": "techniques", "floor": "guessing"}


@dataclass(frozen=True, slots=True)
class Step:
    """One rung in a bar of reach: its state in a word, and what a reader is told of it."""

    state: str
    title: str


class Entry(NamedTuple):
    """One cell of a table; a tuple, since there are many.

    Attributes:
        text: what it shows.
        value: what it is sorted by where that is not the text; None is nothing, and sorts last.
        href: where it leads, or empty.
        look: name of a style, or empty.
        bar: a bar of reach before the text.
    """

    text: str
    value: float | str | None = ""
    href: str = ""
    look: str = ""
    bar: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column.

    Attributes:
        label: its heading.
        number: whether it holds numbers, of which the largest are of most interest.
        hint: what the heading means, or empty.
        href: where the heading leads, or empty.
        key: by which charts know it, or empty.
        facets: what it is filtered by.
    """

    label: str
    number: bool = False
    hint: str = ""
    href: str = ""
    key: str = ""
    facets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row.

    Attributes:
        entries: one a column; the first is the heading of the row.
        facets: what it is filtered by, values parted by spaces.
        key: by which charts know it.
        drill: file of the trials behind it and the task and the model in it, or empty.
    """

    entries: tuple[Entry, ...]
    facets: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    drill: tuple[str, str, str] | tuple[()] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A select: which facet, its label, its values with their text, and the one that is chosen first."""

    facet: str
    label: str
    options: tuple[tuple[str, str], ...]
    default: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table.

    Attributes:
        id: unique on its page; part of the URL.
        caption: what it is.
        columns, rows: its content.
        choices: the selects above it.
        search: whether its rows can be searched by text.
        sort: index of the column that it is sorted by when opened, as ``3 desc``; empty for as it stands.
    """

    id: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    choices: tuple[Choice, ...] = ()
    search: bool = False
    sort: str = ""

    @property
    def drills(self) -> bool:
        """Whether any row leads to trials."""
        return any(row.drill for row in self.rows)


def table(
    name: str,
    caption: str,
    columns: Sequence[Column],
    rows: Iterable[Row],
    *,
    filters: Sequence[str] = (),
    defaults: Mapping[str, str] | None = None,
    search: bool = False,
    sort: str = "",
) -> Table:
    """Return a table with a select for each filter that has two values to choose from."""
    rows = tuple(rows)
    return Table(
        id=name,
        caption=caption,
        columns=tuple(columns),
        rows=rows,
        choices=tuple(
            choice
            for facet in filters
            if (choice := _choice(facet, rows, columns, (defaults or {}).get(facet, "")))
        ),
        search=search,
        sort=sort,
    )


def _choice(facet: str, rows: Sequence[Row], columns: Sequence[Column], default: str) -> Choice | None:
    holders: list[Mapping[str, str]] = [*(row.facets for row in rows), *(c.facets for c in columns)]
    values = {value for facets in holders for value in facets.get(facet, "").split()}
    if len(values) < 2:
        return None
    order = sorted(values, key=lambda v: (int(v) if v.isdigit() else 0, v != "lm", v))
    return Choice(
        facet=facet,
        label=FILTERS[facet],
        options=tuple((value, _option_text(facet, value)) for value in order),
        default=default if default in values else "",
    )


def _option_text(facet: str, value: str) -> str:
    if facet == "size":
        return f"about {figures.params_text(int(value))}"
    return {"lm": "language models", "image": "image networks"}.get(value, ROLES.get(value, value))


def skill_entry(interval: Interval | None, *, href: str = "", failed: bool = False) -> Entry:
    """Return a cell with a skill: sorted by its mean, coloured by where its lower bound lies."""
    if interval is None:
        return Entry(text=figures.NOTHING, value=None)
    return Entry(
        text=figures.interval_text(interval),
        value=round(interval.mean, 6),
        href=href,
        look=skill_look(interval) + (" failed" if failed else ""),
    )


def skill_look(interval: Interval) -> str:
    """Return the style of a skill: ``s0`` to ``s10`` by its mean, and ``works`` where it does."""
    step = max(0, min(10, round(10 * interval.mean)))
    return f"skill s{step}{' works' if interval.low >= WORKS else ''}"


def number_entry(value: float | None, text: str | None = None) -> Entry:
    """Return a cell with a number, as itself unless there is a text for it."""
    if value is None:
        return Entry(text=figures.NOTHING, value=None)
    return Entry(text=f"{value:,g}" if text is None else text, value=value)


def seconds_entry(seconds: float | None) -> Entry:
    """Return a cell with a duration."""
    return number_entry(seconds, None if seconds is None else figures.seconds_text(seconds))


def params_entry(params: int) -> Entry:
    """Return a cell with a number of parameters."""
    return Entry(text=figures.params_text(params), value=params)


def reach_bar(reach: Reach) -> tuple[Step, ...]:
    """Return one step a rung, smallest first."""
    return tuple(Step(_state(rung), _rung_text(rung)) for rung in reach.rungs)


def _state(rung: Rung) -> str:
    if rung.works:
        return "on"
    return "off" if rung.skill.bounded else "open"


def _rung_text(rung: Rung) -> str:
    state = {"on": "works", "off": "does not work", "open": "undecided"}[_state(rung)]
    return f"{rung.model}: {figures.interval_text(rung.skill)}, {state}"
