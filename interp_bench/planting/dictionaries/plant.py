"""Plant a dictionary: sparse features, more or fewer than dimensions, written to a site by hidden units.

Each feature has a hidden unit of its own. Its detector is a random direction of the whitened input
with a threshold at the (1 - p) quantile; what it puts out, times the norm of what it writes, is its
code, and the site holds the host's own activation plus ``sum_i code_i * direction_i``.

A child's unit writes its parent's direction beside its own, so a parent is present wherever a child
is, as strongly, and elsewhere where its own unit fires. Two children of a parent have opposite
detectors, and never fire together.

More features than one branch holds are shared out among the branches of the blocks above, all of
whose other writes to the stream are made zero: else the host would answer to the features below.
Where even these have too few units, the lowest branch is a lower one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor
from torch.nn.functional import normalize

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.planting.branches import Branch, middle_branch, stacks
from interp_bench.planting.dictionaries.detectors import Detectors, add_constant, draw_detectors, is_unsteady
from interp_bench.planting.dictionaries.layout import Layout, enough, lay_out
from interp_bench.planting.dictionaries.rates import zipf_rates
from interp_bench.planting.dictionaries.statistics import folded_normal
from interp_bench.planting.passes import read_sites
from interp_bench.planting.unlabelled import draw_images, draw_tokens

_POSITIONS = 32
_LEAST_FEATURES = 4
_DEAR = 50_000_000
_LEAST_LOUD = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Dials:
    """How hard the dictionary is to find.

    Attributes:
        ratio: features per dimension of the site; above 1 they are in superposition. Up to 1, half of
            the branch's units and ``max_features`` bound their number; above 1, all asked for are
            planted or none.
        max_features: most features where the ratio is at most 1.
        snr: root mean square of the planted part of the site over that of the host's part.
        p_hi, p_lo: firing rates of the commonest and the rarest feature.
        zipf: exponent of Zipf's law between them; 0 spaces them evenly on a log scale.
        hierarchy: share of features that are children and fire only with their parent, one of two.
        correlation: share of each detector that it has in common with its group of features.
        magnitude_noise: a feature is |1 + this times a normal draw| as loud as others, from 0 to 1.
            From sample to sample a code varies anyway, with how far the input is above the threshold.
        samples: number of activations; 0 means 3000, and 1800 where a forward pass is dear.
    """

    ratio: float = 1.0
    max_features: int = 128
    snr: float = 0.7
    p_hi: float = 0.08
    p_lo: float = 0.01
    zipf: float = 0.0
    hierarchy: float = 0.0
    correlation: float = 0.2
    magnitude_noise: float = 0.0
    samples: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (("ratio", 0, 8), ("correlation", 0, 1), ("magnitude_noise", 0, 1)):
            if not low <= getattr(self, name) <= high:
                raise PlantingError(f"{name} is {getattr(self, name):g}; it goes from {low} to {high}")
        if not 0 < self.snr < math.inf:
            raise PlantingError(f"snr is {self.snr:g}; it must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One branch and the features in it.

    Attributes:
        branch: the branch.
        units: (k,) its hidden units.
        features: (k,) the feature that each of them detects.
    """

    branch: Branch
    units: Tensor
    features: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedDictionary:
    """What was planted, and what runs now.

    Attributes:
        held: the branches that hold features, from below.
        inputs: tokens or pixels.
        rows: (n_samples,) which flattened (input, position) pairs are samples.
        activations: (n_samples, d_site) float32 at the site, recorded after planting.
        outputs: (n_inputs, position, n) what the features' own units put out, recorded after planting.
        predicted: (n_samples, n) bool: whether detectors, applied outside of the network, find the feature.
        directions: (n, d_site) unit, float64.
        gains: (n,) code per unit of a unit's output.
        parents: (n,) the parent of each feature, -1 where it has none.
    """

    held: tuple[Held, ...]
    inputs: Tensor
    rows: Tensor
    activations: Tensor
    outputs: Tensor
    predicted: Tensor
    directions: Tensor
    gains: Tensor
    parents: Tensor

    @property
    def site(self) -> str:
        """The site."""
        return self.held[-1].branch.site

    @property
    def codes(self) -> Tensor:
        """(n_samples, n) float32: how much of each direction the site holds."""
        return self.with_parents(self.outputs.flatten(0, 1)[self.rows].double().cpu() * self.gains).float()

    @property
    def writes(self) -> Tensor:
        """(n, d_site) float64: what a feature's own unit adds to the site per unit of its output."""
        shown = self.directions.clone()
        children = (self.parents >= 0).nonzero().flatten()
        shown[children] += self.directions[self.parents[children]]
        return shown * self.gains[:, None]

    def with_parents(self, own: Tensor) -> Tensor:
        """Return (..., n) what a parent holds by its own unit plus what its children's units add to it."""
        children = (self.parents >= 0).nonzero().flatten()
        return own.index_add(-1, self.parents[children], own[..., children])


