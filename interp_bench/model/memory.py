"""How much memory a forward with gradient keeps, counted from the sizes of a network."""

from __future__ import annotations

from torch import Tensor

from interp_bench.model.handle import Model
from interp_bench.model.transformer import TransformerAnatomy


def activation_bytes(model: Model, inputs: Tensor) -> int:
    """Return about how many bytes autograd keeps for one input of a batch.

    In a transformer a block keeps some sixteen vectors of the width of the stream a position, four of
    the width of the MLP, and three tables of attention; in a CNN a layer keeps some twelve tensors of
    the size of its output.
    """
    size = next(model.module.parameters()).element_size()
    if isinstance(model.anatomy, TransformerAnatomy):
        a = model.anatomy
        positions = inputs.shape[1]
        if model.modality == "image":
            positions = a.n_prefix + (
                a.position_embedding.shape[1] if a.position_embedding is not None else 0
            )
        block = positions * (16 * a.d_model + 4 * a.d_mlp + 3 * a.n_heads * positions)
        return size * (len(a.blocks) * block + 2 * positions * model.n_outputs)
    return size * 12 * sum(c * h * w for c, h, w in model.layer_shapes().values())
