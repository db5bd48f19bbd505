"""What happens to a planted variable along depth, and what a plant says about itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from interp_bench.errors import PlantingError
from interp_bench.planting.concepts.causal import CausalModel
from interp_bench.planting.evidence.base import Evidence

Kind = Literal["kept", "copied", "rotated", "erased"]
Values = Callable[[Tensor, torch.Generator], Tensor]
"""(values (n, n_variables), generator) -> inputs that show them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """How two variables travel from the position where they are read to the neurons that decide.

    Attributes:
        kind: ``kept``: they stay in one subspace until they are decided.
            ``copied``: neurons write two more copies of each. ``rotated``: neurons write each, turned,
            into a fresh subspace, and take it out of the old one. ``erased``: they wait at a relay
            position; a head moves them on to where they are decided, and neurons take them out of
            the relay.
        idle: whether nothing reads the further copies; else two of three copies decide.
        decoy: size of the codes of a third variable, which nothing reads, as a multiple of the others';
            0 leaves it out.
    """

    kind: Kind = "kept"
    idle: bool = False
    decoy: float = 0.0

    @property
    def n_variables(self) -> int:
        """Number of variables, the decoy included."""
        return 3 if self.decoy else 2


@dataclass(frozen=True, slots=True, kw_only=True)
class NearNegative:
    """A subspace that looks as if it carried the labelled variable, and must not.

    Attributes:
        name: what it is.
        site: where.
        basis: (k, width) orthonormal rows.
        empty: whether it must not hold the variable at all, not even for a probe.
    """

    name: str
    site: str
    basis: Tensor
    empty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedConcept:
    """A planted concept: what causes what, and where.

    Attributes:
        causal: the causal model, with carriers at every site that carries anything.
        evidence: the same mechanism from the side of the input, of the variables that are read.
        show: draws inputs of given values.
        stages: layers at which the variables arrive, are rewritten and are decided, in order.
        sites: sites at which the question is open, in order of depth.
        near: subspaces that must not pass for the labelled variable.
    """

    causal: CausalModel
    evidence: Evidence
    show: Values
    stages: tuple[int, ...]
    sites: tuple[str, ...]
    near: tuple[NearNegative, ...]


def draw_stages(first: int, depth: int, count: int, generator: torch.Generator) -> tuple[int, ...]:
    """Draw ``count`` different layers from ``first`` on, in order.

    Raises:
        PlantingError: there are too few layers.
    """
    if depth - first < count:
        raise PlantingError(
            f"the journey takes {count} layers from layer {first} on, the host has {depth} in all"
        )
    drawn = torch.randperm(depth - first, generator=generator)[:count]
    return tuple(sorted(int(layer) + first for layer in drawn))
