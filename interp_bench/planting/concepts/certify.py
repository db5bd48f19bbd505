"""Certify a causal model of variables by interchange, on inputs drawn for this purpose alone.

All pairs differ in every variable. Checks, each a share of pairs (those on the rest at the first and
the last carrying site, in a CNN at the first):

- ``own[site]``: the carriers of the labelled variable give its outcome, and the others keep theirs.
- ``rest_sufficient[site]``: everything but the carriers, interchanged at once, moves the other
  variables and leaves this one.
- ``random_sets[site]``: RANDOM_SETS random halves of the space orthogonal to the carriers, each
  interchanged at once, leave this variable. Not asked of CNNs, in which half of a channel is no state
  that rectifiers ever meet; there, and everywhere, random sets of the input are tried as well.
- ``random[site]``: a random subspace of the same rank gives the outcome (at most).
- ``other_variable[site]``: so do the carriers of the other variable (at most).
- ``uncarried[site]``: so do the carriers at the site in front of the one where they arrive (at most).
- ``NAME[site]``: a near negative of the plant changes any outcome (at most).
- ``NAME_probe[site]``: a linear probe reads the label there on new inputs in which the variables are
  independent (at most chance + 0.2), where the subspace is meant to be empty.
- ``decoy_probe[site]``: a linear probe on the decoy's subspace reads the label as often as the two go
  together in the training data (at least, less 0.1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from interp_bench.model.handle import Model
from interp_bench.planting.certificate import Check, Relation
from interp_bench.planting.concepts.causal import CausalModel
from interp_bench.planting.concepts.interchange import run_from, swap
from interp_bench.planting.concepts.journey import NearNegative, Values
from interp_bench.planting.evidence.intervene import spread

INTERCHANGE, NOTHING = 0.95, 0.25
INERT = 0.05
RANDOM_SETS = 50
PROBE_ABOVE_CHANCE, PROBE_BELOW_TIE = 0.2, 0.1
_BATCH = 32
_LIMIT_BYTES = 256 * 2**20


class ConceptTrial:
    """Pairs of inputs with independent values, and what interchanging subspaces between them does.

    Args:
        model: the planted model.
        causal: what causes what.
        show: draws inputs of given values.
        sites: sites at which anything is interchanged.
        n_values: values of each variable.
        n_pairs: number of pairs.
        generator: source of randomness.
    """

    def __init__(
        self,
        model: Model,
        causal: CausalModel,
        show: Values,
        sites: Sequence[str],
        n_values: int,
        n_pairs: int,
        generator: torch.Generator,
    ) -> None:
        self.model, self.causal, self.show = model, causal, show
        self.sites, self.n_values, self.generator = tuple(sites), n_values, generator
        shape = (n_pairs, len(causal.variables))
        self.base = torch.randint(n_values, shape, generator=generator)
        steps = torch.randint(1, n_values, shape, generator=generator)
        self.source = (self.base + steps) % n_values
        self.inputs = show(torch.cat([self.base, self.source]), generator)
        self._known: dict[str, Tensor] = {}
        self._own: Tensor | None = None
        self._probed: tuple[dict[str, Tensor], Tensor] | None = None

    def activations(self, site: str) -> Tensor:
        """Return (2 n_pairs, position, width): of the bases, then of the sources."""
        if site not in self._known:
            one = self.model.activations(self.inputs[:1], site)
            everything = len(self.inputs) * len(self.sites) * one.numel() * one.element_size()
            wanted = self.sites if everything <= _LIMIT_BYTES else (site,)
            self._known = _sweep(self.model, self.inputs, wanted, slice(None))
        return self._known[site]

    def probed(self, n: int) -> tuple[dict[str, Tensor], Tensor]:
        """Return what n inputs of independent values hold at every site, and the labelled variable.

        Drawn once: (n, width) at the position that is read, and (n,) values.
        """
        if self._probed is None:
            values = torch.randint(self.n_values, (n, len(self.causal.variables)), generator=self.generator)
            inputs = self.show(values, self.generator)
            self._probed = self.at_position(inputs, self.sites), values[:, 0]
        return self._probed

    def at_position(self, inputs: Tensor, sites: Sequence[str]) -> dict[str, Tensor]:
        """Return (n, width) at the position that is read, for each of the sites, in one pass."""
        position = self.causal.position
        assert position is not None
        return _sweep(self.model, inputs, sites, position)

    def verdicts(self, site: str, basis: Tensor, rows: Tensor | None = None) -> Tensor:
        """Return (n, n_read) verdicts on bases with a subspace taken from the sources.

        Args:
            site: where.
            basis: (k, width) orthonormal rows, or (n, k, width) for a subspace of its own in each pair.
            rows: (n,) which pairs; all when None.
        """
        base, source = self.activations(site).chunk(2)
        chosen = torch.arange(len(base)) if rows is None else rows
        found = []
        with torch.no_grad():
            for start in range(0, len(chosen), _BATCH):
                mine = chosen[start : start + _BATCH].to(base.device)
                part = basis if basis.ndim == 2 else basis[start : start + _BATCH]
                swapped = swap(base[mine], source[mine], part, self.causal.position)
                logits = run_from(self.model, self.inputs, site, swapped)
                found.append(self.causal.verdicts(logits))
        return torch.cat(found)

    def agreement(self, site: str, basis: Tensor, *, swapped: Sequence[int]) -> float:
        """Return how often all verdicts are what the causal model expects of these variables swapped."""
        expected = self.causal.expected(self.base, self.source, swapped)
        return float((self.verdicts(site, basis) == expected).all(1).double().mean())

    def changed(self, site: str, basis: Tensor) -> float:
        """Return how often interchanging a subspace changes any verdict that the network gives by itself."""
        if self._own is None:
            self._own = self.causal.verdicts(self.model.logits(self.inputs[: len(self.base)]))
        return float((self.verdicts(site, basis) != self._own).any(1).double().mean())

    def left(self, site: str, basis: Tensor, rows: Tensor | None = None) -> float:
        """Return how often the labelled variable keeps the base's outcome."""
        expected = self.causal.expected(self.base, self.source)
        expected = expected if rows is None else expected[rows]
        return float((self.verdicts(site, basis, rows) == expected)[:, 0].double().mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class ConceptBounds:
    """How much is measured.

    Attributes:
        n_pairs: pairs of each check.
        n_sites: carrying sites whose carriers are interchanged, spread evenly.
        n_rows: pairs on which each random set is tried.
        n_probed: inputs that a probe is fitted on, and as many that it is tried on.
    """

    n_pairs: int = 32
    n_sites: int = 99
    n_rows: int = 2
    n_probed: int = 128


def certify_concept(
    trial: ConceptTrial,
    near: Sequence[NearNegative] = (),
    bounds: ConceptBounds | None = None,
    *,
    training: Callable[[int], tuple[Tensor, Tensor]] | None = None,
    tie: float = 0.0,
) -> tuple[Check, ...]:
    """Measure whether the carriers, and nothing near them, are the labelled variable.

    Args:
        trial: the planted model and its pairs.
        near: subspaces that must not pass.
        bounds: how much is measured.
        training: draws n inputs with their values as in the training data; needed with a decoy.
        tie: how often decoy and label go together in the training data.
    """
    bounds = bounds or ConceptBounds()
    carriers = trial.causal.variables[0].carriers
    asked = [site for site in trial.sites if site in carriers]
    checks = []
    for site in spread(asked, bounds.n_sites):
        own = trial.agreement(site, carriers[site], swapped=(0,))
        checks.append(_check(f"own[{site}]", own, ">=", INTERCHANGE))
    for site in spread(asked, 1 if trial.causal.position is None else 2):
        checks += _rest(trial, site, carriers[site], bounds.n_rows)
    checks += _foreign(trial, asked)
    for negative in near:
        checks += _near(trial, negative, bounds.n_probed)
    decoys = [negative for negative in near if negative.name == "decoy"]
    if decoys and training is not None:
        checks += [_correlate(trial, decoys[-1], training, bounds.n_probed, tie)]
    return tuple(checks)


def _rest(trial: ConceptTrial, site: str, carriers: Tensor, n_rows: int) -> list[Check]:
    """Interchange everything but the carriers: all of it, and random halves of it."""
    complement = _complement(carriers, trial.generator)
    others = tuple(range(1, len(trial.causal.variables)))
    rest = trial.agreement(site, complement, swapped=others)
    found = [_check(f"rest_sufficient[{site}]", rest, ">=", INTERCHANGE)]
    if trial.causal.position is None:
        return found
    varying = _varying(trial, site, carriers)
    half = len(varying) // 2
    jobs = torch.arange(RANDOM_SETS).repeat_interleave(n_rows)
    sets = torch.stack(
        [torch.randperm(len(varying), generator=trial.generator)[:half] for _ in range(RANDOM_SETS)]
    )
    kept = []
    # A frame of its own in each row: as many at once as the memory of a batch of activations allows.
    for start in range(0, len(jobs), _BATCH):
        mine = jobs[start : start + _BATCH]
        rows = torch.arange(start, start + len(mine)) % len(trial.base)
        kept.append(trial.left(site, varying[sets[mine]], rows) * len(mine))
    share = sum(kept) / len(jobs)
    return [*found, _check(f"random_sets[{site}]", share, ">=", INTERCHANGE)]


def _foreign(trial: ConceptTrial, asked: Sequence[str]) -> list[Check]:
    """Interchange a random subspace, the other variable, and the carriers before they arrive."""
    carriers = trial.causal.variables[0].carriers
    site = asked[(len(asked) - 1) // 2]
    basis = carriers[site]
    guesses = [torch.linalg.qr(torch.randn(basis.shape, generator=trial.generator).T).Q.T for _ in range(2)]
    guessed = sum(trial.agreement(site, guess, swapped=(0,)) for guess in guesses) / len(guesses)
    other = trial.agreement(site, trial.causal.variables[1].carriers[site], swapped=(0,))
    checks = [
        _check(f"random[{site}]", guessed, "<=", NOTHING),
        _check(f"other_variable[{site}]", other, "<=", NOTHING),
    ]
    sites, index = trial.sites, trial.sites.index(asked[0]) - 1
    if index >= 0 and trial.model.width(sites[index]) == carriers[asked[0]].shape[1]:
        early = trial.agreement(sites[index], carriers[asked[0]], swapped=(0,))
        checks.append(_check(f"uncarried[{sites[index]}]", early, "<=", NOTHING))
    return checks


def _near(trial: ConceptTrial, negative: NearNegative, n_probed: int) -> list[Check]:
    site, basis = negative.site, negative.basis
    checks = [_check(f"{negative.name}[{site}]", trial.changed(site, basis), "<=", INERT)]
    if negative.empty:
        held, labels = trial.probed(2 * n_probed)
        read = linear_reading(held[site] @ basis.to(held[site]).T, labels, trial.n_values)
        bound = 1 / trial.n_values + PROBE_ABOVE_CHANCE
        checks.append(_check(f"{negative.name}_probe[{site}]", read, "<=", bound))
    return checks


def _correlate(
    trial: ConceptTrial,
    decoy: NearNegative,
    training: Callable[[int], tuple[Tensor, Tensor]],
    n_probed: int,
    tie: float,
) -> Check:
    inputs, values = training(2 * n_probed)
    held = trial.at_position(inputs, [decoy.site])[decoy.site]
    read = linear_reading(held @ decoy.basis.to(held).T, values[:, 0], trial.n_values)
    return _check(f"decoy_probe[{decoy.site}]", read, ">=", tie - PROBE_BELOW_TIE)


def linear_reading(coordinates: Tensor, labels: Tensor, n_values: int) -> float:
    """Fit a linear probe on half of the rows; return its accuracy on the rest.

    Least squares on one-hot labels, on standardised coordinates, so that even faint traces count.

    Args:
        coordinates: (n, k).
        labels: (n,) from 0 to n_values - 1.
        n_values: number of values.
    """
    x = coordinates.double().cpu()
    x = (x - x.mean(0)) / x.std(0).clamp_min(1e-12)
    x = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], dim=1)
    half = len(x) // 2
    wanted = torch.nn.functional.one_hot(labels, n_values).to(x)
    ridge = torch.eye(x.shape[1], dtype=x.dtype)
    fitted = torch.linalg.solve(x[:half].T @ x[:half] + ridge, x[:half].T @ wanted[:half])
    right = (x[half:] @ fitted).argmax(1) == labels[half:]
    return float(right.double().mean())


