"""Names of the files of the site: one a technique, a model and a pack of trials, whatever they are called."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ODD = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST = 100


class Links:
    """Files of techniques, models and tasks; names that would fall together are numbered.

    Args:
        techniques: as ``track/technique``.
        models: their ids.
        tasks: as ``track/task``.
    """

    def __init__(self, techniques: Iterable[str], models: Iterable[str], tasks: Iterable[str]) -> None:
        self._techniques = _slugs(techniques)
        self._models = _slugs(models)
        self._tasks = _slugs(tasks)

    def technique(self, name: str) -> str:
        """Return e.g. ``techniques/circuits.eap.html``."""
        return f"techniques/{self._techniques[name]}.html"

    def model(self, name: str) -> str:
        """Return e.g. ``models/native-30k.html``."""
        return f"models/{self._models[name]}.html"

    def trials(self, technique: str) -> str:
        """Return the pack of the trials of a technique, e.g. ``data/trials/circuits.eap``."""
        return f"data/trials/{self._techniques[technique]}"

    def problems(self, task: str) -> str:
        """Return the pack of the problems of a task, e.g. ``data/problems/circuits.docstring``."""
        return f"data/problems/{self._tasks[task]}"


def _slugs(names: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(set(names)):
        plain = _ODD.sub("_", name.replace("/", ".")).strip(".")[:_LONGEST] or "_"
        slug, number = plain, 1
        # Some file systems do not tell letters by their case.
        while slug.casefold() in taken:
            number += 1
            slug = f"{plain}~{number}"
        taken.add(slug.casefold())
        found[name] = slug
    return found
