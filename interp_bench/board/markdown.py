"""The leaderboard page: the same trials always give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from interp_bench.analysis.calibration import calibrate
from interp_bench.analysis.cells import ROLES, cells_of, newest, statuses_of, without_controls
from interp_bench.analysis.certificates import checks_of, plantings_of
from interp_bench.analysis.controls import false_discoveries_of
from interp_bench.analysis.outcomes import outcomes_of
from interp_bench.analysis.reach import WORKS
from interp_bench.analysis.standings import Standing, standings_of
from interp_bench.board import figures
from interp_bench.board.pipes import table
from interp_bench.board.sections import (
    calibration_section,
    certificates_section,
    controls_section,
    models_section,
    outcomes_section,
    track_section,
)
from interp_bench.harness.trial import Trial

PREFACE = f"""\
# Leaderboard: which cliff does the gear work on?

Written by `interp-bench leaderboard` from the trials in [`trials/`](trials); do not edit it by hand.

**How to read it.** Every number is a *skill*: 0 is what guessing scores, 1 is what the truth itself
scores, both measured by the same code on the same problem: `skill = (score - floor) / (ceiling - floor)`.
`±` is half of a 95% interval (Student's t): over seeds in the cell of a technique, task and model; over
the means of the models in a mean over models, since seeds on one model are not independent. **Bold**
cells work: their lower bound is at least {WORKS:g}. A trial that failed, timed out, ran out of memory or
crashed is no part of a mean called `skill`; wherever techniques are ranked, and in the cell of a task and a
model, it counts as skill 0, so that no technique gains rank by failing. What was skipped or could not be
certified is missing, never 0; `-` means that there is no number. Means are comparable between techniques
only where they rest on the same cells; how many these are stands beside each.

**Where the truth comes from.** Each problem is planted: a task edits the weights of a real network so
that a mechanism is known by construction, and then proves by intervention that the network uses it
(the truth alone keeps the behaviour, cutting any part of it loses the behaviour, cutting the rest does not).
A problem that fails its proof is `invalid` and is not scored. Techniques see the planted network,
never the truth.
"""


def page(trials: Iterable[Trial]) -> str:
    """Return the whole page, ending in one newline; it does not depend on the order of the trials."""
    answered = newest(trials)
    kept = without_controls(answered)
    cells = cells_of(kept)
    standings = standings_of(cells)
    sections = [PREFACE + "\n" + _made(kept), _overview(standings)]
    sections += [
        track_section(name, rows, [cell for cell in cells if cell.track == name])
        for name, rows in standings.items()
    ]
    discoveries = false_discoveries_of(answered)
    sections += [
        calibration_section(calibrate(cells)),
        *([controls_section(discoveries)] if discoveries else []),
        certificates_section(plantings_of(kept), checks_of(kept)),
        outcomes_section(statuses_of(answered), outcomes_of(answered)),
        models_section(kept),
    ]
    return "\n\n".join(section.strip("\n") for section in sections) + "\n"


def _made(trials: Sequence[Trial]) -> str:
    counts = (
        (len(trials), "trial"),
        (len({trial.technique_id for trial in trials if trial.role == "technique"}), "technique"),
        (len({trial.task_id for trial in trials}), "task"),
        (len({trial.model for trial in trials}), "model"),
        (len({trial.seed for trial in trials}), "seed"),
    )
    lines = ["**How it was made.** " + ", ".join(figures.plural(*count) for count in counts) + "."]
    facts = {
        "interp-bench": [t.provenance.interp_bench for t in trials],
        "Python": [t.provenance.python for t in trials],
        "torch": [t.provenance.torch for t in trials],
        "transformers": [t.provenance.transformers for t in trials],
        "transformer-lens": [t.provenance.transformer_lens for t in trials],
        "timm": [t.provenance.timm for t in trials],
        "numpy": [t.provenance.numpy for t in trials],
        "device": [t.provenance.device for t in trials],
        "platform": [t.provenance.platform for t in trials],
        "threads a process": [str(t.provenance.threads) for t in trials],
        "secret seeds, by commitment": [t.seed_secret for t in trials],
        "date (UTC)": [t.provenance.started_at[:10] for t in trials],
    }
    rows = [[name, ", ".join(sorted(set(values) - {""}))] for name, values in facts.items()]
    return "\n".join([*lines, "", table(["", "used"], [row for row in rows if row[1]])])


def _overview(standings: Mapping[str, Sequence[Standing]]) -> str:
    """One row a technique, one column a track: mean over models."""
    found: dict[str, dict[str, Standing]] = {}
    for track, rows in standings.items():
        for row in rows:
            found.setdefault(row.technique, {})[track] = row
    body = [
        [
            name,
            *(figures.interval_text(tracks[t].ranked) if t in tracks else "" for t in standings),
            figures.part_text(
                sum(row.cells for row in tracks.values()), sum(row.places for row in tracks.values())
            ),
        ]
        for name, tracks in sorted(found.items(), key=lambda item: _overview_order(item[0], item[1]))
    ]
    return "\n".join(
        [
            "## Overview",
            "",
            "Skill on each track, mean over models, with trials that failed at 0, the floor. `cells` is on "
            "how many cells of a task and a model a row rests, of those that its tracks have. Each track "
            "asks its own question, so few are on several.",
            "",
            table(["technique", *standings, "cells"], body),
        ]
    )


def _overview_order(name: str, tracks: Mapping[str, Standing]) -> tuple[int, str, float, str]:
    first = min(tracks)
    row = tracks[first]
    role = ROLES.index(row.role)
    track = first if row.role == "technique" else ""
    return (role, track, -row.ranked.mean if row.ranked else 0.0, name)
