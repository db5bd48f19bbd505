"""Plant evidence in any network that has a mechanism for it."""

from __future__ import annotations

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.model.transformer import TransformerAnatomy
from interp_bench.model.vision import ConvAnatomy
from interp_bench.planting.evidence.base import Evidence
from interp_bench.planting.evidence.cnn import plant_evidence_cnn
from interp_bench.planting.evidence.transformer import EvidenceDials, plant_evidence_transformer


def plant_evidence(
    model: Model,
    groups: tuple[int, ...],
    *,
    seed: int,
    decoys: int = 3,
    amplitude: float = 0.8,
    length: int = 24,
    copies: int = 1,
) -> Evidence:
    """Plant groups of patterns in an LM, a ViT, a ResNet or a ConvNeXt, by weight edit.

    Args:
        model: the host; edited in place.
        groups: number of patterns in each group.
        seed: decides the plant.
        decoys: things in each input that look like evidence and mean nothing.
        amplitude: height of a pattern in pixel units (images).
        length: tokens of an input (LMs).
        copies: markers of each pattern in an input (LMs).

    Raises:
        PlantingError: the mechanism does not fit into this network.
    """
    if isinstance(model.anatomy, TransformerAnatomy):
        dials = EvidenceDials(decoys=decoys, amplitude=amplitude, length=length, copies=copies)
        return plant_evidence_transformer(model, groups, seed=seed, dials=dials)
    if isinstance(model.anatomy, ConvAnatomy):
        return plant_evidence_cnn(model, groups, seed=seed, amplitude=amplitude, decoys=decoys)
    raise PlantingError(f"no evidence can be planted in a {type(model.module).__name__}")
