"""Plant evidence in any network that has a mechanism for it."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.model.transformer import TransformerAnatomy
from interp_bench.model.vision import ConvAnatomy
from interp_bench.planting.evidence.base import Evidence, Scene
from interp_bench.planting.evidence.cnn import plant_evidence_cnn
from interp_bench.planting.evidence.transformer import EvidenceDials, plant_evidence_transformer


def plant_evidence(
    model: Model,
    groups: tuple[int, ...],
    *,
    seed: int,
    scene: Scene | None = None,
    effects: Tensor | None = None,
    dials: EvidenceDials | None = None,
    host_logit: float = 0.1,
) -> Evidence:
    """Plant groups of patterns in an LM, a ViT, a ResNet or a ConvNeXt, by weight edit.

    Args:
        model: the host; edited in place.
        groups: number of patterns in each group.
        seed: decides the plant.
        scene: what else is in an input; the default one when None.
        effects: (n_patterns, n_outputs) how far each pattern raises each output, in units of what a
            pattern usually adds; when None each raises its own, by one.
        dials: of a transformer, all but the scene; of a CNN its open groups alone.
        host_logit: of a CNN, the standard deviation of the host's own logits as a share of what a
            pattern adds.

    Raises:
        PlantingError: the mechanism does not fit into this network.
    """
    if isinstance(model.anatomy, TransformerAnatomy):
        return plant_evidence_transformer(
            model,
            groups,
            seed=seed,
            dials=replace(dials or EvidenceDials(), scene=scene or Scene()),
            effects=effects,
        )
    if isinstance(model.anatomy, ConvAnatomy):
        return plant_evidence_cnn(
            model,
            groups,
            seed=seed,
            scene=scene,
            effects=effects,
            host_logit=host_logit,
            open_groups=dials.open_groups if dials else (),
        )
    raise PlantingError(f"no evidence can be planted in a {type(model.module).__name__}")
