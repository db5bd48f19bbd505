"""Prove by intervention that a planted dictionary is what the site holds."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from interp_bench.model.handle import Model
from interp_bench.planting.certificate import Certificate, Check
from interp_bench.planting.dictionaries.plant import Held, PlantedDictionary
from interp_bench.planting.dictionaries.probes import Probes, find_probes
from interp_bench.planting.passes import read_sites

N_SETS = 50
_AT_ONCE = 256
_POSITIONS = 8
_TINY = 1e-12
_NEAR = 0.1
_STEPS = 12

Edit = Callable[[Tensor], Tensor]


def certify_dictionary(model: Model, planted: PlantedDictionary) -> Certificate:
    """Measure on the live network that each unit adds its code along its direction, and nothing else.

    - ``firing agreement``: F1 of codes above zero against the detectors' prediction.
    - ``rarest feature``, ``commonest feature``: each fires sometimes, none always.
    - ``child without parent``, ``siblings together``: the largest share of a child's firing.
    - ``sufficiency error``: with all units cut, the site loses exactly codes times directions.
    - ``inertness error``: the same where half of the host's units are cut too, for the worst of 50
      random sets; ``codes without the host``: how much codes of the same branch change by such a cut.
    - ``direction``: with one unit cut at one place, the least |cosine| of what the site loses there with
      the unit's direction (and its parent's), over all features; nothing of the host's is left in it.
    - ``amplitude error``: of that loss against the unit's code, root mean square over features.
    - ``spill``: the share of the loss at places where nothing was cut.
    - ``near negative``: inputs are moved along one detector to just below its threshold. The largest
      output that a unit has left, over what it had; ``near negative at the site``: the largest loss by
      cutting it there, over what it was; ``near positive``: the least output of a unit just above its
      threshold, over the height above it.

    Where several branches hold features, cutting one unit leaves the others' outputs as they were.
    """
    n = len(planted.gains)
    parts = [find_probes(planted, features) for features in torch.arange(n).split(_AT_ONCE)]
    network = _Network(model, planted)
    checks = [*_firing_checks(planted), *_family_checks(planted), *_joint_checks(network, parts[0])]
    checks += [*_single_checks(network, parts), *_near_checks(network, parts)]
    return Certificate(checks=tuple(checks))


class _Network:
    """Reads the site on probes with hidden units edited, in float64 on the CPU."""

    def __init__(self, model: Model, planted: PlantedDictionary) -> None:
        self.model, self.planted = model, planted
        self.writes = planted.writes
        self._known: tuple[Probes, dict[str, Tensor]] | None = None

    def inputs(self, index: Tensor) -> Tensor:
        """Return the inputs (n, ...) with these numbers."""
        return self.planted.inputs[index.to(self.planted.inputs.device)]

    def outputs(self, probes: Probes) -> Tensor:
        """Return what units put out on probes as recorded, (n_probes, position, n) in float64."""
        return self.planted.outputs.cpu()[probes.inputs].double()

    def whole(self, probes: Probes) -> dict[str, Tensor]:
        """Return what branches read, their hidden units and the site on probes with nothing edited.

        The last answer is remembered; its tensors are not to be changed.
        """
        if self._known is None or self._known[0] is not probes:
            branches = [held.branch for held in self.planted.held]
            names = [name for branch in branches for name in (branch.reads, branch.hidden)]
            sites = tuple(dict.fromkeys((*names, self.planted.site)))
            found = self.read(self.inputs(probes.inputs), {}, *sites)
            self._known = probes, dict(zip(sites, found, strict=True))
        return self._known[1]

    def site(self, inputs: Tensor, patches: dict[str, Edit]) -> Tensor:
        """Return the site (n, position, d_site)."""
        return self.read(inputs, patches, self.planted.site)[0]

    def read(self, inputs: Tensor, patches: dict[str, Edit], *sites: str) -> tuple[Tensor, ...]:
        """Return activations at sites."""
        whole = patches or {self.planted.held[0].branch.hidden: torch.clone}  # so that all go in one batch
        found = read_sites(self.model, inputs, sites, patches=whole)
        return tuple(values.double().cpu() for values in found)


def _firing_checks(planted: PlantedDictionary) -> list[Check]:
    fires, predicted = planted.codes > 0, planted.predicted
    agreement = 2 * (fires & predicted).sum() / (fires.sum() + predicted.sum()).clamp(min=1)
    rates = fires.double().mean(0)
    return [
        Check(name="firing agreement", value=float(agreement), relation=">=", bound=0.95),
        Check(name="rarest feature", value=float(rates.min()), relation=">=", bound=1e-3),
        Check(name="commonest feature", value=float(rates.max()), relation="<=", bound=0.5),
    ]


def _family_checks(planted: PlantedDictionary) -> list[Check]:
    parents = planted.parents
    children = (parents >= 0).nonzero().flatten()
    if not len(children):
        return []
    fires = planted.codes > 0
    fired = fires.sum(0).clamp(min=1)
    orphans = (fires[:, children] & ~fires[:, parents[children]]).sum(0) / fired[children]
    first, second = children.view(-1, 2).T
    both = (fires[:, first] & fires[:, second]).sum(0) / torch.minimum(fired[first], fired[second])
    return [
        Check(name="child without parent", value=float(orphans.max()), relation="<=", bound=0.01),
        Check(name="siblings together", value=float(both.max()), relation="<=", bound=0.01),
    ]


def _joint_checks(network: _Network, probes: Probes) -> list[Check]:
    planted, inputs = network.planted, network.inputs(probes.inputs)
    cuts = {held.branch.hidden: _cut(held.units) for held in planted.held}
    expected = network.outputs(probes) @ network.writes
    lost = network.whole(probes)[planted.site] - network.site(inputs, cuts)
    inert, unchanged = _sets_of_the_rest(network, probes)
    return [
        Check(name="sufficiency error", value=_error(lost, expected), relation="<=", bound=0.05),
        Check(name="inertness error", value=inert, relation="<=", bound=0.05),
        Check(name="codes without the host", value=unchanged, relation="<=", bound=0.01),
    ]


def _sets_of_the_rest(network: _Network, probes: Probes) -> tuple[float, float]:
    """Cut half of the host's units, another half in each of 50 runs, without and with all that was planted.

    Only the first branch has host units that write. Cutting them moves what branches above read, so
    that their codes are taken as they are then.
    """
    planted, held = network.planted, network.planted.held[0]
    generator = torch.Generator().manual_seed(0)
    keep = torch.rand(N_SETS, held.branch.n_units, generator=generator) < 0.5
    keep[:, held.units] = True
    index = probes.inputs[torch.arange(N_SETS) % len(probes.inputs)]
    inputs = network.inputs(index)
    if network.model.modality == "lm":
        inputs = inputs[:, :_POSITIONS]  # later tokens change nothing before them, and cost time
    hidden = [other.branch.hidden for other in planted.held]
    *live, without = network.read(inputs, {hidden[0]: _mask(keep)}, *hidden, planted.site)
    cuts = {other.branch.hidden: _cut(other.units) for other in planted.held[1:]}
    neither = network.site(inputs, {**cuts, hidden[0]: _mask(_without(keep, held.units))})
    codes = without.new_zeros(*without.shape[:2], len(planted.gains))
    for other, values in zip(planted.held, live, strict=True):
        codes[..., other.features] = values[..., other.units]
    pairs = zip(without - neither, codes @ network.writes, strict=True)
    before = planted.outputs[index.to(planted.outputs.device), : without.shape[1]].cpu().double()
    return max(_error(*pair) for pair in pairs), _error(codes[..., held.features], before[..., held.features])


def _single_checks(network: _Network, parts: list[Probes]) -> list[Check]:
    n = len(network.planted.gains)
    along = torch.zeros(n, dtype=torch.float64)  # a feature without a place of its own counts as missed
    amplitude, spilled, all_lost = [], 0.0, 0.0
    for probes in parts:
        expected = network.writes[probes.feature]
        size = network.outputs(probes)[probes.row, probes.position, probes.feature]
        lost = _loss_of_each(network, probes)
        mine = lost[probes.row, probes.position]
        along[probes.feature] = F.cosine_similarity(mine, expected, dim=1).abs()
        amplitude.append((mine * expected).sum(1) / (size * expected.square().sum(1)) - 1)
        elsewhere = lost.clone()
        elsewhere[probes.row, probes.position] = 0
        spilled, all_lost = spilled + float(elsewhere.norm()), all_lost + float(lost.norm())
    error = float(torch.cat(amplitude).square().mean().sqrt())
    return [
        Check(name="direction", value=float(along.min()), relation=">=", bound=0.99),
        Check(name="amplitude error", value=error, relation="<=", bound=0.05),
        Check(name="spill", value=spilled / max(all_lost, _TINY), relation="<=", bound=0.01),
    ]


def _loss_of_each(network: _Network, probes: Probes) -> Tensor:
    """Return what the site loses (n_probes, position, d_site) with each feature's unit cut at its place."""
    inputs, held = network.inputs(probes.inputs), network.planted.held
    whole, edits = network.whole(probes), {}
    for part in held:
        at, units = _in_branch(part, probes)
        values = whole[part.branch.hidden].clone()
        values[probes.row[at], probes.position[at], units] = 0
        edits[part.branch.hidden] = _put(values)
    return whole[network.planted.site] - network.site(inputs, edits)


