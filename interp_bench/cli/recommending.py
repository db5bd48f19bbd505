"""Which techniques to take for a model of a given size, from exported trials."""

from __future__ import annotations

import argparse
import json
import math
from typing import TYPE_CHECKING, Any

from interp_bench.analysis.access import ACCESS
from interp_bench.cli import catalogue, quantities
from interp_bench.cli.listing import MODALITIES
from interp_bench.cli.parser import TRIALS, Commands
from interp_bench.cli.values import path_of
from interp_bench.errors import InterpBenchError, near_name

if TYPE_CHECKING:
    from interp_bench.analysis.recommend import Abilities, Advice, Recommended
    from interp_bench.analysis.stats import Interval
    from interp_bench.tracks.catalogue import Technique


def recommend(options: argparse.Namespace) -> int:
    """Print the techniques for a model, best first; return 1 where there is none.

    Raises:
        InterpBenchError: trials cannot be read, or there is no such track.
    """
    from interp_bench.analysis.cells import cells_of
    from interp_bench.analysis.recommend import Wanted
    from interp_bench.analysis.recommend import recommend as advice_for
    from interp_bench.board import jsonl
    from interp_bench.board.recommendation import advice_text

    techniques, _ = catalogue.load_entries()
    tracks = sorted({technique.track.name for technique in techniques})
    if options.track not in tracks:
        hint = near_name(options.track, tracks) or f"; there are {', '.join(tracks)}"
        raise InterpBenchError(f"no track is called {options.track!r}{hint}")
    advice = advice_for(
        cells_of(jsonl.read(options.trials)),
        [_abilities(t) for t in techniques if t.track.name == options.track and not t.floor],
        Wanted(
            track=options.track,
            modality=options.modality,
            params=options.params,
            seconds=options.budget,
            access=options.access,
        ),
    )
    if options.json:
        print(json.dumps(_record(advice, options.top), indent=2, ensure_ascii=False))
    else:
        print(advice_text(advice, options.top))
    return 0 if advice.rows else 1


def _abilities(technique: Technique) -> Abilities:
    from interp_bench.analysis.recommend import Abilities

    return Abilities(
        technique=technique.name,
        access=technique.access,
        modalities=technique.needs.modalities,
        kinds=technique.needs.kinds,
        min_params=technique.needs.min_params,
        max_params=technique.needs.max_params,
    )


def _record(advice: Advice, top: int) -> dict[str, Any]:
    wanted = advice.wanted
    return {
        "track": wanted.track,
        "modality": wanted.modality,
        "params": wanted.params,
        "budget_seconds": wanted.seconds,
        "access": wanted.access,
        "device": advice.device,
        "techniques": [_row_record(row) for row in advice.rows[:top]],
        "more": max(len(advice.rows) - top, 0),
        "left_out": [{"technique": out.technique, "reason": out.reason} for out in advice.left_out],
    }


def _row_record(row: Recommended) -> dict[str, Any]:
    return {
        "technique": row.technique,
        "access": row.access,
        "kinds": list(row.kinds),
        "skill": row.skill.mean,
        "skill_low": row.skill.low,
        "skill_high": row.skill.high,
        **_seconds_record(row.seconds),
        "models": row.skill.n,
        "places": row.places,
        "trials": row.trials,
        "smallest": row.smallest,
        "largest": row.largest,
        "extrapolates": row.extrapolates,
        "beyond": row.beyond,
    }


def _seconds_record(seconds: Interval | None) -> dict[str, float | None]:
    """Return the cost; None stands for what is not known, since JSON knows no infinity."""
    low, mean, high = (None, None, None) if seconds is None else (seconds.low, seconds.mean, seconds.high)
    values = {"seconds": mean, "seconds_low": low, "seconds_high": high}
    return {
        name: value if value is not None and math.isfinite(value) else None for name, value in values.items()
    }


def add_to(commands: Commands) -> None:
    """Add the command `recommend`."""
    added = commands.add_parser(
        "recommend", help="which techniques to take for a model, what they cost, and on what that rests"
    )
    added.add_argument("--track", required=True, help="the question, such as circuits")
    added.add_argument("--modality", required=True, choices=MODALITIES)
    added.add_argument(
        "--params",
        required=True,
        type=quantities.size,
        metavar="SIZE",
        help="of the model: 130m, 1.3b, 1.3e9",
    )
    added.add_argument(
        "--budget", type=quantities.duration, metavar="TIME", help="of one call: 90s, 10min, 1h; default: any"
    )
    added.add_argument("--access", choices=ACCESS, help="the deepest that there is; default: all")
    added.add_argument(
        "--top", type=quantities.count, default=10, metavar="N", help="rows; default: %(default)s"
    )
    added.add_argument("--trials", type=path_of, default=TRIALS, help="folder; default: %(default)s")
    added.add_argument("--json", action="store_true", help="print an object")
    added.set_defaults(run=recommend)
