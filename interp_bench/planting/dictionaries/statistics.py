"""Statistics of features without a network: who fires when, how strongly, along which direction.

The parameters are those of SynthSAEBench (Chanin and Garriga-Alonso 2026, arXiv:2602.14687; its
public documentation in decoderesearch/SAELens); with ``SYNTH_SAE_BENCH_16K`` about 34 features fire
at once, and a direction's largest absolute cosine with another is about 0.15.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from interp_bench.errors import PlantingError
from interp_bench.planting.dictionaries.rates import Forest, zipf_rates

_CHUNK = 2**24
"""Most codes that are worked on at once."""

_LEAST_OWN = 0.01
"""Least share of a feature's Gaussian that it does not share with others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What decides the statistics; the defaults are SynthSAEBench-16k.

    Attributes:
        n_features, width: numbers of directions and of dimensions.
        p_hi, p_lo, exponent: firing rates by Zipf's law.
        roots, branching, depth: trees; a child fires only where its parent does.
        exclusive: whether at most one child of a parent fires, chosen at random among those that would.
        scaled: whether a child's magnitude is multiplied by its parent's over the parent's mean.
        compensate: whether rates are raised to make up for the trees.
        rank, coupling: the Gaussians behind the firing share ``rank`` factors with normal loadings of
            this standard deviation.
        loud, quiet: mean magnitudes of the commonest and the rarest feature, linear in between.
        spread, spread_sd: a feature's magnitude has a standard deviation drawn from the folded normal
            distribution with this mean and this standard deviation.
        bias: norm of a constant vector that is added to every activation.
    """

    n_features: int = 16_384
    width: int = 768
    p_hi: float = 0.4
    p_lo: float = 5e-4
    exponent: float = 0.5
    roots: int = 128
    branching: int = 4
    depth: int = 3
    exclusive: bool = True
    scaled: bool = True
    compensate: bool = True
    rank: int = 25
    coupling: float = 0.1
    loud: float = 5.0
    quiet: float = 4.0
    spread: float = 0.5
    spread_sd: float = 0.5
    bias: float = 0.5


SYNTH_SAE_BENCH_16K = Parameters()


class FeatureStatistics:
    """Draws codes of features, and activations in which they are written along directions.

    Args:
        parameters: what decides the statistics.
        directions: (n_features, width) of unit norm.
        generator: draws what is fixed: loadings, spreads, and the bias.

    Attributes:
        rates: (n_features,) wanted firing rates.
        forest: the trees.
        loadings: (n_features, rank) on the shared Gaussians.
        means, spreads: (n_features,) of the magnitudes where a feature fires.
        bias: (width,).

    Raises:
        PlantingError: trees, rates or coupling are impossible.
    """

    def __init__(self, parameters: Parameters, directions: Tensor, generator: Generator) -> None:
        p = parameters
        if directions.shape != (p.n_features, p.width):
            raise PlantingError(f"directions are {tuple(directions.shape)}, not {(p.n_features, p.width)}")
        self.parameters, self.directions = p, directions
        self.rates = zipf_rates(p.n_features, p.p_hi, p.p_lo, p.exponent)
        self.forest = Forest(n_features=p.n_features, roots=p.roots, branching=p.branching, depth=p.depth)
        self.loadings = _loadings(p, generator)
        self.means = torch.linspace(p.loud, p.quiet, p.n_features)
        self.spreads = folded_normal(p.n_features, p.spread, p.spread_sd, generator)
        toward = torch.randn(p.width, generator=generator)
        self.bias = p.bias * toward / toward.norm()
        raised = self.forest.compensated(self.rates) if p.compensate else self.rates
        self._thresholds = torch.special.ndtri(1 - raised).float()

    def codes(self, n_samples: int, generator: Generator) -> Iterator[Tensor]:
        """Yield codes (chunk, n_features) of independent samples, a bounded number at a time."""
        most = max(1, _CHUNK // self.parameters.n_features)
        for start in range(0, n_samples, most):
            yield self._chunk(min(most, n_samples - start), generator)

    def activations(self, codes: Tensor) -> Tensor:
        """Return (n, width): codes times directions plus the bias."""
        written: Tensor = codes @ self.directions.to(codes) + self.bias.to(codes)
        return written

    def _chunk(self, n: int, generator: Generator) -> Tensor:
        p = self.parameters
        own = (1 - self.loadings.square().sum(1)).sqrt()
        gaussian = torch.randn(n, p.n_features, generator=generator).mul_(own)
        gaussian += torch.randn(n, p.rank, generator=generator) @ self.loadings.T
        fires = gaussian > self._thresholds
        noise = torch.randn(n, p.n_features, generator=generator)
        codes: Tensor = noise.mul_(self.spreads).add_(self.means).clamp_(min=0).mul_(fires)
        for above, below in self.forest.levels:
            self._obey(codes, above, below, generator)
        return codes

    def _obey(self, codes: Tensor, above: slice, below: slice, generator: Generator) -> None:
        """Let children fire only with their parent, scaled by it, and one at a time, in place."""
        p = self.parameters
        factor = codes[:, above] / self.means[above] if p.scaled else (codes[:, above] > 0).float()
        children = codes[:, below].unflatten(1, (-1, p.branching)) * factor[..., None]
        if p.exclusive:
            ticket = torch.rand(children.shape, generator=generator).masked_fill_(children <= 0, -1)
            children = children * (ticket == ticket.amax(2, keepdim=True))
        codes[:, below] = children.flatten(1)


def folded_normal(n: int, mean: float, sd: float, generator: Generator) -> Tensor:
    """Return (n,) absolute values of normal draws."""
    return (mean + sd * torch.randn(n, generator=generator)).abs()


def _loadings(p: Parameters, generator: Generator) -> Tensor:
    """Draw loadings (n_features, rank); where they share too much with a feature, all are made smaller."""
    if p.rank < 0 or p.coupling < 0:
        raise PlantingError(f"the copula has rank {p.rank} and coupling {p.coupling:g}; both are at least 0")
    loadings = p.coupling * torch.randn(p.n_features, p.rank, generator=generator)
    most = float(loadings.square().sum(1).max())
    if most > 1 - _LEAST_OWN:
        loadings *= math.sqrt((1 - _LEAST_OWN) / most)
    return loadings
