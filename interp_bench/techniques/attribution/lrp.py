"""Layer-wise relevance propagation through convolutional networks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from interp_bench.errors import InterpBenchError
from interp_bench.techniques.attribution.relevance import linear_rule, relevance_rules, share
from interp_bench.techniques.attribution.rules import Rules, standing_for
from interp_bench.tracks.attribution import AttributionProblem, Saliency
from interp_bench.tracks.catalogue import Needs, technique

_COMPOSITES = ("gamma_box", "gamma", "epsilon")


@technique(
    cites="Bach et al. 2015, On pixel-wise explanations; Montavon et al. 2019, LRP: an overview, table 10.1",
    access="gradients",
    cost="1 forward (of 6 convolutions for one) + 1 backward",
    needs=Needs(modalities=("image",), kinds=("resnet", "convnext")),
)
def lrp(
    problem: AttributionProblem,
    *,
    composite: str = "gamma_box",
    gamma: float = 0.25,
    epsilon: float = 1e-6,
) -> Saliency:
    """Relevance handed back layer by layer: box rule at the pixels, gamma in convolutions, then epsilon.

    Args:
        problem: what to explain.
        composite: ``gamma_box``; ``gamma``, which has no rule of its own for the pixels; or ``epsilon``,
            everywhere.
        gamma: how far convolutions favour positive contributions.
        epsilon: keeps denominators off 0.

    Raises:
        InterpBenchError: there is no such composite.
    """
    if composite not in _COMPOSITES:
        raise InterpBenchError(f"composite is {composite!r}; it is one of {', '.join(_COMPOSITES)}")
    pixels = problem.features().detach().requires_grad_()
    box = _Box(pixels, problem.reference) if composite == "gamma_box" else None
    rules = _Convolutions(box, epsilon, 0.0 if composite == "epsilon" else gamma)
    with Rules({**relevance_rules(epsilon=epsilon), **rules.table()}):
        logit = problem.logit(pixels)
    leaves = [pixels] if box is None else [pixels, box.low, box.high]
    gradients = torch.autograd.grad(logit.sum(), leaves)
    relevance = sum(leaf.detach() * gradient for leaf, gradient in zip(leaves, gradients, strict=True))
    assert isinstance(relevance, Tensor)
    return Saliency(values=relevance.sum(1))


class _Box:
    """The layer that reads the pixels, which lie between a least and a largest value."""

    def __init__(self, pixels: Tensor, reference: Tensor) -> None:
        known = torch.cat([pixels.detach().flatten(), reference.flatten()])
        self.pixels = pixels
        self.low = torch.full_like(pixels.detach(), float(known.min())).requires_grad_()
        self.high = torch.full_like(pixels.detach(), float(known.max())).requires_grad_()

    def signal(self, weight: Tensor, *args: Any) -> Tensor:
        """Return what the weights read in pixels above the least they can be (Montavon et al. 2019)."""
        read = functional.conv2d(self.pixels, weight, None, *args)
        read = read - functional.conv2d(self.low, weight.clamp_min(0), None, *args)
        return read - functional.conv2d(self.high, weight.clamp_max(0), None, *args)


class _Convolutions:
    """The rules of convolutions, each with the batch norm that follows it taken for a part of it."""

    def __init__(self, box: _Box | None, epsilon: float, gamma: float) -> None:
        self._box, self._epsilon, self._gamma = box, epsilon, gamma
        self._calls: dict[int, tuple[Tensor, tuple[Any, ...]]] = {}

    def table(self) -> dict[Any, Any]:
        """Return the rules."""
        return {torch.conv2d: self.conv2d, functional.batch_norm: self.batch_norm}

    def conv2d(self, x: Tensor, weight: Tensor, bias: Tensor | None = None, *args: Any) -> Tensor:
        """The rule of a convolution, which is remembered for a norm that may follow."""
        out = self._rule(x, weight, bias, *args)
        self._calls[id(out)] = (out, (x, weight, bias, *args))
        return out

    def batch_norm(
        self,
        x: Tensor,
        mean: Tensor,
        variance: Tensor,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        """The rule of the convolution before it, with the scale and the shift of the norm in its weights."""
        call = self._calls.get(id(x))
        if call is None:
            return functional.batch_norm(x, mean, variance, weight, bias, training, momentum, eps)
        before, kernel, constant, *args = call[1]
        scale = (variance + eps).rsqrt() if weight is None else weight * (variance + eps).rsqrt()
        shift = -mean * scale if bias is None else bias - mean * scale
        if constant is not None:
            shift = shift + constant * scale
        return self._rule(before, kernel * scale[:, None, None, None], shift, *args)

    def _rule(self, x: Tensor, weight: Tensor, bias: Tensor | None, *args: Any) -> Tensor:
        if self._box is not None and x is self._box.pixels:
            value = functional.conv2d(x, weight, bias, *args)
            return standing_for(value, share(self._box.signal(weight, *args), value, self._epsilon))
        rule = linear_rule(functional.conv2d, self._epsilon, self._gamma)
        out: Tensor = rule(x, weight, bias, *args)
        return out
