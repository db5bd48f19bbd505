"""What code and models.yaml say of techniques and models, for pages that show it beside their trials.

Techniques import torch, which takes seconds and several hundred MB, so pages ask a process of their own for
what they say, and read trials meanwhile.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from interp_bench.errors import InterpBenchError, one_line

if TYPE_CHECKING:
    from interp_bench.board.gallery import Exhibit
    from interp_bench.board.site.cards import ModelCard
    from interp_bench.registry import ModelSpec

_PRINT = "from interp_bench.cli.describing import print_exhibits; print_exhibits()"


class Describing:
    """A process that imports every technique and says what it is."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PRINT], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def exhibits(self) -> Iterator[Exhibit]:
        """Yield every technique as its code describes it; the first one waits for the process.

        Raises:
            InterpBenchError: a technique breaks its contract, or cannot be imported.
        """
        from interp_bench.board.gallery import Exhibit

        out, err = self._process.communicate()
        if self._process.returncode:
            last = err.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise InterpBenchError(one_line(f"techniques cannot be described: {last}"))
        yield from (Exhibit(**fields) for fields in json.loads(out.rpartition(b"\n")[2]))

    def close(self) -> None:
        """End the process if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def print_exhibits() -> None:
    """Print every technique as its code describes it, as JSON."""
    from dataclasses import asdict

    from interp_bench.cli.catalogue import load_entries
    from interp_bench.cli.gallery import exhibit

    techniques, _ = load_entries()
    found: list[dict[str, Any]] = [asdict(exhibit(technique)) for technique in techniques]
    # A plugin may print while it is imported; what counts is the last line.
    sys.stdout.write("\n" + json.dumps(found))


def cards() -> tuple[ModelCard, ...]:
    """Return every model as models.yaml describes it.

    Raises:
        RegistryError: models.yaml is wrong.
    """
    from interp_bench.board.site.cards import ModelCard
    from interp_bench.registry import load_registry

    registry = load_registry()
    about = {ladder.name: ladder.about for ladder in registry.ladder_rows}
    return tuple(
        ModelCard(
            id=spec.id,
            license=spec.license,
            tier=spec.tier,
            about=about.get(spec.ladder, ""),
            capability=_capability(spec),
            notes=spec.notes,
        )
        for spec in registry
    )


def _capability(spec: ModelSpec) -> str:
    found = spec.capability
    return "" if found is None else f"{found.metric} {found.value:g} ({found.source})"
