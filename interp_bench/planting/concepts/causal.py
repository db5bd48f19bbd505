"""A causal model of planted variables: what each one raises, where it is carried, what interchange does."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable with values 0 to n - 1.

    Attributes:
        name: for the names of checks.
        outputs: (n_values,) index of the logit that each value raises; None where nothing reads it.
        carriers: site -> (r, width) orthonormal rows: the subspace whose content *is* the variable there,
            so far as anything downstream goes. A site that is not here does not carry it: it has not
            arrived yet, has left, or nothing reads it any longer.
    """

    name: str
    outputs: Tensor | None
    carriers: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class CausalModel:
    """Variables that are set by the input and decide logits of their own, independently of each other.

    Interchange interventions are defined by it (Geiger et al. 2021): the outcome of a network in
    which the carriers of some variables were taken from a source is ``expected``.

    Attributes:
        variables: the labelled one first.
        position: position at which the carriers are read: -1 for the last token, 0 for the class token,
            None for every position of a CNN.
    """

    variables: tuple[Variable, ...]
    position: int | None

    @property
    def read(self) -> tuple[int, ...]:
        """Indices of the variables that decide logits."""
        return tuple(i for i, variable in enumerate(self.variables) if variable.outputs is not None)

    def at(self, sites: Collection[str]) -> CausalModel:
        """Return the model with carriers at these sites only."""
        return replace(
            self,
            variables=tuple(
                replace(v, carriers={site: rows for site, rows in v.carriers.items() if site in sites})
                for v in self.variables
            ),
        )

    def verdicts(self, logits: Tensor) -> Tensor:
        """Return (n, n_read) the value that the logits show of each variable that decides some.

        Args:
            logits: (n, n_outputs), or (n, position, n_outputs) of which the last position counts.
        """
        final = logits[:, -1] if logits.ndim == 3 else logits
        outputs = [v.outputs for v in self.variables if v.outputs is not None]
        return torch.stack([final[:, mine.to(final.device)].argmax(1) for mine in outputs], 1).cpu()

    def expected(self, base: Tensor, source: Tensor, swapped: Collection[int] = ()) -> Tensor:
        """Return (n, n_read) the verdicts on the bases when some variables are taken from the sources.

        Args:
            base: (n, n_variables) values that the bases show.
            source: (n, n_variables) values that the sources show.
            swapped: indices of the variables whose carriers are interchanged.
        """
        columns = [(source if i in swapped else base)[:, i] for i in self.read]
        return torch.stack(columns, 1)
