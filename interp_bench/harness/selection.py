"""What the options of a run select: techniques, tasks, models and seeds, by name, pattern or ladder."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from interp_bench.errors import InterpBenchError, near_name
from interp_bench.harness.discovery import load_techniques
from interp_bench.harness.grid import CEILING
from interp_bench.harness.tiers import TIERS
from interp_bench.harness.trial import CONTROLS, Control

if TYPE_CHECKING:
    from interp_bench.registry.spec import ModelSpec
    from interp_bench.tracks.catalogue import Catalogue, Entry, Task, Technique

_MOST_SEEDS = 1000

E = TypeVar("E", bound="Entry")


class Models(Protocol):
    """What is needed of a registry."""

    @property
    def specs(self) -> tuple[ModelSpec, ...]:
        """All rows."""


def select_techniques(
    names: Sequence[str],
    catalogue: Catalogue,
    *,
    root: Path,
    load: Callable[[Path], tuple[Technique, ...]] = load_techniques,
) -> tuple[tuple[Technique, ...], dict[str, Technique]]:
    """Return the selected techniques, and the one that guesses on each track.

    Args:
        names: names, ``track/name``, patterns, or python files; all techniques when empty.
        catalogue: what is registered.
        root: folder that relative files are looked up in.
        load: registers the techniques of a file.

    Raises:
        InterpBenchError: a name is unknown, or a file cannot be used; the floors are taken before
            files are imported.
    """
    floors = {t.track.name: t for t in catalogue.techniques.values() if t.floor}
    if not names:
        return tuple(catalogue.techniques.values()), floors
    chosen: list[Technique] = []
    for name in names:
        if name.endswith(".py"):
            chosen.extend(load(root / name))
        elif name == CEILING:
            chosen.extend(floors.values())
        else:
            chosen.extend(_entries(name, catalogue.techniques.values(), "technique"))
    unique = {technique.id: technique for technique in chosen}
    floors.update({t.track.name: t for t in unique.values() if t.floor})
    return tuple(unique.values()), floors


def select_tasks(names: Sequence[str], tasks: Sequence[Task]) -> tuple[Task, ...]:
    """Return the tasks of these names, ``track/name``, patterns or tracks; all when there are none.

    Raises:
        InterpBenchError: a name is unknown.
    """
    if not names:
        return tuple(tasks)
    chosen: dict[str, Task] = {}
    for name in names:
        found = [task for task in tasks if task.track.name == name] or _entries(name, tasks, "task")
        chosen.update({task.id: task for task in found})
    return tuple(chosen.values())


def select_models(names: Sequence[str], models: Models, tier: str) -> tuple[ModelSpec, ...]:
    """Return the models of a tier and the tiers below it, narrowed by ids, patterns or ladders.

    A model that is named by its full id is taken whatever its tier.

    Raises:
        InterpBenchError: a name is unknown, or matches only models of larger tiers.
    """
    within = TIERS[: TIERS.index(tier) + 1]
    if not names:
        return tuple(spec for spec in models.specs if spec.tier in within)
    chosen: dict[str, ModelSpec] = {}
    for name in names:
        exact = [spec for spec in models.specs if spec.id == name]
        matching = exact or _matching(name, models.specs, lambda spec: (spec.id, spec.ladder))
        if not matching:
            known = sorted({n for spec in models.specs for n in (spec.id, spec.ladder)})
            raise InterpBenchError(f"no model or ladder is called {name!r}{near_name(name, known)}")
        fitting = exact or [spec for spec in matching if spec.tier in within]
        if not fitting:
            least = min((spec.tier for spec in matching), key=TIERS.index)
            raise InterpBenchError(
                f"the models of {name!r} are beyond the {tier} tier; add --bench-tier {least}"
            )
        chosen.update({spec.id: spec for spec in fitting})
    return tuple(chosen.values())


def parse_seeds(text: str) -> tuple[int, ...]:
    """Return seeds: ``3`` means 0, 1, 2; a list such as ``0,5,7`` or ``5,`` means just these.

    Raises:
        InterpBenchError: the text is neither.
    """
    if re.fullmatch(r" *[0-9]{1,6} *", text):
        count = int(text)
        if 1 <= count <= _MOST_SEEDS:
            return tuple(range(count))
    elif re.fullmatch(r" *[0-9]{1,9} *(, *[0-9]{1,9} *)*,? *", text) and "," in text:
        return tuple(dict.fromkeys(int(part) for part in text.split(",") if part.strip()))
    raise InterpBenchError(
        f"--bench-seeds is {text!r}; give a number from 1 to {_MOST_SEEDS}, or a list of seeds such as 0,5,7"
    )


def select_controls(names: Sequence[str]) -> tuple[Control, ...]:
    """Return the negative controls of these names; ``all`` means all, ``none`` none, as does no name.

    Raises:
        InterpBenchError: a name is unknown, or ``none`` stands beside others.
    """
    known = (*CONTROLS, "all", "none")
    for name in names:
        if name not in known:
            raise InterpBenchError(
                f"no control is called {name!r}{near_name(name, known)}; give one of {', '.join(known)}"
            )
    if "none" in names and set(names) != {"none"}:
        raise InterpBenchError("--bench-control none takes no other control beside it")
    return CONTROLS if "all" in names else tuple(control for control in CONTROLS if control in names)


T = TypeVar("T")


def _entries(name: str, entries: Iterable[E], noun: str) -> list[E]:
    listed = list(entries)
    found = _matching(name, listed, lambda entry: (entry.name, entry.id))
    if not found:
        known = sorted({n for entry in listed for n in (entry.name, entry.id)})
        raise InterpBenchError(f"no {noun} is called {name!r}{near_name(name, known)}")
    return found


def _matching(pattern: str, things: Iterable[T], names: Callable[[T], tuple[str, ...]]) -> list[T]:
    return [thing for thing in things if any(fnmatch.fnmatchcase(name, pattern) for name in names(thing))]
