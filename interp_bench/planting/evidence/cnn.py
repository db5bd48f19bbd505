"""Plant evidence in a convolutional network by editing its weights."""

from __future__ import annotations

import torch
from torch import Tensor

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.planting.evidence.base import Evidence, Scene
from interp_bench.planting.evidence.convnext import convnext_stamps, wire_convnext
from interp_bench.planting.evidence.resnet import resnet_stamps, wire_resnet
from interp_bench.planting.evidence.wiring import calibration, connect

_FAMILIES = {"resnet": (resnet_stamps, wire_resnet), "convnext": (convnext_stamps, wire_convnext)}


def plant_evidence_cnn(
    model: Model,
    groups: tuple[int, ...],
    *,
    seed: int,
    scene: Scene | None = None,
    effects: Tensor | None = None,
    host_logit: float = 0.1,
    open_groups: tuple[int, ...] = (),
) -> Evidence:
    """Make patterns decide logits of a timm ResNet or ConvNeXt, whatever its weights.

    Detectors in the stem see a pattern wherever it stands, a threshold keeps them silent on
    anything else, and directions of the residual stream carry their response, all positions
    added up, to the classifier.

    Args:
        model: the network; its weights are edited in place.
        groups: number of patterns in each group; inputs show at most one pattern of each.
        seed: decides patterns, channels, directions and classes.
        scene: what else is in an image; the default one when None.
        effects: (n_patterns, n_outputs) how far each pattern raises each output, in units of what a
            pattern usually adds; when None each raises its own, by one.
        host_logit: standard deviation of the host's own logits, as a share of a pattern's logit.
        open_groups: groups of patterns that count from a trace on.

    Returns:
        The planted mechanism.

    Raises:
        PlantingError: it does not fit into this network.
    """
    generator = torch.Generator().manual_seed(seed)
    n = sum(groups)
    scene = scene or Scene()
    effects = torch.eye(n) if effects is None else effects
    if n > model.n_outputs:
        raise PlantingError(f"{n} patterns need as many classes; {model.spec.id} has {model.n_outputs}")
    draw_stamps, wire = _FAMILIES[model.cnn.family]
    with torch.no_grad():
        stamps = draw_stamps(model, n, scene=scene, generator=generator)
        opened = [g in open_groups for g, size in enumerate(groups) for _ in range(size)]
        wiring = wire(model, stamps, generator, torch.tensor(opened))
        outputs = torch.randperm(model.n_outputs, generator=generator)[: effects.shape[1]]
        connect(model, wiring, outputs, effects, calibration(stamps, groups, seed), host_logit)
    return Evidence(
        groups=groups,
        outputs=outputs,
        carriers=wiring.carriers,
        position=None,
        sample=stamps,
        parts=wiring.parts,
    )