def _near_checks(network: _Network, parts: list[Probes]) -> list[Check]:
    found = [
        _near_threshold(network, probes, index, *placed)
        for probes in parts
        for index, held in enumerate(network.planted.held)
        if len((placed := _in_branch(held, probes))[0])
    ]
    nothing = (torch.full((1,), math.nan),) * 3  # no feature has a place: no check passes
    left, lost, risen = (torch.cat(values) for values in zip(*(found or [nothing]), strict=True))
    return [
        Check(name="near negative", value=float(left.max()), relation="<=", bound=0.05),
        Check(name="near negative at the site", value=float(lost.max()), relation="<=", bound=0.05),
        Check(name="near positive", value=float(risen.min()), relation=">=", bound=0.5),
    ]


def _near_threshold(
    network: _Network, probes: Probes, index: int, at: Tensor, units: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Move what one branch reads, at each feature's place, to just below that feature's threshold, and above.

    Returns:
        (k,) each: what units put out below it, and what the site loses by cutting them there, over
        what these were before; and what they put out above it, over the height above it.
    """
    held, inputs = network.planted.held[index], network.inputs(probes.inputs)
    row, position, branch = probes.row[at], probes.position[at], held.branch
    above = [part.branch.hidden for part in network.planted.held[index + 1 :]]
    recorded = network.whole(probes)

    def moved(height: float) -> dict[str, Edit]:
        values = recorded[branch.reads].clone()
        start = values[row, position].to(device=network.model.device, dtype=network.model.dtype)
        values[row, position] = _moved(held, start, units, height).double().cpu()
        return {name: _put(recorded[name]) for name in above} | {branch.reads: _put(values)}

    def cut_each(values: Tensor) -> Tensor:
        values = values.clone()
        values[row, position, units] = 0
        return values

    near = _NEAR * branch.gain
    below = moved(-near)
    (risen,) = network.read(inputs, moved(near), branch.hidden)
    left, site = network.read(inputs, below, branch.hidden, network.planted.site)
    lost = (site - network.site(inputs, {**below, branch.hidden: cut_each}))[row, position]
    before = recorded[branch.hidden][row, position, units]
    usual = before * network.writes[probes.feature[at]].norm(dim=1)
    return (
        (left[row, position, units] / before).abs(),
        lost.norm(dim=1) / usual,
        risen[row, position, units] / near,
    )


def _moved(held: Held, read: Tensor, units: Tensor, height: float) -> Tensor:
    """Move ``read`` (k, width) along the gradient of ``units`` (k,) until these are ``height`` above zero."""
    branch, device = held.branch, read.device
    for _ in range(_STEPS):
        with torch.enable_grad():
            here = read.detach().requires_grad_()
            pre = branch.pre_activations(branch.inputs(here), units)
            (slope,) = torch.autograd.grad(pre.sum(), here)
        slope = slope.double()
        step = (pre.detach().to(device) - height) / slope.square().sum(1).clamp(min=_TINY)
        read = (read.double() - step[:, None] * slope).to(read.dtype)
    return read


def _in_branch(held: Held, probes: Probes) -> tuple[Tensor, Tensor]:
    """Return which places belong to features of a branch, and these features' units."""
    at = torch.isin(probes.feature, held.features).nonzero().flatten()
    return at, held.units[torch.searchsorted(held.features, probes.feature[at])]


def _cut(units: Tensor) -> Edit:
    return lambda hidden: hidden.index_fill(-1, units.to(hidden.device), 0)


def _mask(keep: Tensor) -> Edit:
    """Keep only some units, other ones for each input; ``keep`` is (n_inputs, n_units)."""
    return lambda hidden: hidden * keep[:, None].to(hidden)


def _put(values: Tensor) -> Edit:
    return lambda hidden: values.to(hidden)


def _without(keep: Tensor, units: Tensor) -> Tensor:
    return keep.index_fill(1, units, False)


def _error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm().clamp(min=_TINY))