def _sweep(model: Model, inputs: Tensor, sites: Sequence[str], position: int | slice) -> dict[str, Tensor]:
    """Return activations at sites, (n, position, width) or (n, width), in one pass."""
    parts: dict[str, list[Tensor]] = {site: [] for site in sites}
    with torch.no_grad(), model.record(*sites) as cache:
        for batch in inputs.split(_BATCH):
            model(batch)
            for site in sites:
                parts[site].append(cache[site][:, position].clone())
    return {site: torch.cat(rows) for site, rows in parts.items()}


def _complement(rows: Tensor, generator: torch.Generator) -> Tensor:
    """Return a random orthonormal basis (width - r, width) of everything orthogonal to rows (r, width)."""
    r, width = rows.shape
    fresh = torch.randn(width - r, width, generator=generator)
    turned: Tensor = torch.linalg.qr(torch.cat([rows.float().cpu(), fresh]).T).Q.T
    return turned[r:].contiguous()


def _varying(trial: ConceptTrial, site: str, carriers: Tensor) -> Tensor:
    """Return a random orthonormal basis (k, width) of the space in which the rest varies between inputs.

    Random halves of a larger space would write into directions that no input moves, such as those
    that carry decided outcomes later on, what they took from large differences elsewhere.
    """
    x = trial.activations(site)
    where = slice(None) if trial.causal.position is None else trial.causal.position
    flat = x[:, where].double().cpu().flatten(0, -2)
    rest = flat - flat.mean(0)
    rows = carriers.double().cpu()
    rest = rest - rest @ rows.T @ rows
    _, strength, directions = torch.linalg.svd(rest, full_matrices=False)
    # What is left below is rounding, which in bfloat16 reaches every direction.
    least = max(1e-4, 4 * torch.finfo(x.dtype).eps)
    span = directions[strength > least * strength[0]].float()
    turn: Tensor = torch.linalg.qr(torch.randn(len(span), len(span), generator=trial.generator)).Q
    varying: Tensor = turn @ span
    return varying


def _check(name: str, value: float, relation: Relation, bound: float) -> Check:
    return Check(name=name, value=value, relation=relation, bound=bound)
