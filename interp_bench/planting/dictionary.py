"""Plant a dictionary: sparse features, more or fewer than dimensions, written to a site by hidden units.

Feature i is a hidden unit of one branch. Its detector is a random direction of the whitened input
with a threshold at the (1 - p_i) quantile; what it puts out, times the norm of what it writes, is
its code, and the site holds the host's own activation plus ``sum_i code_i * direction_i``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.planting.branches import Branch, middle_branch
from interp_bench.planting.passes import read_sites
from interp_bench.planting.unlabelled import draw_images, draw_tokens

_POSITIONS = 32
_LEAST_FEATURES = 4
_DEAR = 50_000_000
_LEAST_VARIANCE = 1e-3
_STEADY = 0.25
_CONSTANT = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dials:
    """How hard the dictionary is to find.

    Attributes:
        ratio: features per dimension of the site; above 1 they are in superposition.
        max_features: most features, whatever the width.
        snr: root mean square of the planted part of the site over that of the host's part.
        p_hi, p_lo: firing rates of the commonest and the rarest feature, Zipf in between.
        correlation: share of each detector that it has in common with its group of features.
        samples: number of activations; 0 means 3000, and 1800 where a forward pass is dear.
    """

    ratio: float = 1.0
    max_features: int = 128
    snr: float = 0.7
    p_hi: float = 0.08
    p_lo: float = 0.01
    correlation: float = 0.2
    samples: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedDictionary:
    """What was planted, and what runs now.

    Attributes:
        branch: the branch that holds the features.
        units: (n,) its hidden units, one a feature.
        inputs: tokens or pixels.
        rows: (n_samples,) which flattened (input, position) pairs are samples.
        activations: (n_samples, d_site) float32 at the site, recorded after planting.
        outputs: (n_inputs, position, n) what the units put out, recorded after planting.
        predicted: (n_samples, n) bool: whether the detectors, applied outside of the network, fire.
        directions: (n, d_site) unit, float64.
        gains: (n,) code per unit of a unit's output.
    """

    branch: Branch
    units: Tensor
    inputs: Tensor
    rows: Tensor
    activations: Tensor
    outputs: Tensor
    predicted: Tensor
    directions: Tensor
    gains: Tensor

    @property
    def codes(self) -> Tensor:
        """(n_samples, n) float32: how much of each direction the site holds."""
        return (self.outputs.flatten(0, 1)[self.rows].double().cpu() * self.gains).float()


def plant_dictionary(model: Model, seed: int, dials: Dials) -> PlantedDictionary:
    """Rewire hidden units of a middle block into features, in place.

    Raises:
        PlantingError: the network has no fitting branch, or one too narrow.
    """
    generator = torch.Generator().manual_seed(seed)
    branch = middle_branch(model)
    dear = model.spec.params > _DEAR
    inputs, rows = _samples(model, branch, dials.samples or (1800 if dear else 3000), generator)
    width = model.width(branch.site)
    n = min(round(dials.ratio * width), dials.max_features, branch.n_units // 2)
    if n < _LEAST_FEATURES:
        raise PlantingError(f"{branch.site}: room for {n} features, at least {_LEAST_FEATURES} are needed")
    units = torch.randperm(branch.n_units, generator=generator)[:n]
    branch.silence(units, width)
    x, host = _read(model, branch, inputs, rows)
    if not branch.affine and _unsteadiness(x) > _STEADY:
        add_constant(model, _rms(host), generator)
        x, host = _read(model, branch, inputs, rows)
    weights, offsets, drive, steady = _detectors(x, branch, n, dials, generator)
    branch.wire(units, weights, offsets, steady)
    directions = F.normalize(torch.randn(n, width, generator=generator, dtype=torch.float64), dim=1)
    loudness = dials.snr * _rms(host) / _rms_of_sum(drive, directions)
    gains = torch.full((n,), loudness, dtype=torch.float64)
    branch.write(units, directions * gains[:, None])
    outputs, site = read_sites(model, inputs, (branch.hidden, branch.site))
    return PlantedDictionary(
        branch=branch,
        units=units,
        inputs=inputs,
        rows=rows,
        activations=site.flatten(0, 1)[rows].float(),
        outputs=outputs[..., units],
        predicted=drive > 0,
        directions=directions,
        gains=gains,
    )


def _samples(model: Model, branch: Branch, n: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Return inputs, and the flattened (input, position) pairs that are samples."""
    if model.modality == "lm":
        inputs = draw_tokens(model, math.ceil(n / (_POSITIONS - 1)), _POSITIONS, generator)
        rows = torch.arange(inputs.numel()).view(inputs.shape)[:, 1:].flatten()
        return inputs, rows[:n]
    positions = read_sites(model, model.example(), (branch.site,))[0].shape[1]
    inputs = draw_images(model, max(48, math.ceil(n / positions)), generator)
    rows = torch.randperm(len(inputs) * positions, generator=generator)[:n]
    return inputs, rows.sort().values


