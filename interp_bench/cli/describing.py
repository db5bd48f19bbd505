"""What code and models.yaml say of techniques and models, for pages that show it beside their trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp_bench.cli.catalogue import load_entries
from interp_bench.cli.gallery import exhibit

if TYPE_CHECKING:
    from interp_bench.board.gallery import Exhibit
    from interp_bench.board.site.cards import ModelCard
    from interp_bench.registry import ModelSpec


def exhibits() -> tuple[Exhibit, ...]:
    """Return every technique as its code describes it.

    Raises:
        RegistrationError: one of them breaks its contract.
    """
    techniques, _ = load_entries()
    return tuple(exhibit(technique) for technique in techniques)


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
