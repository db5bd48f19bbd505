"""The bodies of tables as HTML: nearly all of the site, so they are put together without a template."""

from __future__ import annotations

from functools import lru_cache
from html import escape

from markupsafe import Markup

from interp_bench.board.site.tables import Entry, Row, Table

_text = lru_cache(maxsize=100_000)(escape)
"""Escaped text, safe in quotes too; the same few names stand in thousands of cells."""


def rows_html(shown: Table, root: str) -> Markup:
    """Return the rows of a table.

    Args:
        shown: the table.
        root: the way up to the folder of the site.
    """
    numbers = [column.number for column in shown.columns]
    drills = shown.drills
    lines = []
    for row in shown.rows:
        cells = "".join(
            [_cell(entry, number, root) for entry, number in zip(row.entries, numbers, strict=True)]
        )
        # The first cell is the heading of its row.
        head = f'<th scope="row"{cells[3:].replace("</td>", "</th>", 1)}'
        lines.append(f"<tr{_facets(row)}>{head}{_drill(row, drills)}</tr>")
    return Markup("\n".join(lines))


def _cell(entry: Entry, number: bool, root: str) -> str:
    value, look = entry.value, entry.look
    start = "<td"
    if value is None:
        start += ' data-v=""'
    elif value != "":
        start += f' data-v="{_text(value) if isinstance(value, str) else value}"'
    if number:
        start += f' class="n {look}"' if look else ' class="n"'
    elif look:
        start += f' class="{look}"'
    text = _text(entry.text)
    if entry.href:
        way = entry.href if entry.href[0] == "#" else root + entry.href
        text = f'<a href="{_text(way)}">{text}</a>'
    if entry.bar:
        steps = "".join([f'<i class="{step.state}" title="{_text(step.title)}"></i>' for step in entry.bar])
        text = f'<span class="bar" aria-hidden="true">{steps}</span> {text}'
    return f"{start}>{text}</td>"


def _facets(row: Row) -> str:
    held = "".join([f' data-{name}="{_text(value)}"' for name, value in row.facets.items()])
    return f'{held} data-key="{_text(row.key)}"' if row.key else held


def _drill(row: Row, any_row: bool) -> str:
    if not row.drill:
        return '<td class="drilled"></td>' if any_row else ""
    pack, model, label = row.drill
    return (
        '<td class="drilled"><button type="button" class="drill" aria-expanded="false" '
        f'data-pack="{_text(pack)}" data-of="{_text(model)}" aria-label="Trials of {escape(label)}">'
        "trials</button></td>"
    )
