"""Advice as text: which techniques to take for a model, what they cost, and on what that rests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tabulate import tabulate

from interp_bench.analysis.recommend import Advice, Recommended, Wanted
from interp_bench.analysis.stats import Interval
from interp_bench.board.figures import (
    NOTHING,
    params_text,
    plural,
    seconds_text,
    skill_text,
    times_text,
)

MODALITIES = {"lm": "a language model", "image": "an image model"}


def advice_text(advice: Advice, top: int) -> str:
    """Return the advice: what was asked, a row a technique, and what the reader must know.

    Args:
        advice: the advice.
        top: at most so many rows.
    """
    rows = advice.rows[:top]
    parts = [_question(advice.wanted)]
    if rows:
        headers = ["technique", "skill", "95%", "seconds", "access", "rests on", "size"]
        sides = ["left", "right", "left", "right", "left", "left", "left"]
        cells = [_cells(row) for row in rows]
        parts += [
            tabulate(cells, headers, tablefmt="simple", colalign=sides, disable_numparse=True),
            _legend(advice, rows),
        ]
    else:
        parts.append("no technique is known to do this")
    notes = [note for note in (_more(advice, top), _left_out(advice)) if note]
    return "\n\n".join([*parts, *(["\n".join(notes)] if notes else [])])


def _question(wanted: Wanted) -> str:
    model = MODALITIES.get(wanted.modality, wanted.modality)
    limits = [
        *([] if wanted.seconds is None else [f"at most {seconds_text(wanted.seconds)} a call"]),
        *([] if wanted.access is None else [f"access up to {wanted.access}"]),
    ]
    return ", ".join([f"{wanted.track} on {model} of {params_text(wanted.params)} parameters", *limits])


def _cells(row: Recommended) -> list[str]:
    sizes = " to ".join(dict.fromkeys(map(params_text, (row.smallest, row.largest))))
    return [
        row.technique + ("*" if row.kinds else ""),
        skill_text(row.skill.mean),
        bounds_text(row),
        NOTHING if row.seconds is None else cost_bounds_text(row.seconds),
        row.access,
        f"{plural(row.trials, 'trial')}, {plural(row.places, 'place')}, "
        f"{plural(row.skill.n, 'model')} of {sizes}",
        beyond_text(row),
    ]


def bounds_text(row: Recommended) -> str:
    """Return e.g. ``0.60 to 0.95``; ``?`` where there are too few models to draw a line."""
    return f"{skill_text(row.skill.low)} to {skill_text(row.skill.high)}" if row.drawn else "?"


def cost_bounds_text(seconds: Interval) -> str:
    """Return e.g. ``12 s (to 40 s)``: what is predicted, and the upper bound where there is one."""
    text = seconds_text(seconds.mean)
    return f"{text} (to {seconds_text(seconds.high)})" if seconds.bounded else text


def beyond_text(row: Recommended) -> str:
    """Return e.g. ``9.7x larger``, ``2x smaller`` or ``within``: the size against those scored."""
    if not row.extrapolates:
        return "within"
    past = row.beyond > 1
    factor = row.beyond if past else 1 / row.beyond
    return f"{times_text(factor)} {'larger' if past else 'smaller'}"


def _legend(advice: Advice, rows: Sequence[Recommended]) -> str:
    lines = [
        "skill: 0 is guessing, 1 is the truth; expected for a new model of this size, from a straight line",
        "       through the models that were scored, and where 95% of such models lie, cut to 0..1.",
        f"seconds: of one call on {advice.device or 'any device'}; in brackets the upper 95% bound.",
    ]
    outside = sum(row.extrapolates for row in rows)
    if outside:
        lines.append(
            f"EXTRAPOLATED: in {outside} of {plural(len(rows), 'row')} the size lies outside of what was "
            "scored, by as much as the last column says."
        )
    if not all(row.drawn for row in rows):
        lines.append("?: fewer than three models, the skill is just their mean.")
    if any(row.kinds for row in rows):
        lines.append("*: only for some kinds of models; see: interp-bench show TECHNIQUE")
    return "\n".join(lines)


def _more(advice: Advice, top: int) -> str:
    more = len(advice.rows) - top
    return f"{more} more: --top {len(advice.rows)}" if more > 0 else ""


def _left_out(advice: Advice) -> str:
    counts = Counter(out.reason for out in advice.left_out)
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
    return f"left out: {reasons}" if reasons else ""
