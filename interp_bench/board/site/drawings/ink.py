"""What all drawings share: colours that show on light and on dark pages, and the step to Vega-Lite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import altair as alt

# At least 3:1 against white and against near-black, so that one chart serves both themes.
AGREES = "#2f7fd0"
MISSED = "#d9660d"
WRONG = "#868b94"
SCHEME: Final = "viridis"

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A chart and its words.

    Attributes:
        title: what is shown, in a few words.
        caption: how to read it.
        alt: what it shows, in words and numbers.
        spec: Vega-Lite with its data.
    """

    title: str
    caption: str
    alt: str
    spec: Mapping[str, Any]


def named(name: str) -> alt.NamedData:
    """Return data that ``filled`` brings."""
    return alt.NamedData(name=name)


def spec_of(chart: Any) -> dict[str, Any]:
    """Return the Vega-Lite of a chart whose data has names: transparent, without frames.

    Marks are hidden from screen readers, who get the description: thousands of cells say nothing.
    """
    plain = chart.configure_view(stroke=None).configure_mark(aria=False)
    spec: dict[str, Any] = plain.properties(background="transparent").to_dict()
    return spec


def filled(spec: Mapping[str, Any], **datasets: Rows) -> dict[str, Any]:
    """Return a spec with its data."""
    return {**spec, "datasets": {name: list(rows) for name, rows in datasets.items()}}


def cells(data: str, texts: str, width: int) -> Any:
    """Return a chart of one record a cell, from records of one a row: ``row``, ``column``, ``text``.

    Args:
        data: name of records with ``row`` and a text of digits.
        texts: field of that text.
        width: cells of a row.
    """
    return (
        alt.Chart(named(data))
        .transform_calculate(columns=f"sequence({width})")
        .transform_flatten(["columns"], as_=["column"])
        .transform_calculate(
            digits=f"substring(datum.{texts}, datum.column * length(datum.{texts}) / {width}, "
            f"(datum.column + 1) * length(datum.{texts}) / {width})",
            right="datum.column + 1",
            below="datum.row + 1",
        )
    )


def squares(chart: Any, width: int, height: int, scale: int) -> Any:
    """Return a mark for each cell, so that ``scale`` pixels of the screen make one side of it."""
    return (
        chart.mark_rect(strokeWidth=0)
        .encode(
            x=alt.X("column:Q", axis=None, scale=alt.Scale(domain=[0, width], nice=False)),
            x2="right:Q",
            y=alt.Y("row:Q", axis=None, scale=alt.Scale(domain=[0, height], nice=False, reverse=True)),
            y2="below:Q",
        )
        .properties(width=width * scale, height=height * scale)
    )


def share_text(part: int, whole: int, noun: str) -> str:
    """Return e.g. ``3 of 7 edges``."""
    return f"{part} of {whole} {noun}{'' if whole == 1 else 's'}"