def plant_dictionary(model: Model, seed: int, dials: Dials) -> PlantedDictionary:
    """Rewire hidden units of a middle block, and of those above it as needed, into features, in place.

    Raises:
        PlantingError: the network has no fitting branch, or too few units, or dials contradict each other.
    """
    generator = torch.Generator().manual_seed(seed)
    first = middle_branch(model)
    width = model.width(first.site)
    n = _number(first, width, dials)
    branches = enough(stacks(model), n, width)
    layout = lay_out(zipf_rates(n, dials.p_hi, dials.p_lo, dials.zipf), dials.hierarchy, branches)
    dear = model.spec.params > _DEAR
    inputs, rows = _samples(model, first, dials.samples or (1800 if dear else 3000), generator)
    plant = _Plant(model, inputs, rows, layout, dials, generator)
    for branch, features in zip(branches, layout.members, strict=True):
        plant.fill(branch, features)
    return plant.finished()


def _number(branch: Branch, width: int, dials: Dials) -> int:
    n = round(dials.ratio * width)
    if dials.ratio <= 1:
        n = min(n, dials.max_features, branch.n_units // 2)
    if n < _LEAST_FEATURES:
        raise PlantingError(f"{branch.site}: room for {n} features, at least {_LEAST_FEATURES} are needed")
    return n


class _Plant:
    """Fills one branch after the other; each reads what those below it write."""

    def __init__(
        self, model: Model, inputs: Tensor, rows: Tensor, layout: Layout, dials: Dials, generator: Generator
    ) -> None:
        self._model, self._inputs, self._rows = model, inputs, rows
        self._layout, self._dials, self._generator = layout, dials, generator
        n = len(layout.rates)
        self._held: list[Held] = []
        self._host_size = 0.0
        self._predicted = torch.zeros(len(rows), n, dtype=torch.bool)
        self._directions = torch.zeros(n, 0, dtype=torch.float64)
        self._spread = torch.ones(n, dtype=torch.float64)
        self._gains = torch.zeros(n, dtype=torch.float64)

    def fill(self, branch: Branch, features: Tensor) -> None:
        """Turn units of a branch into features."""
        width = self._model.width(branch.site)
        units = torch.randperm(branch.n_units, generator=self._generator)[: len(features)]
        if self._held:
            branch.quiet()
        branch.silence(units, width)
        found = self._detect(branch, features)
        branch.wire(units, found.weights, found.offsets, found.steady)
        if not self._held:
            self._draw_directions(width)
        self._gains[features] = self._loudness(features, found.drive)
        self._predicted[:, features] = found.drive > 0
        self._held.append(Held(branch=branch, units=units, features=features))
        branch.write(units, self._unfinished().writes[features])

    def finished(self) -> PlantedDictionary:
        """Record what the network does now."""
        sites = (*(held.branch.hidden for held in self._held), self._held[-1].branch.site)
        *hidden, site = read_sites(self._model, self._inputs, sites)
        outputs = hidden[0].new_zeros(*site.shape[:2], len(self._gains))
        for held, values in zip(self._held, hidden, strict=True):
            outputs[..., held.features.to(outputs.device)] = values[..., held.units.to(values.device)]
        now = self._unfinished()
        return replace(
            now,
            outputs=outputs,
            activations=site.flatten(0, 1)[self._rows].float(),
            predicted=now.with_parents(self._predicted.float()) > 0,
        )

    def _unfinished(self) -> PlantedDictionary:
        empty = torch.zeros(0)
        return PlantedDictionary(
            held=tuple(self._held),
            inputs=self._inputs,
            rows=self._rows,
            activations=empty,
            outputs=empty,
            predicted=empty,
            directions=self._directions,
            gains=self._gains,
            parents=self._layout.forest.parents,
        )

    def _detect(self, branch: Branch, features: Tensor) -> Detectors:
        x, host = _read(self._model, branch, self._inputs, self._rows)
        if not self._held:
            if not branch.affine and is_unsteady(x):
                add_constant(self._model, _rms(host), self._generator)
                x, host = _read(self._model, branch, self._inputs, self._rows)
            self._host_size = _rms(host)
        own, mirrored = self._layout.own[features], self._layout.mirrored[features]
        return draw_detectors(x, branch, own, self._dials.correlation, mirrored, self._generator)

    def _draw_directions(self, width: int) -> None:
        n = len(self._gains)
        drawn = torch.randn(n, width, generator=self._generator, dtype=torch.float64)
        self._directions = normalize(drawn, dim=1)
        if self._dials.magnitude_noise:
            spread = folded_normal(n, 1.0, self._dials.magnitude_noise, self._generator)
            self._spread = spread.clamp(min=_LEAST_LOUD).double()

    def _loudness(self, features: Tensor, drive: Tensor) -> Tensor:
        """Return gains (k,) by which these features take their share of the planted part."""
        self._gains[features] = self._spread[features]
        planted = drive @ self._unfinished().writes[features]
        size = float((planted - planted.mean(0)).square().sum(1).mean().sqrt())
        share = math.sqrt(len(features) / len(self._gains))
        return self._spread[features] * (self._dials.snr * share * self._host_size / size)


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
    x = branch.inputs(read.flatten(0, 1)[rows])
    return x.double().cpu(), host.flatten(0, 1)[rows].double().cpu()


def _rms(values: Tensor) -> float:
    """Root mean square norm of centred rows; the median row decides, since a few may be huge."""
    values = values.double().cpu()
    norms = (values - values.mean(0)).norm(dim=1)
    return float(norms.median())
