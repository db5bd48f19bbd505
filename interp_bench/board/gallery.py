"""The gallery: what each technique does, what it needs and costs, and where it works on the board's data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from interp_bench.analysis.cells import cells_of
from interp_bench.analysis.footholds import Footholds, footholds_of
from interp_bench.analysis.reach import WORKS
from interp_bench.analysis.standings import Standing, standings_of
from interp_bench.board import figures
from interp_bench.board.pipes import table
from interp_bench.harness.trial import Trial

PREFACE = f"""\
# The gear: what each technique does, and where it works

Written by `interp-bench gallery` from the code of the techniques and the trials in [`trials/`](trials); do
not edit it by hand. `interp-bench show NAME` prints the whole documentation of one.

*Skill* is 0 for guessing and 1 for the truth, mean over models with trials that failed at 0. *Works on* are
the models of each ladder on which the lower bound of skill is at least {WORKS:g}. *Better than guessing*
counts the cells of a task and a model in which the lower bound of a 95% interval over seeds is above 0; the
best of them is named. [README.md](README.md) has every number.
"""

MISSING = "It is not on this board yet: its trials are still to be run."


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """A technique as its code describes it.

    Attributes:
        name, track: what it is called, and the question that it answers.
        summary: what it does, in one sentence.
        note: what its documentation says under ``Note:``; may be empty.
        access: the deepest access to the model that it uses.
        cost: in words.
        runs_on: which models it applies to, in words.
        cites: where it comes from.
        arguments: with their defaults.
    """

    name: str
    track: str
    summary: str
    note: str
    access: str
    cost: str
    runs_on: str
    cites: str
    arguments: Mapping[str, object]


def gallery(exhibits: Iterable[Exhibit], trials: Iterable[Trial]) -> str:
    """Return the page, ending in one newline; it does not depend on the order of anything."""
    shown = sorted(exhibits, key=lambda exhibit: (exhibit.track, exhibit.name))
    cells = cells_of(trials)
    standings = {f"{row.track}/{row.technique}": row for rows in standings_of(cells).values() for row in rows}
    footholds = footholds_of(cells)
    tracks = sorted({exhibit.track for exhibit in shown})
    parts = [PREFACE, _counting(shown, tracks)]
    for track in tracks:
        mine = [exhibit for exhibit in shown if exhibit.track == track]
        parts += [f"## {track.capitalize()}", _summary(mine, standings)]
        parts += [_entry(one, standings.get(_id(one)), footholds.get(_id(one))) for one in mine]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _id(exhibit: Exhibit) -> str:
    return f"{exhibit.track}/{exhibit.name}"


def _counting(shown: Sequence[Exhibit], tracks: Sequence[str]) -> str:
    each = ", ".join(f"{sum(one.track == track for one in shown)} on {track}" for track in tracks)
    return f"{figures.plural(len(shown), 'technique')}: {each}."


def _summary(shown: Sequence[Exhibit], standings: Mapping[str, Standing]) -> str:
    rows = []
    for exhibit in shown:
        row = standings.get(_id(exhibit))
        skill = figures.NOTHING if row is None else figures.interval_text(row.ranked)
        cost = figures.NOTHING if row is None else figures.cost_text(row.cost)
        rows.append(
            [
                f"[{exhibit.name}](#{_id(exhibit).replace('/', '')})",
                exhibit.access,
                skill,
                cost,
                exhibit.summary,
            ]
        )
    return table(["technique", "access", "skill", "cost of an answer", "what it does"], rows)


def _entry(exhibit: Exhibit, row: Standing | None, holds: Footholds | None) -> str:
    arguments = ", ".join(f"`{name}={value!r}`" for name, value in exhibit.arguments.items())
    lines = [
        f"### {_id(exhibit)}",
        "",
        exhibit.summary,
        "",
        f"- **Source**: {exhibit.cites}",
        f"- **Access**: {exhibit.access}. **Cost**: {exhibit.cost or 'not said'}{_measured(row)}.",
        f"- **Runs on**: {exhibit.runs_on}." + (f" **Arguments**: {arguments}." if arguments else ""),
        f"- **Works on**: {_reach(row)}.",
        f"- **Better than guessing**: {_held(row, holds)}",
    ]
    return "\n".join([*lines, f"- **Note**: {exhibit.note}"] if exhibit.note else lines)


def _measured(row: Standing | None) -> str:
    if row is None or row.cost is None:
        return ""
    return f"; measured {figures.cost_text(row.cost)}, {row.cost.peak_memory_mb:.0f} MiB at its peak"


def _reach(row: Standing | None) -> str:
    if row is None:
        return "not known"
    found = [f"{reach.ladder} {figures.reach_text(reach)}" for reach in row.reaches if reach.working]
    return "; ".join(found) or "no model of any ladder"


def _held(row: Standing | None, holds: Footholds | None) -> str:
    if row is None or holds is None:
        return MISSING
    if row.role == "floor":
        return "it is what guessing is: the floor of its track."
    if holds.best is None:
        return "not decided: no cell has two seeds."
    best = holds.best
    which = f"{best.task} on {best.model}, skill {figures.interval_text(best.ranked)}"
    return f"in {figures.part_text(holds.held, holds.cells)} cells; best in {which}."
