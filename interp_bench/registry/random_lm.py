"""Well-scaled random weights for language models: no layer drowns the stream, none is lost in it."""

from __future__ import annotations

import math

import torch
from torch import nn
from transformers import PreTrainedModel

from interp_bench.registry.draws import draw_normal

_POSITION_STD = 0.3
_TO_STREAM = ("o_proj", "down_proj", "attention.dense", "dense_4h_to_h", "c_proj")


def fill_random(model: PreTrainedModel, seed: int) -> None:
    """Draw all parameters of a random host in place, on the CPU, the same in every dtype.

    Embeddings have standard deviation 1 (positions 0.3), matrices 1/sqrt(d_model), those that write to
    the residual stream divided by sqrt(2 n_layers) (Radford et al. 2019, section 2.3); biases are 0 and
    norms 1.
    """
    width = int(model.config.hidden_size)
    depth = int(model.config.num_hidden_layers)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        module_name, _, leaf = name.rpartition(".")
        if parameter.dim() == 1:
            nn.init.constant_(parameter, 0.0 if leaf == "bias" else 1.0)
            continue
        if isinstance(model.get_submodule(module_name), nn.Embedding):
            std = _POSITION_STD if module_name.endswith("wpe") else 1.0
        else:
            std = 1.0 / math.sqrt(width)
            if module_name.endswith(_TO_STREAM):
                std /= math.sqrt(2 * depth)
        draw_normal(parameter, std, generator)
