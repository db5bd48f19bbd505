"""Plant one problem and print what its certificate measured."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from interp_bench.cli.parser import Commands
from interp_bench.cli.values import seed_of
from interp_bench.errors import InterpBenchError, PlantingError, near_name

if TYPE_CHECKING:
    from interp_bench.planting.certificate import Certificate
    from interp_bench.tracks.catalogue import Task


_LONGEST = 40
"""Characters of the value of a dial, which is one number."""


def certify(name: str, model: str, *, seed: int, dials: Sequence[str], as_json: bool) -> int:
    """Plant a task in a model and print every check; return 0 if all passed, else 1.

    Args:
        name: a task's name or ``track/name``.
        model: a model's id.
        seed: seed of the plant.
        dials: ``name=value`` each, in place of the task's defaults.
        as_json: print one object instead of a table.

    Raises:
        InterpBenchError: there is no such task, model or dial, or they do not go together.
    """
    from interp_bench.harness.models import MODELS

    task = find_task(name)
    spec = MODELS.registry().get(model)
    reason = task.needs.unmet_by(spec.modality, spec.kind, spec.params) or MODELS.unavailable(spec)
    if reason is not None:
        raise InterpBenchError(f"task {task.id} cannot be planted in {model}: {reason}")
    values = dict(_dial(task, text) for text in dials)
    start = time.perf_counter()
    try:
        certificate: Certificate = task.function(MODELS.open(spec, "cpu"), seed, **values).certificate
    except PlantingError as error:
        raise InterpBenchError(f"task {task.id} does not fit into {model}: {error}") from error
    except Exception as error:
        # Without a dial it is the task that is broken, and whoever wrote it wants the traceback.
        if not values:
            raise
        given = ", ".join(f"{name}={value}" for name, value in values.items())
        what = f"{type(error).__name__}: {error}"
        raise InterpBenchError(f"task {task.id} cannot be planted with {given}: {what}") from error
    seconds = time.perf_counter() - start
    print(_as_json(certificate) if as_json else _as_table(certificate, seconds))
    return 0 if certificate.passed else 1


def find_task(name: str) -> Task:
    """Return the task of a name or ``track/name``.

    Raises:
        InterpBenchError: there is none, or there are several.
    """
    from interp_bench.cli.catalogue import load_entries

    tasks = load_entries()[1]
    found = [task for task in tasks if name in (task.name, task.id)]
    if len(found) > 1:
        raise InterpBenchError(
            f"several tasks are called {name!r}; say which: {', '.join(t.id for t in found)}"
        )
    if not found:
        known = [task.name for task in tasks]
        raise InterpBenchError(f"no task is called {name!r}{near_name(name, known)}; see: interp-bench tasks")
    return found[0]


def _dial(task: Task, text: str) -> tuple[str, Any]:
    """Read ``name=value`` as the type of the dial's default."""
    name, equals, value = text.partition("=")
    if not equals or name not in task.arguments:
        known = ", ".join(task.arguments) or "it has none"
        raise InterpBenchError(f"--dial {text!r}: give NAME=VALUE with a dial of {task.id}: {known}")
    default = task.arguments[name]
    if isinstance(default, str) or default is None:
        return name, value
    try:
        number = json.loads(value if len(value) <= _LONGEST else "")
        fits = isinstance(number, bool) == isinstance(default, bool) and math.isfinite(number)
        if fits and (isinstance(default, float) or number == int(number)):
            return name, type(default)(number)
    except (ValueError, TypeError, OverflowError):
        pass
    raise InterpBenchError(f"--dial {text!r}: {name} takes a {type(default).__name__} such as {default}")


def _as_json(certificate: Certificate) -> str:
    numbers: Mapping[str, object] = certificate.as_numbers()
    return json.dumps({"passed": certificate.passed, "checks": numbers}, indent=2)


def _as_table(certificate: Certificate, seconds: float) -> str:
    rows = [
        (
            check.name,
            f"{check.value:.4g}",
            f"{check.relation} {check.bound:g}",
            "" if check.passed else "missed",
        )
        for check in certificate.checks
    ]
    table = tabulate(rows, headers=("check", "value", "bound", ""), disable_numparse=True)
    verdict = "certified" if certificate.passed else f"invalid: {certificate.reason}"
    return f"{table}\n\n{verdict} ({len(rows)} checks, {seconds:.1f} s to open, plant and certify)"


def add_to(commands: Commands) -> None:
    """Add the command `certify`."""
    added = commands.add_parser("certify", help="plant one problem and print what its certificate measured")
    added.add_argument("task", metavar="TASK", help="name from `interp-bench tasks`")
    added.add_argument("model", metavar="MODEL", help="id from `interp-bench models`")
    added.add_argument("--seed", type=seed_of, default=0, help="default: %(default)s")
    added.add_argument(
        "--dial",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="turn a dial of the task (repeatable)",
    )
    added.add_argument("--json", action="store_true", help="print an object")
    added.set_defaults(
        run=lambda options: certify(
            options.task, options.model, seed=options.seed, dials=options.dial, as_json=options.json
        )
    )
