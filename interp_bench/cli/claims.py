"""The claims of the debate, measured on stored trials."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from interp_bench.cli.parser import TRIALS, Commands
from interp_bench.cli.values import path_of
from interp_bench.errors import InterpBenchError, near_name

if TYPE_CHECKING:
    from interp_bench.analysis.claims import Claim
    from interp_bench.analysis.claims.base import ModelFacts
    from interp_bench.registry import ModelSpec


def claims(names: Sequence[str], trials: Path, *, as_json: bool) -> int:
    """Print what trials say of claims; return 0 whatever that is.

    Args:
        names: of the claims; all where none is given.
        trials: folder of exported trials.
        as_json: print a list of objects.

    Raises:
        InterpBenchError: there is no such claim.
        StoreError: trials cannot be read.
        RegistryError: models.yaml is malformed.
    """
    from interp_bench.analysis.claims import findings_of
    from interp_bench.board import jsonl
    from interp_bench.board.claims import claim_record, claims_text

    chosen = _chosen(names)
    found = findings_of(jsonl.read(trials), model_facts(), claims=chosen)
    if as_json:
        records = [claim_record(claim, finding, str(trials)) for claim, finding in found]
        print(json.dumps(records, indent=2, allow_nan=False))
    else:
        print(claims_text(found, str(trials)))
    return 0


def model_facts() -> tuple[ModelFacts, ...]:
    """Return what models.yaml tells of every model, for the claims.

    Raises:
        RegistryError: models.yaml is malformed.
    """
    from interp_bench.registry import load_registry

    registry = load_registry()
    axes = {ladder.name: ladder.axis for ladder in registry.ladder_rows}
    return tuple(_facts(spec, axes[spec.ladder]) for spec in registry.specs)


def _chosen(names: Sequence[str]) -> tuple[Claim, ...]:
    from interp_bench.analysis.claims import CLAIMS

    known = {claim.name: claim for claim in CLAIMS}
    for name in names:
        if name not in known:
            listed = ", ".join(known)
            raise InterpBenchError(f"no claim {name!r}{near_name(name, known)}; choose from {listed}")
    return tuple(claim for claim in CLAIMS if not names or claim.name in names)


def _facts(spec: ModelSpec, axis: str) -> ModelFacts:
    from interp_bench.analysis.claims.base import ModelFacts

    return ModelFacts(
        id=spec.id,
        params=spec.params,
        modality=spec.modality,
        ladder=spec.ladder,
        axis=axis,
        trained=not spec.random,
        metric="" if spec.capability is None else spec.capability.metric,
        capability=None if spec.capability is None else spec.capability.value,
        steps=_steps(spec) if axis == "training" else None,
        width=_width(spec),
    )


def _steps(spec: ModelSpec) -> int | None:
    """Return the optimiser steps that the revision of its weights names, e.g. ``step-250000``."""
    name, _, number = (getattr(spec.source, "revision", None) or "").rpartition("-")
    return int(number) if name == "step" and number.isdecimal() else None


def _width(spec: ModelSpec) -> int | None:
    config = getattr(spec.source, "config", {})
    widths = (config.get(key) for key in ("d_model", "hidden_size", "n_embd"))
    return next((width for width in widths if isinstance(width, int)), None)


def add_to(commands: Commands) -> None:
    """Add the command `claims`."""
    added = commands.add_parser("claims", help="what exported trials say of claims about size and capability")
    added.add_argument("names", nargs="*", metavar="NAME", help="only these claims; default: all")
    added.add_argument("--trials", type=path_of, default=TRIALS, help="folder; default: %(default)s")
    added.add_argument("--json", action="store_true", help="print a list of objects")
    added.set_defaults(run=lambda options: claims(options.names, options.trials, as_json=options.json))
