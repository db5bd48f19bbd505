"""A page as a value: where it lies, by which template it is made, and with what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from interp_bench.board.site.tables import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A chart beside a table.

    Attributes:
        id: unique on its page.
        caption: what it shows, as text.
        alt: how a reader who does not see it gets the same: what is in it, and which table holds it.
        spec: Vega-Lite, with its rows by name, or with data of its own.
        columns, rows: what is drawn; the first column is the key of the row of the table that it belongs to.
        table: id of the table whose visible rows are drawn; empty for all.
        limit: how many of these rows are drawn at most, from the top; 0 for all.
        title: above it, or empty.
        across: the column of ``rows`` that a column of the table stands for; hidden ones are not drawn.
    """

    id: str
    caption: str
    alt: str
    spec: Mapping[str, Any]
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    table: str = ""
    limit: int = 0
    title: str = ""
    across: str = ""


class Picture(Protocol):
    """A picture of an answer beside the truth, on the page of its technique."""

    @property
    def track(self) -> str:
        """The track of its technique."""

    @property
    def technique(self) -> str:
        """The bare name of its technique."""

    @property
    def title(self) -> str:
        """What it is called."""

    @property
    def caption(self) -> str:
        """What it shows."""

    @property
    def alt(self) -> str:
        """The same for who does not see it."""

    @property
    def spec(self) -> Mapping[str, Any]:
        """Vega-Lite, with its data in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One file of the site.

    Attributes:
        path: within the folder, with ``/``.
        template: name of its template.
        title: of the page.
        context: what the template shows.
        section: path of the page of the navigation that it belongs to.
    """

    path: str
    template: str
    title: str
    context: Mapping[str, Any] = field(default_factory=dict)
    section: str = ""

    @property
    def root(self) -> str:
        """The way up to the folder of the site, e.g. ``../``."""
        return "../" * self.path.count("/")


def explorer(path: str, title: str, lead: str, shown: Table, figure: Figure) -> Page:
    """Return a page with one table, and the chart of its rows above them."""
    context = {"lead": lead, "table_": shown, "figure_": figure}
    return Page(path=path, template="explorer.html", title=title, section=path, context=context)
