"""The seeds that follow from a secret, for whoever publishes or verifies a round."""

from __future__ import annotations

import json
from pathlib import Path

from tabulate import tabulate

from interp_bench.cli.certifying import find_task
from interp_bench.cli.parser import Commands
from interp_bench.harness.seed_secret import read_secret


def seeds(source: str, task: str, model: str, wanted: str, *, as_json: bool) -> int:
    """Print the seed that each problem of a task on a model was planted from; return 0.

    Args:
        source: file that holds the secret, or ``env:NAME``.
        task: a task's name or ``track/name``.
        model: a model's id.
        wanted: number of problems, or a list of their seeds.
        as_json: print one object instead of a table.

    Raises:
        InterpBenchError: there is no such secret, task or model, or the seeds are none.
    """
    from interp_bench.harness.models import MODELS
    from interp_bench.harness.selection import parse_seeds

    secret = read_secret(source, Path(), option="--secret")
    found = find_task(task).id
    MODELS.registry().get(model)
    planted = {index: secret.seed(found, model, index) for index in parse_seeds(wanted)}
    if as_json:
        content = {"commitment": secret.commitment, "task": found, "model": model, "seeds": planted}
        print(json.dumps(content, indent=2))
        return 0
    print(f"commitment {secret.commitment}\n")
    print(tabulate(list(planted.items()), headers=("seed", "planted from"), disable_numparse=True))
    first = next(iter(planted.values()))
    print(f"\nplant one again with: interp-bench certify {found} {model} --seed {first}")
    return 0


def add_to(commands: Commands) -> None:
    """Add the command `seeds`."""
    reveal = commands.add_parser("seeds", help="show the seeds that follow from a secret")
    reveal.add_argument("--secret", required=True, metavar="PATH", help="file that holds it, or env:NAME")
    reveal.add_argument("--task", required=True, help="name from `interp-bench tasks`")
    reveal.add_argument("--model", required=True, help="id from `interp-bench models`")
    reveal.add_argument("--seeds", default="3", metavar="N", help="number or list; default: %(default)s")
    reveal.add_argument("--json", action="store_true", help="print an object")
    reveal.set_defaults(
        run=lambda options: seeds(
            options.secret, options.task, options.model, options.seeds, as_json=options.json
        )
    )