def _read(model: Model, branch: Branch, inputs: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return what detectors read and the host's activation at the site, (n_samples, width) in float64."""
    read, host = read_sites(model, inputs, (branch.reads, branch.site))
    x = branch.inputs(read).flatten(0, 1)[rows]
    return x.double().cpu(), host.flatten(0, 1)[rows].double().cpu()


def add_constant(model: Model, size: float, generator: Generator) -> None:
    """Give a language model without biases a steady direction, for thresholds to be read from.

    Pretrained streams have one, a large mean. For a random host the same random vector is added to
    the embedding of every token, as long as needed for its share in each dimension. A head tied to
    the embedding then shifts all logits alike, which changes no prediction.

    Args:
        model: the language model.
        size: norm of the centred stream where the constant will be read.
        generator: source of randomness.
    """
    table = model.transformer.token_embedding.weight
    assert isinstance(table, Tensor)
    width = table.shape[1]
    direction = F.normalize(torch.randn(width, generator=generator, dtype=torch.float64), dim=0)
    table.data += (size * min(1.5, _CONSTANT / math.sqrt(width)) * direction).to(table)


def _detectors(
    x: Tensor, branch: Branch, n: int, dials: Dials, generator: Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Draw detectors on inputs ``x`` (n_samples, d_in).

    Returns:
        weights (n, d_in) and offsets (n,), scaled so that the mean of the positive part of the
        pre-activation is ``branch.gain``; the positive part times any steady read (n_samples, n);
        and the steady read itself, where one is needed.
    """
    weights = _whitened(x, n, dials.correlation, generator)
    steady = None
    scale = torch.ones(len(x), 1, dtype=torch.float64)
    if not branch.affine:
        steady = steady_read(x)
        scale = (x @ steady)[:, None]
        if not float(scale.std()) <= _STEADY:
            raise PlantingError(
                f"{branch.reads}: no direction is steady enough for a threshold "
                f"(relative spread {float(scale.std()):.2f}, at most {_STEADY})"
            )
    rates = torch.exp(torch.linspace(math.log(dials.p_hi), math.log(dials.p_lo), n, dtype=torch.float64))
    z = x @ weights.T
    offsets = torch.stack([torch.quantile(z[:, i] / scale[:, 0], 1 - rates[i]) for i in range(n)])
    positive = (z - offsets * scale).clamp(min=0)
    mean = positive.sum(0) / (positive > 0).sum(0).clamp(min=1)
    if not bool((mean > 0).all()):
        raise PlantingError(f"{branch.reads}: the inputs do not vary, no detector fires")
    factor = branch.gain / mean
    return weights * factor[:, None], offsets * factor, positive * factor * scale, steady


def _whitened(x: Tensor, n: int, correlation: float, generator: Generator) -> Tensor:
    """Return (n, d_in) random detectors whose readings of ``x`` have variance 1.

    Directions in which a random host hardly varies are left out, or detectors would read noise.
    """
    values, vectors = torch.linalg.eigh(torch.cov(x.T))
    kept = values > _LEAST_VARIANCE * values[-1]
    whiten = vectors[:, kept] / values[kept].sqrt()
    drawn = torch.randn(n, int(kept.sum()), generator=generator, dtype=torch.float64)
    shared = torch.randn(max(2, n // 8), int(kept.sum()), generator=generator, dtype=torch.float64)
    group = torch.randint(len(shared), (n,), generator=generator)
    mixed = math.sqrt(1 - correlation) * F.normalize(drawn, dim=1)
    mixed = mixed + math.sqrt(correlation) * F.normalize(shared, dim=1)[group]
    detectors: Tensor = F.normalize(mixed, dim=1) @ whiten.T
    return detectors


def steady_read(x: Tensor) -> Tensor:
    """Return the read (d,) with mean 1 and least variance over ``x`` (n, d): a bias where there is none."""
    mean = x.mean(0)
    covariance = torch.cov(x.T)
    ridge = _LEAST_VARIANCE * float(covariance.diagonal().mean())
    read: Tensor = torch.linalg.solve(covariance + ridge * torch.eye(x.shape[1], dtype=x.dtype), mean)
    read /= mean @ read
    return read


def _unsteadiness(x: Tensor) -> float:
    """Relative spread of the steadiest read."""
    return float((x @ steady_read(x)).std())


def _rms(values: Tensor) -> float:
    """Root mean square norm of centred rows; the median row decides, since a few may be huge."""
    values = values.double().cpu()
    norms = (values - values.mean(0)).norm(dim=1)
    return float(norms.median())


def _rms_of_sum(drive: Tensor, directions: Tensor) -> float:
    planted = drive @ directions
    return float((planted - planted.mean(0)).square().sum(1).mean().sqrt())
