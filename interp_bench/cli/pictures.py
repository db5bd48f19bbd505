"""Pictures of answers: plant small problems, call techniques, and store what they found beside the truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from interp_bench.board.figures import plural, skill_text
from interp_bench.board.files import write_whole
from interp_bench.cli.parser import PICTURES, Commands
from interp_bench.cli.values import path_of, seed_of
from interp_bench.errors import InterpBenchError

if TYPE_CHECKING:
    from interp_bench.harness.grid import Cell
    from interp_bench.harness.snapshots.stored import Snapshot
    from interp_bench.registry.spec import ModelSpec
    from interp_bench.tracks.catalogue import Task, Technique


SCENES = (
    ("attribution/token_evidence", "native-150k"),
    ("attribution/visual_evidence", "vit-slim-200k"),
    ("attribution/visual_evidence", "convnext-slim-20k"),
    ("attribution/visual_evidence", "resnet18"),
    ("circuits/ioi", "native-150k"),
    ("circuits/visual_induction", "vit-slim-200k"),
    ("circuits/channel_conjunction", "convnext-slim-20k"),
    ("concepts/marker_concept", "native-150k"),
    ("concepts/visual_concept", "vit-slim-200k"),
    ("features/dictionary", "native-30k"),
    ("features/visual_dictionary", "convnext-slim-20k"),
    ("triggers/universal_tokens", "native-150k"),
    ("triggers/universal_patch", "convnext-slim-20k"),
)
"""Task and model of the pictures, in order: a technique is shown on the first of each modality that it
answers. Small models, so that a picture takes about a second and can be looked at as a whole."""


def pictures(names: Sequence[str], model: str | None, seed: int, out: Path) -> int:
    """Store one picture of each technique and modality; return 1 if a technique has none, else 0.

    Args:
        names: techniques, as ``--bench-technique`` takes them; all when empty.
        model: show answers on this model instead.
        seed: seed of the plant.
        out: folder.

    Raises:
        InterpBenchError: there is no such technique or model, or no task fits, or nothing can be written.
    """
    from interp_bench.harness.threads import ThreadSetting, thread_count

    # As a run does, so that sums come out in the same order whatever the machine.
    setting = ThreadSetting(thread_count(1))
    try:
        return _store(_techniques(names), model, seed, out)
    finally:
        setting.undo()


def _store(techniques: Sequence[Technique], model: str | None, seed: int, out: Path) -> int:
    from interp_bench.harness.snapshots.stored import text_of

    stored, pictured = 0, set()
    for taken in _taken(techniques, model, seed):
        path = out / taken.file_name
        write_whole(path, text_of(taken).encode("utf-8"))
        print(f"{skill_text(taken.skill):>6}  {path}", flush=True)
        stored += 1
        pictured.add(f"{taken.track}/{taken.technique}")
    bare = [technique.id for technique in techniques if technique.id not in pictured]
    print(f"{plural(stored, 'picture')} in {out}" + (f"; none of {', '.join(bare)}" if bare else ""))
    return 1 if bare else 0


def _taken(techniques: Sequence[Technique], model: str | None, seed: int) -> Iterator[Snapshot]:
    """Yield a snapshot of every technique and modality, of the first scene that it answers."""
    from interp_bench.harness.models import MODELS
    from interp_bench.harness.snapshots.taking import take

    wanted = {technique.id for technique in techniques}
    done: set[tuple[str, str]] = set()
    for task, spec in _scenes(model):
        modality = spec.modality
        cells = [
            cell
            for cell in _cells(techniques, task, spec, seed)
            if cell.technique_id in wanted and (cell.technique_id, modality) not in done
        ]
        for taken in take(cells, MODELS.open):
            if taken.snapshot is None:
                print(f"     -  {taken.cell.name}: {taken.reason}", flush=True)
            else:
                done.add((taken.cell.technique_id, modality))
                yield taken.snapshot


def _scenes(model: str | None) -> Iterator[tuple[Task, ModelSpec]]:
    """Yield tasks with the models that they are planted in, as far as they go together.

    Raises:
        InterpBenchError: there is no such model, or its weights are not here.
    """
    from interp_bench.cli.certifying import find_task
    from interp_bench.harness.models import MODELS

    registry = MODELS.registry()
    known = {spec.id: spec for spec in registry.specs}
    named = None if model is None else registry.get(model)
    if named is not None and (reason := MODELS.unavailable(named)) is not None:
        raise InterpBenchError(f"{named.id} cannot be opened: {reason}")
    seen = set()
    for name, usual in SCENES:
        spec = named or known.get(usual)
        if spec is None:
            continue
        task = find_task(name)
        fits = task.needs.unmet_by(spec.modality, spec.kind, spec.params) is None
        if fits and (name, spec.id) not in seen:
            seen.add((name, spec.id))
            yield task, spec


def _techniques(names: Sequence[str]) -> tuple[Technique, ...]:
    from interp_bench.cli.catalogue import load_entries
    from interp_bench.harness.selection import select_techniques
    from interp_bench.tracks.catalogue import CATALOGUE

    load_entries()
    chosen, _ = select_techniques(names, CATALOGUE, root=Path.cwd())
    return chosen


def _cells(techniques: Sequence[Technique], task: Task, spec: ModelSpec, seed: int) -> Iterator[Cell]:
    from interp_bench.harness.grid import Grid
    from interp_bench.tracks.catalogue import CATALOGUE

    track = task.track.name
    mine = [technique for technique in techniques if technique.track.name == track]
    grid = Grid(
        techniques=mine,
        tasks=[task],
        specs=[spec],
        seeds=[seed],
        floors={track: CATALOGUE.floor_of(track)},
    )
    return (cell for cell in grid.cells if cell.row.technique is not None)


def add_to(commands: Commands) -> None:
    """Add the command `pictures`."""
    taken = commands.add_parser("pictures", help="store pictures of answers beside what was planted")
    taken.add_argument(
        "--technique",
        action="append",
        default=[],
        metavar="NAME",
        help="only this one, by name or pattern (repeatable)",
    )
    taken.add_argument("--model", metavar="ID", help="on this model; default: a small one of each kind")
    taken.add_argument("--seed", type=seed_of, default=0, help="default: %(default)s")
    taken.add_argument("--out", type=path_of, default=PICTURES, help="folder; default: %(default)s")
    taken.set_defaults(
        run=lambda options: pictures(options.technique, options.model, options.seed, options.out)
    )
