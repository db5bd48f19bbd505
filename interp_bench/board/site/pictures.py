"""Pictures of answers for the pages of techniques: stored snapshots to charts with words beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interp_bench.board.figures import skill_text
from interp_bench.board.site import runtime
from interp_bench.harness.snapshots.stored import Snapshot, read_snapshots


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture of an answer beside what was planted.

    Attributes:
        title: what is shown, and on which model.
        technique, track: whose answer it is; ``technique`` is the bare name.
        caption: how to read it, and what it shows.
        alt: the same for who cannot see it, with the numbers that matter.
        spec: Vega-Lite, with its data; transparent, and its texts take the colours of the page's theme.
    """

    title: str
    technique: str
    track: str
    caption: str
    alt: str
    spec: Mapping[str, Any]


def pictures_of(folder: Path) -> tuple[Picture, ...]:
    """Return the pictures of a folder, in the order of track, technique and modality (texts first).

    Raises:
        StoreError: a file holds no picture; it and what is wrong are named.
        InterpBenchError: there are pictures, and a library of the extra ``site`` is not installed.
    """
    snapshots = read_snapshots(folder)
    ordered = sorted(snapshots, key=lambda s: (s.track, s.technique, s.modality != "lm", s.file_name))
    return tuple(picture(snapshot) for snapshot in ordered)


def picture(snapshot: Snapshot) -> Picture:
    """Return the picture of a snapshot.

    Raises:
        InterpBenchError: a library of the extra ``site`` is not installed.
    """
    runtime.require()
    from interp_bench.board.site.drawings import draw

    drawn = draw(snapshot.content)
    alt = f"{drawn.alt} Skill {skill_text(snapshot.skill)}, where 0 is guessing and 1 is the truth."
    return Picture(
        title=f"{drawn.title} ({snapshot.task} on {snapshot.model}, seed {snapshot.seed})",
        technique=snapshot.technique,
        track=snapshot.track,
        caption=f"{drawn.caption} Skill here: {skill_text(snapshot.skill)}.",
        alt=alt,
        spec={**drawn.spec, "description": alt},
    )
