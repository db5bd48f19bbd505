"""A technique before its example problems, with every call that was made, so that checks share them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from interp_bench.errors import Inapplicable
from interp_bench.testing import questions
from interp_bench.testing.questions import Question, Variant
from interp_bench.testing.visits import Visit, visit
from interp_bench.tracks.catalogue import Technique


class Exam:
    """One technique, what it is called with and asked.

    Args:
        technique: the registered technique.
        arguments: keyword arguments in place of its defaults.
        invariances: what its author says changes nothing, such as ``residual_rotation``.
    """

    def __init__(
        self, technique: Technique, arguments: Mapping[str, Any], invariances: tuple[str, ...] = ()
    ) -> None:
        self.technique = technique
        self.arguments = dict(arguments)
        self.invariances = invariances
        self._visits: dict[tuple[Question, Variant], Visit] = {}

    @property
    def track(self) -> Any:
        """The technique's track."""
        return self.technique.track

    @cached_property
    def questions(self) -> tuple[Question, ...]:
        """One question for each modality.

        Raises:
            Inapplicable: there is none that meets the technique's needs.
        """
        found = questions.questions_for(self.technique)
        if not found:
            raise Inapplicable(f"the suite has no example problem for {self.technique.id}")
        return found

    def visit(self, question: Question, variant: Variant = "planted") -> Visit:
        """Return the call on a question, made now unless it was before."""
        key = (question, variant)
        if key not in self._visits:
            self._visits[key] = self.call(questions.asked(self.track.name, question, variant))
        return self._visits[key]

    def call(self, planted: Any) -> Visit:
        """Call the technique on a planted question."""
        seen = visit(self.technique, planted, self.arguments)
        if seen.content:
            questions.forget()
        return seen

    def visits(self, variant: Variant = "planted") -> Iterator[tuple[Question, Visit]]:
        """Yield the call on each question where the technique has a meaning.

        Raises:
            Inapplicable: it has none on any.
        """
        seen = [(question, self.visit(question, variant)) for question in self.questions]
        if all(one.inapplicable for _, one in seen):
            raise Inapplicable(str(seen[0][1].error))
        yield from ((question, one) for question, one in seen if not one.inapplicable)
