"""Bring the weights of models to this machine."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from interp_bench.cli.parser import Commands
from interp_bench.errors import UnavailableError, one_line


def fetch(ids: Sequence[str]) -> int:
    """Fetch each model; return 1 if one could not be had, the others are fetched all the same.

    Raises:
        RegistryError: an id is unknown; nothing was fetched.
    """
    from interp_bench import registry

    rows = registry.load_registry()
    specs = [rows.get(model) for model in dict.fromkeys(ids)]
    status = 0
    for spec in specs:
        try:
            print(f"{spec.id}: {registry.fetch(spec)}", flush=True)
        except UnavailableError as error:
            print(f"interp-bench: {one_line(str(error))}", file=sys.stderr)
            status = 1
    return status


def add_to(commands: Commands) -> None:
    """Add the command `fetch`."""
    added = commands.add_parser("fetch", help="bring the weights of models to this machine")
    added.add_argument("models", nargs="+", metavar="MODEL", help="ids from `interp-bench models`")
    added.set_defaults(run=lambda options: fetch(options.models))
