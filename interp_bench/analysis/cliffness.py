"""Cliffness: how hard each place and each model is, whichever techniques were tried on it.

Techniques have abilities and places (a task on a model) have difficulties on one scale of logits; see
``analysis.response`` for the model. A technique of ability equal to the difficulty is expected to have
skill one half. The difficulty of a model is the grade of the cliff: the mean over its tasks. The same
grade in skill is what all techniques of the scale together would have there, those too that were not
tried; it is the number to read.

Intervals of difficulties are over techniques, those of abilities over models, both as they would vary
with other ones; Student's t with one degree of freedom fewer than there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from interp_bench.analysis.balance import indicators, over_tasks
from interp_bench.analysis.cells import Cell
from interp_bench.analysis.response import Array, Fit, fit
from interp_bench.analysis.stats import Interval

Place = tuple[str, str]
"""Task and model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ability:
    """One technique.

    Attributes:
        technique: bare name.
        ability: logits above the mean technique of the scale, with an interval over models (places on one
            model count as one draw).
        places: on how many places it rests.
    """

    technique: str
    ability: Interval
    places: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Difficulty:
    """One task on one model.

    Attributes:
        task, model: the place.
        difficulty: the ability that is expected to have skill one half there, in logits.
        expected: mean skill that all techniques of the scale are expected to have there; 0 to 1 where
            one technique gives no interval.
    """

    task: str
    model: str
    difficulty: Interval
    expected: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """One model, the cliff.

    Attributes:
        model, params, modality, ladder: which.
        difficulty: mean over tasks, in logits; a task that was not asked of this model, but of ones that
            share tasks with it, counts as much harder or easier than the others as it is there (see
            ``analysis.balance``).
        expected: mean skill that all techniques of the scale are expected to have over the same tasks.
        tasks: those that were asked of this model, sorted.
    """

    model: str
    params: int
    modality: str
    ladder: str
    difficulty: Interval
    expected: Interval
    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cliffness:
    """One scale: techniques and places of a track that hang together by shared cells.

    Attributes:
        track: the track.
        abilities: techniques, ablest first.
        difficulties: places, hardest first.
        grades: models, hardest first.
        cells: how many cells it rests on.
        explained: share of the variance of skill over these cells that the scale accounts for; where it is
            low, which technique is best depends on the place, and one grade a model says little.
    """

    track: str
    abilities: tuple[Ability, ...]
    difficulties: tuple[Difficulty, ...]
    grades: tuple[Grade, ...]
    cells: int
    explained: float


def cliffness_of(cells: Iterable[Cell]) -> tuple[Cliffness, ...]:
    """Fit the scales of each track, sorted by track, the one of most cells first.

    Ceiling and floor rows are left out, and so are cells that say nothing. Techniques and places that
    share no cell, not even by way of others (language models and images, where no technique takes both),
    cannot be compared: each group has a scale of its own, with mean ability 0.
    """
    tracks: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.role == "technique" and cell.ranked is not None:
            tracks.setdefault(cell.track, []).append(cell)
    return tuple(_scale(group) for track in sorted(tracks) for group in _hanging_together(tracks[track]))


