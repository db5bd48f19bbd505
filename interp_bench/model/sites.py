"""Sites: from a name to the module, the side of it and the columns that hold the activation."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from interp_bench.errors import SiteError, near_name
from interp_bench.model.projection import Projection
from interp_bench.model.transformer import TransformerAnatomy
from interp_bench.model.vision import ConvAnatomy


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One place in a network.

    Attributes:
        name: the name that answers use.
        module: the module whose input or output holds the activation.
        side: ``in`` (first argument) or ``out``.
        projection: picks columns of a fused output; None for all of it.
        channels_last: whether 4-d tensors here are (batch, h, w, channel).
    """

    name: str
    module: nn.Module
    side: Literal["in", "out"]
    projection: Projection | None = None
    channels_last: bool = False

    def view(self, raw: Tensor) -> Tensor:
        """Return the activation as (batch, position, width)."""
        if raw.ndim == 4:
            raw = raw.flatten(1, 2) if self.channels_last else raw.flatten(2).transpose(1, 2)
        return raw if self.projection is None else self.projection.select(raw)

    def write(self, raw: Tensor, values: Tensor) -> Tensor:
        """Return a tensor like ``raw`` that holds ``values`` (batch, position, width) at this site."""
        if self.projection is not None:
            values = self.projection.replace(raw, values)
        if raw.ndim == 4:
            batch = len(values)
            if self.channels_last:
                return values.reshape(batch, *raw.shape[1:])
            return values.transpose(1, 2).reshape(batch, *raw.shape[1:])
        return values


_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)$")


def transformer_sites(anatomy: TransformerAnatomy) -> tuple[str, ...]:
    """Return the residual stream after every block, by TransformerLens name."""
    return tuple(f"blocks.{layer}.hook_resid_post" for layer in range(len(anatomy.blocks)))


def find_site(name: str, module: nn.Module, anatomy: TransformerAnatomy | ConvAnatomy | None) -> Site:
    """Resolve a site name.

    Raises:
        SiteError: the network has no such site; the message suggests a near name.
    """
    if isinstance(anatomy, TransformerAnatomy):
        return _transformer_site(name, anatomy)
    modules = dict(module.named_modules())
    if not name or name not in modules:
        known = list(anatomy.blocks) if anatomy else list(modules)
        raise SiteError(f"{name!r} is no site of this model{near_name(name, known)}")
    last = anatomy is not None and anatomy.channels_last is not None
    channels_last = bool(last and anatomy and anatomy.channels_last and anatomy.channels_last.match(name))
    return Site(name=name, module=modules[name], side="out", channels_last=channels_last)


def _transformer_site(name: str, anatomy: TransformerAnatomy) -> Site:
    if name == "hook_embed":
        return Site(name=name, module=anatomy.token_embedding, side="out")
    match = _BLOCK.match(name)
    if match is None or int(match[1]) >= len(anatomy.blocks) or match[2] not in _POINTS:
        known = ["hook_embed", *(f"blocks.0.{point}" for point in _POINTS)]
        known += [f"blocks.{layer}.hook_resid_post" for layer in range(len(anatomy.blocks))]
        raise SiteError(f"{name!r} is no site of this model{near_name(name, known)}")
    if match[2] == "hook_resid_mid" and anatomy.parallel:
        raise SiteError(f"{name!r}: blocks of this model run attention and MLP in parallel, without a mid")
    return _POINTS[match[2]](name, anatomy, int(match[1]))


def _input(get: Callable[[TransformerAnatomy, int], nn.Module]) -> Callable[..., Site]:
    return lambda name, anatomy, layer: Site(name=name, module=get(anatomy, layer), side="in")


def _output(get: Callable[[TransformerAnatomy, int], nn.Module]) -> Callable[..., Site]:
    return lambda name, anatomy, layer: Site(name=name, module=get(anatomy, layer), side="out")


def _columns(get: Callable[[TransformerAnatomy, int], Projection]) -> Callable[..., Site]:
    def point(name: str, anatomy: TransformerAnatomy, layer: int) -> Site:
        projection = get(anatomy, layer)
        fused = projection if projection.columns is not None else None
        return Site(name=name, module=projection.module, side="out", projection=fused)

    return point


_POINTS: dict[str, Callable[..., Site]] = {
    "hook_resid_pre": _input(lambda a, i: a.blocks[i].module),
    "hook_resid_mid": _input(lambda a, i: a.blocks[i].norm2),
    "hook_resid_post": _output(lambda a, i: a.blocks[i].module),
    "attn.hook_q": _columns(lambda a, i: a.blocks[i].query),
    "attn.hook_k": _columns(lambda a, i: a.blocks[i].key),
    "attn.hook_v": _columns(lambda a, i: a.blocks[i].value),
    "attn.hook_z": _input(lambda a, i: a.blocks[i].out.module),
    "hook_attn_out": _output(lambda a, i: a.blocks[i].out.module),
    "mlp.hook_post": _input(lambda a, i: a.blocks[i].mlp_out.module),
    "hook_mlp_out": _output(lambda a, i: a.blocks[i].mlp),
}
