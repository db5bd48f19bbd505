"""Checks of what an answer is worth: nothing on a question that it was not given to."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import Any

from interp_bench.analysis.controls import FALSE
from interp_bench.analysis.stats import mean, t_interval
from interp_bench.errors import ContractError, Inapplicable, PlantingError
from interp_bench.harness.guards import borrowed_generators
from interp_bench.harness.trial import skill_of
from interp_bench.testing import questions
from interp_bench.testing.exam import Exam
from interp_bench.testing.questions import Question
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import CATALOGUE

OTHER_SEEDS = (1, 2, 3)
"""Plants whose truth an answer to plant 0 is graded against."""

_GUESSES = 8
_ROTATED_TOLERANCE = 0.05  # one of 32 pairs of a concept may stand at its threshold

RESIDUAL_ROTATION = "residual_rotation"


def check_knows_nothing_of_other_truths(exam: Exam) -> None:
    """An answer to one plant, graded against others, is not above the floor beyond its interval.

    The skill over three other seeds of the same task; it fails where the lower bound of its 95% interval
    is above the size that the leaderboard calls a false discovery. What passes here by its design (an
    answer that is right wherever the plant is) is an expected failure.
    """
    for question, seen in exam.visits():
        if seen.error is not None:
            raise ContractError(f"on {question.modality}: raised {seen.error!r}")
        skills = _skills_elsewhere(exam.track, question, seen.answer)
        if len(skills) > 1 and (found := t_interval(skills)).low > FALSE:
            raise ContractError(
                f"on {question.modality}: its answer to one plant has skill {found.mean:.2f} on "
                f"{len(skills)} other plants that it never saw, at least {found.low:.2f}"
            )


def _skills_elsewhere(track: Any, question: Question, answer: Any) -> list[float]:
    skills, primary = [], track.primary.name
    for seed in OTHER_SEEDS:
        with suppress(PlantingError, ContractError):  # an answer may not fit: other tokens, other shapes
            other = questions.planted(track.name, question, seed)
            score = _score(track, other, answer)[primary]
            skills.append(skill_of(score, *_bounds(track.name, question, seed)))
    return skills


def _score(track: Any, planted: Planted[Any, Any], answer: Any) -> dict[str, float]:
    with borrowed_generators(planted.problem.seed):
        scores: dict[str, float] = track.score(planted.problem, planted.truth, answer)
    return scores


@lru_cache(maxsize=64)
def _bounds(track_name: str, question: Question, seed: int) -> tuple[float, float]:
    """Return floor and ceiling of the primary metric."""
    track, planted = CATALOGUE.tracks[track_name], questions.planted(track_name, question, seed)
    primary, problem = track.primary.name, planted.problem
    guess = CATALOGUE.floor_of(track_name).function
    draws = []
    for draw in range(_GUESSES):
        with borrowed_generators(draw):
            answer = guess(replace(problem, seed=draw))
        draws.append(_score(track, planted, answer)[primary])
    return mean(draws), _score(track, planted, track.true_answer(problem, planted.truth))[primary]


def check_does_not_depend_on_the_basis(exam: Exam) -> None:
    """A rotation of the residual stream moves the score by 0.05 at most, where that is claimed.

    The rotation changes nothing that the network computes. Asked of an LM whose norms have no gains.
    """
    if RESIDUAL_ROTATION not in exam.invariances:
        raise Inapplicable(f"does not claim {RESIDUAL_ROTATION}")
    track, technique = exam.track, exam.technique
    question = questions.ROTATED.get(track.name)
    if question is None or "lm" not in technique.needs.modalities:
        raise Inapplicable("the suite turns the residual stream of an LM only")
    scores = []
    for asked in (questions.planted(track.name, question), questions.rotated(track.name, question)):
        seen = exam.call(asked)
        if seen.error is not None:
            raise ContractError(f"on {question.model}: raised {seen.error!r}")
        scores.append(_score(track, asked, seen.answer)[track.primary.name])
    if abs(scores[1] - scores[0]) > _ROTATED_TOLERANCE:
        raise ContractError(
            f"{track.primary.name} is {scores[0]:.3f} before and {scores[1]:.3f} after a rotation of the "
            "residual stream, which changes nothing that the network computes"
        )
