"""Well-scaled random weights for image models, and layer scale folded away."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import nn

from interp_bench.registry.draws import draw_normal

_POSITION_STD = 0.3
_BRANCH_ENDS = {
    "BasicBlock": ("bn2",),
    "Bottleneck": ("bn3", "conv3.bn"),
    "ConvNeXtBlock": ("mlp.fc2",),
    "Block": ("attn.proj", "mlp.fc2"),
    "EvaBlock": ("attn.proj", "mlp.fc2"),
}
_LAYER_SCALES = {
    "ConvNeXtBlock": (("gamma", "mlp.fc2"),),
    "Block": (("ls1.gamma", "attn.proj"), ("ls2.gamma", "mlp.fc2")),
    "EvaBlock": (("gamma_1", "attn.proj"), ("gamma_2", "mlp.fc2")),
}


@torch.no_grad()
def fill_random(model: nn.Module, seed: int) -> None:
    """Draw the weights of a random host in place, so that no residual branch explodes or is lost.

    Convolutions have variance 2 / fan-in in convolutional networks (He et al. 2015, equation 10) and
    1 / fan-in elsewhere; position embeddings have standard deviation 0.3, class tokens 1; norms and layer
    scales are 1, biases 0. The last step of each of the n residual branches is divided by sqrt(n).
    """
    generator = torch.Generator().manual_seed(seed)
    transformer = any(type(m).__name__ in ("Block", "EvaBlock") for m in model.modules())
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            convolutional = isinstance(module, nn.Conv2d) and not transformer
            draw_normal(
                module.weight, math.sqrt((2 if convolutional else 1) / module.weight[0].numel()), generator
            )
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        else:
            _fill_other(module, generator)
    ends = list(_branch_ends(model))
    for end in ends:
        end.div_(math.sqrt(len(ends)))


@torch.no_grad()
def fold_layer_scale(model: nn.Module) -> None:
    """Multiply each layer scale into the projection before it, and set it to 1: the same function."""
    for block in model.modules():
        for scale, projection in _LAYER_SCALES.get(type(block).__name__, ()):
            gamma, linear = _inside(block, scale), _inside(block, projection)
            if not isinstance(gamma, torch.Tensor) or not isinstance(linear, nn.Conv2d | nn.Linear):
                continue
            linear.weight.mul_(gamma.view(-1, *[1] * (linear.weight.dim() - 1)))
            if linear.bias is not None:
                linear.bias.mul_(gamma)
            gamma.fill_(1.0)


def _fill_other(module: nn.Module, generator: torch.Generator) -> None:
    for name, parameter in module.named_parameters(recurse=False):
        if name == "pos_embed":
            draw_normal(parameter, _POSITION_STD, generator)
        elif name in ("cls_token", "reg_token"):
            draw_normal(parameter, 1.0, generator)
        elif name.startswith("gamma") or (name == "weight" and parameter.dim() == 1):
            nn.init.ones_(parameter)
        elif name.endswith("bias") and parameter.dim() == 1:
            nn.init.zeros_(parameter)


def _branch_ends(model: nn.Module) -> Iterator[torch.Tensor]:
    for block in model.modules():
        for path in _BRANCH_ENDS.get(type(block).__name__, ()):
            weight = _inside(block, f"{path}.weight")
            if isinstance(weight, torch.Tensor):
                yield weight


def _inside(module: nn.Module, path: str) -> object:
    found: object = module
    for name in path.split("."):
        found = getattr(found, name, None)
    return found
