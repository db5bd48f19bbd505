"""Plant variables that take a journey, in any transformer."""

from __future__ import annotations

import torch

from interp_bench.model.handle import Model
from interp_bench.planting.concepts.journey import Journey, PlantedConcept
from interp_bench.planting.concepts.language import plant_in_language
from interp_bench.planting.concepts.vision import plant_in_vision


def plant_concept(
    model: Model, journey: Journey, *, seed: int, n_values: int = 4, length: int = 16
) -> PlantedConcept:
    """Plant two variables, and a decoy where the journey has one, in an LM or a ViT, by weight edit.

    Args:
        model: the host; edited in place.
        journey: what happens to the variables along depth.
        seed: decides the plant: directions, layers, heads and markers.
        n_values: values of each variable.
        length: tokens of an input (LMs).

    Raises:
        PlantingError: the host is too narrow, too shallow, or has too few heads, tokens or classes.
        SiteError: the host is no transformer.
    """
    generator = torch.Generator().manual_seed(seed)
    if model.transformer.n_prefix:
        return plant_in_vision(model, n_values, journey, generator)
    return plant_in_language(model, n_values, journey, generator, length)
