"""The grid of a run: techniques x tasks x models x seeds, as far as they apply, in running order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from interp_bench.errors import RegistrationError
from interp_bench.harness.keys import content_key
from interp_bench.harness.trial import Control, Role, suffix_of

if TYPE_CHECKING:
    from interp_bench.harness.seed_secret import SeedSecret
    from interp_bench.registry.spec import ModelSpec
    from interp_bench.tracks.catalogue import Entry, Task, Technique

CEILING = "ceiling"
"""Name of the row that the harness adds to each track: the answer that the truth itself gives."""

LARGE_GB = 2.0
"""Models that need this much memory, in GiB, run on one worker at a time."""

FEW_PARAMS: dict[Control, int] = {"unplanted": 250_000, "rerandomised": 100_000, "shuffled": 250_000}
"""Parameters up to which a model answers a control where nobody asks for controls by name.

The quick tier has minutes for everything, and its small hosts are random: permuting their weights
says little that ``unplanted`` does not.
"""

_ORDER: dict[Role, int] = {"ceiling": 0, "floor": 1, "technique": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is scored: a technique, or the truth itself.

    Attributes:
        name: bare name.
        role: ``technique``, ``floor`` or ``ceiling``.
        version, arguments, fingerprint: what decides its results.
        technique: the technique; None for the ceiling.
    """

    name: str
    role: Role
    version: int
    arguments: MappingProxyType[str, Any]
    fingerprint: str
    technique: Technique | None

    def suits(self, spec: ModelSpec, *, brief: bool) -> bool:
        """Return whether it applies to a model, or is asked there in a brief run; the truth always is."""
        return self.technique is None or _unmet(self.technique, spec, brief) is None


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One trial that can be run.

    Attributes:
        row: what is scored.
        task, spec, seed: the problem it is scored on.
        floor: the technique that guesses on this track.
        device: device to run on.
        model_revision: content of the model's weights.
        control: the negative control that is shown in place of the planted problem, or an empty string.
        secret: what the seed of the plant follows from, or None where it is ``seed``.
    """

    row: Row
    task: Task
    spec: ModelSpec
    seed: int
    floor: Technique
    device: str
    model_revision: str
    control: Control = ""
    secret: SeedSecret | None = None

    @property
    def name(self) -> str:
        """Readable id within a file of tasks: ``dictionary[pca-resnet18-0]``."""
        return f"{self.task.name}[{self.row.name}-{self.spec.id}-{self.seed}{suffix_of(self.control)}]"

    @property
    def technique_id(self) -> str:
        """``track/technique``."""
        return f"{self.task.track.name}/{self.row.name}"

    @property
    def problem(self) -> tuple[str, str, int]:
        """Task, model and seed: what is planted once for all techniques."""
        return (self.task.id, self.spec.id, self.seed)

    @property
    def group(self) -> str:
        """What one worker runs in one go: a model and a seed, or all seeds of a large model.

        Two workers never hold the same large model at once, which would double the peak of memory.
        """
        if self.spec.memory_gb >= LARGE_GB:
            return self.spec.id
        return f"{self.spec.id}-{self.seed}"

    @property
    def identity(self) -> tuple[str, str, str, int, str]:
        """The same as ``Trial.cell``."""
        return (self.technique_id, self.task.id, self.spec.id, self.seed, self.control)

    @property
    def seed_secret(self) -> str:
        """Commitment to the secret, or an empty string without one."""
        return self.secret.commitment if self.secret else ""

    @property
    def plant_seed(self) -> int:
        """The seed that the task plants from."""
        return self.secret.seed(*self.problem) if self.secret else self.seed

    @cached_property
    def key(self) -> str:
        """The content key of the trial."""
        return content_key(
            technique=self.technique_id,
            technique_version=self.row.version,
            technique_fingerprint=self.row.fingerprint,
            technique_arguments=self.row.arguments,
            floor_version=self.floor.version,
            task=self.task,
            model=self.spec.id,
            model_revision=self.model_revision,
            seed=self.seed,
            device=self.device,
            control=self.control,
            seed_secret=self.seed_secret,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """A combination that is no cell, and why.

    Attributes:
        what: ``task`` or ``track/technique``, with the model it does not apply to.
        reason: which need is not met.
    """

    what: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What was selected, and the cells that follow from it.

    Attributes:
        techniques, tasks, specs, seeds: the selection; ceiling and floor rows are added to it.
        floors: the guessing technique of each track, by the track's name.
        device: device to run on.
        brief: whether tasks and techniques keep to the models that they name for the quick tier.
        controls: negative controls that each problem is asked with too, as far as its track offers them.
        few_controls: whether controls keep to one task a track, the first seed, and small models
            (``FEW_PARAMS``).
        secret: what the seeds of plants follow from, or None.
    """

    techniques: Sequence[Technique]
    tasks: Sequence[Task]
    specs: Sequence[ModelSpec]
    seeds: Sequence[int]
    floors: dict[str, Technique]
    device: str = "cpu"
    brief: bool = False
    controls: Sequence[Control] = ()
    few_controls: bool = False
    secret: SeedSecret | None = None

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The cells in running order: one model at a time, largest first, each problem in one go.

        Raises:
            RegistrationError: a track that is asked has no technique that guesses, or a technique
                has the name of the ceiling row.
        """
        return tuple(self._generate())

    def _generate(self) -> Iterator[Cell]:
        rows = {track: self._rows(track) for track in sorted({task.track.name for task in self.tasks})}
        tasks = sorted(self.tasks, key=lambda task: task.id)
        for spec in sorted(self.specs, key=lambda spec: (-spec.params, spec.id)):
            revision = spec.revision
            asked = [task for task in tasks if _unmet(task, spec, self.brief) is None]
            controlled = self._controlled(asked, spec)
            for seed, task in product(self.seeds, asked):
                applicable = [row for row in rows[task.track.name] if row.suits(spec, brief=self.brief)]
                for control in ("", *controlled.get((task.id, seed), ())):
                    for row in applicable:
                        # The truth needs no network to be found in, so it answers no control.
                        if row.technique is not None or not control:
                            yield Cell(
                                row=row,
                                task=task,
                                spec=spec,
                                seed=seed,
                                floor=self.floors[task.track.name],
                                device=self.device,
                                model_revision=revision,
                                control=control,
                                secret=self.secret,
                            )

    def _controlled(
        self, asked: Sequence[Task], spec: ModelSpec
    ) -> dict[tuple[str, int], tuple[Control, ...]]:
        """Return the controls of each task, by id, and seed that has any on one model."""
        chosen: Sequence[Task] = asked
        if self.few_controls:
            # Tasks that the quick tier runs everywhere come first, since others may not be there.
            ranked = sorted(asked, key=lambda task: (task.quick is not None, task.id), reverse=True)
            chosen = list({task.track.name: task for task in ranked}.values())
        seeds = self.seeds[:1] if self.few_controls else self.seeds
        wanted = [c for c in self.controls if not self.few_controls or spec.params <= FEW_PARAMS[c]]
        return {
            (task.id, seed): tuple(control for control in wanted if control in task.track.controls)
            for task, seed in product(chosen, seeds)
        }

    def _rows(self, track: str) -> list[Row]:
        if track not in self.floors:
            raise RegistrationError(
                f"no technique of the {track} track guesses; register one with @technique(floor=True)"
            )
        mine = [technique for technique in self.techniques if technique.track.name == track]
        if not mine:
            return []
        rows = [_row(technique) for technique in {t.id: t for t in (self.floors[track], *mine)}.values()]
        rows.append(
            Row(
                name=CEILING,
                role="ceiling",
                version=1,
                arguments=MappingProxyType({}),
                fingerprint="",
                technique=None,
            )
        )
        return sorted(rows, key=lambda row: (_ORDER[row.role], row.name))

    def explain(self) -> list[Absent]:
        """Return each selected combination that is not run, with the reason."""
        absent = []
        asked = {task.track.name for task in self.tasks}
        for technique in self.techniques:
            if technique.track.name not in asked:
                reason = f"no task of the {technique.track.name} track is selected"
                absent.append(Absent(what=technique.id, reason=reason))
        for name, track in {task.track.name: task.track for task in self.tasks}.items():
            absent += [
                Absent(what=f"control {control} of {name}", reason="the track has no such control")
                for control in self.controls
                if control not in track.controls
            ]
        for spec in self.specs:
            reasons = {e.id: _unmet(e, spec, self.brief) for e in (*self.tasks, *self.techniques)}
            absent += [
                Absent(what=f"{name} on {spec.id}", reason=reason)
                for name, reason in reasons.items()
                if reason is not None
            ]
        return absent


def _unmet(entry: Entry, spec: ModelSpec, brief: bool) -> str | None:
    reason = entry.needs.unmet_by(spec.modality, spec.kind, spec.params)
    if reason is None and brief and entry.quick is not None:
        reason = entry.quick.unmet_by(spec.modality, spec.kind, spec.params)
        return reason and f"{reason} in the quick tier; name a task or a model to run it all the same"
    return reason


def _row(technique: Technique) -> Row:
    if technique.name == CEILING:
        raise RegistrationError(
            f"technique {technique.id} ({technique.origin}): the name {CEILING!r} belongs to the row of the "
            "truth itself; give the technique another"
        )
    return Row(
        name=technique.name,
        role="floor" if technique.floor else "technique",
        version=technique.version,
        arguments=technique.arguments,
        fingerprint=technique.fingerprint,
        technique=technique,
    )
