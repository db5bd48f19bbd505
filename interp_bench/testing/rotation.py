"""Turn the residual stream of a network, which changes nothing that it computes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from interp_bench.model.handle import Model
from interp_bench.model.projection import Projection, weight_of
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import CATALOGUE
from interp_bench.tracks.concepts import ConceptTruth
from interp_bench.tracks.features import FeatureTruth
from interp_bench.tracks.recall import Recall


def rotate(model: Model, rotation: Tensor) -> None:
    """Turn the residual stream of a host whose norms have no gains of their own.

    Args:
        model: the host, changed in place.
        rotation: (d_model, d_model) orthogonal, applied to rows from the right.
    """
    anatomy = model.transformer
    table = weight_of(anatomy.token_embedding)
    table.copy_((table.double() @ rotation).to(table))
    for layer, block in enumerate(anatomy.blocks):
        for which in (1, 2):
            gain = getattr(anatomy.norm(layer, which), "weight", torch.ones(1))
            assert bool((gain == 1).all())
        for reader in (block.query, block.key, block.value, block.mlp_in, block.mlp_gate):
            if reader is not None:
                reader.write(rotation.T @ reader.read())
        for writer in (block.out, block.mlp_out):
            writer.write(Projection(writer.module).read() @ rotation)
    head = weight_of(anatomy.head.module)
    head.copy_((head.double() @ rotation).to(head))


def turned(planted: Planted[Any, Any], rotation: Tensor) -> Planted[Any, Any]:
    """Return a problem with its truth as they are once its model was rotated."""
    track = next(t for t in CATALOGUE.tracks.values() if isinstance(planted.problem, t.problem_type))
    problem = track.controls["unplanted"](planted.problem, torch.Generator())
    return replace(planted, problem=problem, truth=_turned(planted.truth, rotation))


def _turned(truth: Any, rotation: Tensor) -> Any:
    if isinstance(truth, FeatureTruth):
        return replace(truth, directions=(truth.directions.double() @ rotation).float())
    if isinstance(truth, ConceptTruth):
        variables = tuple(
            replace(
                v, carriers={site: (rows.double() @ rotation).float() for site, rows in v.carriers.items()}
            )
            for v in truth.causal.variables
        )
        return replace(truth, causal=replace(truth.causal, variables=variables), recall=Recall(-1))
    return truth
