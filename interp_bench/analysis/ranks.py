"""Ranks of techniques within a track and modality, over complete rows alone and with ties shown.

Ranks are only meaningful where every technique faced the same places, so they are taken over the block
of ``analysis.blocks``; who is left out is said. Techniques are told apart by the paired t test over
models (places and seeds on one model are not independent), corrected after Holm for the techniques that
the same leader is compared with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from interp_bench.analysis.blocks import Missing, largest_block
from interp_bench.analysis.cells import Cell
from interp_bench.analysis.paired import holm, paired
from interp_bench.analysis.stats import Interval, mean, t_interval

Place = tuple[str, str]
"""Task and model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """One technique.

    Attributes:
        technique: bare name.
        rank: 1 is best; shared by all of a group.
        tied: how many techniques share it, this one too.
        skill: mean over models with Student's t interval, each the mean of its places in the block.
    """

    technique: str
    rank: int
    tied: int
    skill: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The techniques of one track and modality.

    Attributes:
        track, modality: where.
        rows: by rank, then by falling skill.
        places: task and model of each place that it rests on, sorted.
        models: on how many models these are.
        share: the smallest share of the techniques that was scored at any of these places.
        passed_over: how many places of the track and modality are none of them, since too few
            techniques were scored there.
        left_out: techniques that were not scored at every one of the places, sorted.
    """

    track: str
    modality: str
    rows: tuple[Ranked, ...]
    places: tuple[Place, ...]
    models: int
    share: float
    passed_over: int
    left_out: tuple[Missing, ...]


def rankings_of(cells: Iterable[Cell]) -> tuple[Ranking, ...]:
    """Return one ranking a track and modality, sorted by them, language models first.

    Going down by mean skill, the best technique leads the first group; each that follows belongs to it
    until one is reached that is worse than the leader beyond doubt, which leads the next group. The rank
    of a group is one more than the number of techniques above it. Ceiling and floor rows have none.
    """
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        if cell.role == "technique" and cell.ranked is not None:
            groups.setdefault((cell.track, cell.modality), []).append(cell)
    order = sorted(groups, key=lambda group: (group[0], group[1] != "lm", group[1]))
    return tuple(_ranking(track, modality, groups[track, modality]) for track, modality in order)


def _ranking(track: str, modality: str, cells: Sequence[Cell]) -> Ranking:
    skills: dict[str, dict[Place, float]] = {}
    for cell in cells:
        if cell.ranked is not None:
            skills.setdefault(cell.technique, {})[cell.task, cell.model] = cell.ranked.mean
    block = largest_block({technique: set(places) for technique, places in skills.items()})
    rows = {technique: _by_model(skills[technique], block.places) for technique in block.techniques}
    return Ranking(
        track=track,
        modality=modality,
        rows=_in_groups(rows),
        places=block.places,
        models=len({model for _, model in block.places}),
        share=block.share,
        passed_over=block.passed_over,
        left_out=block.left_out,
    )


def _by_model(skills: Mapping[Place, float], places: Iterable[Place]) -> list[float]:
    models: dict[str, list[float]] = {}
    for place in places:
        models.setdefault(place[1], []).append(skills[place])
    return [mean(models[model]) for model in sorted(models)]


def _in_groups(rows: Mapping[str, list[float]]) -> tuple[Ranked, ...]:
    order = sorted(rows, key=lambda technique: (-mean(rows[technique]), technique))
    found: list[Ranked] = []
    while len(found) < len(order):
        start = len(found)
        group = order[start : start + _group_size(rows, order[start:])]
        found += [
            Ranked(technique=name, rank=start + 1, tied=len(group), skill=t_interval(rows[name]))
            for name in group
        ]
    return tuple(found)


def _group_size(rows: Mapping[str, list[float]], order: Sequence[str]) -> int:
    """Return how many techniques from the first on cannot be told from it."""
    leader, *others = order
    tests = [paired([a - b for a, b in zip(rows[leader], rows[other], strict=True)]) for other in others]
    corrected = iter(holm([test.p for test in tests if test.p is not None]))
    for index, test in enumerate(tests):
        p = None if test.p is None else next(corrected)
        if test.tendency(p) == "better":
            return index + 1
    return len(order)
