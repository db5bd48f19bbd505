"""List models, techniques and tasks, and show one of them."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from tabulate import tabulate

from interp_bench.cli.catalogue import (
    Record,
    description,
    fits,
    load_entries,
    model_record,
    needs_text,
    task_record,
    technique_record,
)
from interp_bench.cli.parser import Commands
from interp_bench.errors import InterpBenchError, near_name
from interp_bench.harness.tiers import TIERS
from interp_bench.registry import load_registry

MODALITIES = ("lm", "image")

_NARROWEST = 16


def models(options: argparse.Namespace) -> int:
    """List the rows of models.yaml that pass the filters."""
    registry = load_registry()
    _known("ladder", options.ladder, registry.ladders)
    records = [
        model_record(spec)
        for spec in registry
        if options.ladder in (None, spec.ladder)
        and options.modality in (None, spec.modality)
        and (options.tier is None or TIERS.index(spec.tier) <= TIERS.index(options.tier))
    ]
    if options.json:
        return _print_json(records)
    headers = ["model", "parameters", "modality", "ladder", "kind", "tier", "GiB", "here"]
    _print_table(headers, [_model_row(record) for record in records], right=(1, 6))
    here = sum(record["available"] for record in records)
    ladders = len({record["ladder"] for record in records})
    print(
        f"\n{_count(len(records), 'model')} on {_count(ladders, 'ladder')}, {here} of them can be opened here"
    )
    return 0


def techniques(options: argparse.Namespace) -> int:
    """List the techniques that pass the filters."""
    found, _ = load_entries()
    _known("track", options.track, {technique.track.name for technique in found})
    records = _filtered([technique_record(technique) for technique in found], options)
    if options.json:
        return _print_json(records)
    headers = ["technique", "access", "cost", "runs on", "source", "what it does"]
    rows = [
        [r["id"], r["access"], r["cost"], needs_text(r["needs"]), _author(r["cites"]), r["summary"]]
        for r in records
    ]
    _print_table(headers, rows)
    _print_total("technique", records)
    return 0


def tasks(options: argparse.Namespace) -> int:
    """List the tasks that pass the filters."""
    _, found = load_entries()
    _known("track", options.track, {task.track.name for task in found})
    records = _filtered([task_record(task) for task in found], options)
    if options.json:
        return _print_json(records)
    rows = [[r["id"], _arguments(r["dials"]), needs_text(r["needs"]), r["summary"]] for r in records]
    _print_table(["task", "dials", "runs on", "what it asks"], rows)
    _print_total("task", records)
    return 0


def show(name: str, *, as_json: bool) -> int:
    """Show everything that is called ``name``: a model, or techniques and tasks of any track.

    Raises:
        InterpBenchError: nothing is; the message suggests a near name.
    """
    specs = {spec.id: spec for spec in load_registry()}
    if name in specs:
        spec = specs[name]
        record = model_record(spec) | {"notes": spec.notes, "source": spec.source.model_dump()}
        return _print_json([record]) if as_json else _print_records([record])
    found, planted = load_entries()
    entries = [*found, *planted]
    records = [
        technique_record(entry) | {"description": description(entry)}
        for entry in found
        if name in (entry.name, entry.id)
    ]
    records += [
        task_record(entry) | {"description": description(entry)}
        for entry in planted
        if name in (entry.name, entry.id)
    ]
    if not records:
        known = [*specs, *(entry.name for entry in entries), *(entry.id for entry in entries)]
        raise InterpBenchError(f"no model, technique or task is called {name!r}{near_name(name, known)}")
    return _print_json(records) if as_json else _print_records(records)


def _known(noun: str, name: str | None, known: Iterable[str]) -> None:
    names = sorted(known)
    if name is not None and name not in names:
        hint = near_name(name, names) or f"; there are {', '.join(names)}"
        raise InterpBenchError(f"no {noun} is called {name!r}{hint}")


def _filtered(records: Sequence[Record], options: argparse.Namespace) -> list[Record]:
    return [
        record
        for record in records
        if options.track in (None, record["track"]) and fits(record["needs"], options.modality)
    ]


def _model_row(record: Record) -> list[str]:
    here = "yes" if record["available"] else str(record["reason"])
    columns = [record[key] for key in ("modality", "ladder", "kind", "tier")]
    return [record["id"], f"{record['params']:,}", *columns, f"{record['memory_gb']:g}", here]


def _author(cites: str) -> str:
    """Return author and year of a citation: what stands before the title."""
    return re.split(r"[,;(]", cites, maxsplit=1)[0].strip()


def _arguments(arguments: Record) -> str:
    return ", ".join(f"{name}={value}" for name, value in arguments.items())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _print_total(noun: str, records: Sequence[Record]) -> None:
    tracks = len({record["track"] for record in records})
    print(f"\n{_count(len(records), noun)} on {_count(tracks, 'track')}")


def _print_json(records: Sequence[Record]) -> int:
    print(json.dumps(records, indent=2, ensure_ascii=False))
    return 0


def _print_records(records: Sequence[Record]) -> int:
    blocks = [
        "\n".join(f"{key:<12} {_value(value)}" for key, value in record.items() if key != "description")
        + (f"\n\n{record['description']}" if "description" in record else "")
        for record in records
    ]
    print("\n\n".join(blocks))
    return 0


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={_value(inner)}" for key, inner in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(_value, value)) or "any"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return "-" if value in (None, "") else str(value)


def _in_terminal() -> bool:
    return sys.stdout.isatty()


def _print_table(headers: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Print a table; in a terminal the last column is cut to fit, in a pipe nothing is."""
    shown = [list(row) for row in rows]
    if _in_terminal():
        others = zip(headers[:-1], *(row[:-1] for row in shown), strict=True)
        used = sum(max(map(len, column)) + 4 for column in others)
        room = max(shutil.get_terminal_size().columns - used, _NARROWEST)
        for row in shown:
            row[-1] = row[-1] if len(row[-1]) <= room else row[-1][: room - 3] + "..."
    sides = ["right" if index in right else "left" for index in range(len(headers))]
    print(
        tabulate(shown, headers, tablefmt="simple", colalign=sides if shown else None, disable_numparse=True)
    )


def add_to(commands: Commands) -> None:
    """Add the commands that list what there is."""
    listed_models = commands.add_parser("models", help="list the models of models.yaml")
    listed_models.add_argument(
        "--tier", choices=TIERS, help="only models of this tier and the tiers below it"
    )
    listed_models.add_argument("--ladder", help="only models of this ladder")
    listed_models.set_defaults(run=models)
    listed_techniques = commands.add_parser("techniques", help="list the techniques")
    listed_techniques.set_defaults(run=techniques)
    listed_tasks = commands.add_parser("tasks", help="list the tasks")
    listed_tasks.set_defaults(run=tasks)
    for command in (listed_techniques, listed_tasks):
        command.add_argument("--track", help="only those of this track")
    for command in (listed_models, listed_techniques, listed_tasks):
        command.add_argument("--modality", choices=MODALITIES, help="only those for this modality")
        command.add_argument("--json", action="store_true", help="print a list of objects")
    shown = commands.add_parser("show", help="show all about one model, technique or task")
    shown.add_argument("name", help="a model's id, or the name of a technique or a task")
    shown.add_argument("--json", action="store_true", help="print a list of objects")
    shown.set_defaults(run=lambda options: show(options.name, as_json=options.json))