def _hanging_together(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Split cells into groups that share no technique and no place, the largest first."""
    parents: dict[tuple[str, ...], tuple[str, ...]] = {}

    def root(node: tuple[str, ...]) -> tuple[str, ...]:
        parents.setdefault(node, node)
        while parents[node] != node:
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node

    for cell in cells:
        parents[root((cell.technique,))] = root(cell.place)
    groups: dict[tuple[str, ...], list[Cell]] = {}
    for cell in sorted(cells, key=lambda cell: (cell.technique, cell.place)):
        groups.setdefault(root(cell.place), []).append(cell)
    return sorted(groups.values(), key=lambda group: -len(group))


def _scale(cells: Sequence[Cell]) -> Cliffness:
    techniques = sorted({cell.technique for cell in cells})
    places = sorted({(cell.task, cell.model) for cell in cells})
    skills = np.full((len(techniques), len(places)), np.nan)
    rows = {name: index for index, name in enumerate(techniques)}
    columns = {place: index for index, place in enumerate(places)}
    for cell in cells:
        if cell.ranked is not None:
            skills[rows[cell.technique], columns[cell.task, cell.model]] = cell.ranked.mean
    fitted = fit(skills)
    return Cliffness(
        track=cells[0].track,
        abilities=_abilities(fitted, techniques, places),
        difficulties=_difficulties(fitted, places),
        grades=_grades(fitted, places, {cell.model: cell for cell in cells}),
        cells=len(cells),
        explained=_explained(fitted, skills),
    )


def _abilities(fitted: Fit, techniques: Sequence[str], places: Sequence[Place]) -> tuple[Ability, ...]:
    rows = len(fitted.held)
    models = indicators([model for _, model in places])
    counts = ((models @ fitted.held.T) > 0).sum(axis=0)
    halves = fitted.half_widths(
        fitted.abilities_of_parameters,
        np.ones((len(models), rows)),
        models,
        counts - 1.0,
    )
    found = [
        Ability(
            technique=name,
            ability=_interval(fitted.abilities[i], halves[i], counts[i]),
            places=int(fitted.held[i].sum()),
        )
        for i, name in enumerate(techniques)
    ]
    return tuple(sorted(found, key=lambda row: (_falling(row.ability), row.technique)))


def _difficulties(fitted: Fit, places: Sequence[Place]) -> tuple[Difficulty, ...]:
    difficulties, expected = _of_places(fitted, np.eye(len(places)), np.eye(len(places)))
    found = [
        Difficulty(task=task, model=model, difficulty=difficulties[j], expected=expected[j])
        for j, (task, model) in enumerate(places)
    ]
    return tuple(sorted(found, key=lambda row: (_falling(row.difficulty), row.task, row.model)))


def _grades(fitted: Fit, places: Sequence[Place], known: dict[str, Cell]) -> tuple[Grade, ...]:
    models = sorted({model for _, model in places})
    own = indicators([model for _, model in places])
    difficulties, expected = _of_places(
        fitted, over_tasks(own, indicators([task for task, _ in places])), own
    )
    found = [
        Grade(
            model=model,
            params=known[model].params,
            modality=known[model].modality,
            ladder=known[model].ladder,
            difficulty=difficulties[m],
            expected=expected[m],
            tasks=tuple(sorted(task for task, other in places if other == model)),
        )
        for m, model in enumerate(models)
    ]
    return tuple(sorted(found, key=lambda row: (_falling(row.difficulty), row.model)))


def _of_places(fitted: Fit, weights: Array, own: Array) -> tuple[list[Interval], list[Interval]]:
    """Return difficulty and expected skill of weighted sums of places, with intervals over techniques.

    Args:
        fitted: the scale.
        weights: ``[sums, places]``.
        own: ``[sums, places]``, 1 at the places whose techniques count as the sample.
    """
    rows, columns = fitted.held.shape
    counts = (own @ fitted.held.T > 0).sum(axis=1)
    clusters = (np.eye(rows), np.ones((rows, columns)), counts - 1.0)
    means = weights @ fitted.difficulties
    halves = fitted.half_widths(weights @ fitted.difficulties_of_parameters, *clusters)
    skills = weights @ fitted.expected.mean(axis=0)
    skill_halves = fitted.half_widths(weights @ fitted.means_of_parameters, *clusters)
    return (
        [_interval(*row) for row in zip(means, halves, counts, strict=True)],
        [_within_skill(_interval(*row)) for row in zip(skills, skill_halves, counts, strict=True)],
    )


def _falling(interval: Interval) -> float:
    """Return what sorts by falling mean; what is equal but for rounding is equal."""
    return -round(interval.mean, 9)


def _within_skill(interval: Interval) -> Interval:
    """Return an interval of expected skill in which nothing is outside of 0 to 1."""
    low, mean, high = np.clip([interval.low, interval.mean, interval.high], 0.0, 1.0)
    return replace(interval, mean=float(mean), low=float(low), high=float(high))


def _interval(mean: float, half: float, n: int) -> Interval:
    return Interval(mean=float(mean), low=float(mean - half), high=float(mean + half), n=int(n))


def _explained(fitted: Fit, skills: Array) -> float:
    """Return 1 minus the sum of squared residuals over that around the mean skill; 1 without any."""
    values = skills[fitted.held]
    total = float(((values - values.mean()) ** 2).sum())
    return 1.0 if total == 0 else 1.0 - float((fitted.residuals**2).sum()) / total
