"""Activations of fixed inputs, computed once and remembered within a bound of memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor

from interp_bench.model.handle import Model

LIMIT_BYTES = 256 * 2**20


class Recall:
    """Remembers what one model does on one batch of inputs; everything handed out is a copy.

    Args:
        position: position that ``pooled`` reads; None for the mean over positions.
        limit: bytes of whole activations to remember; the site used longest ago is forgotten first.
    """

    def __init__(self, position: int | None, limit: int = LIMIT_BYTES) -> None:
        self._position = position
        self._limit = limit
        self._rows: OrderedDict[str, dict[int, Tensor]] = OrderedDict()
        self._pooled: dict[str, Tensor] = {}

    def pooled(self, model: Model, inputs: Tensor, sites: Sequence[str], site: str) -> Tensor:
        """Return (n_inputs, width) float32 at a site; the first call computes all ``sites`` in one pass."""
        if site not in self._pooled:
            self._pooled = self._sweep(model, inputs, sites)
        return self._pooled[site].clone()

    def whole(self, model: Model, inputs: Tensor, site: str, index: Tensor) -> Tensor:
        """Return activations (n_index, position, width) of the inputs ``index`` at a site."""
        known = self._rows.setdefault(site, {})
        self._rows.move_to_end(site)
        wanted = index.tolist()
        missing = sorted(set(wanted) - known.keys())
        if missing:
            fresh = model.activations(inputs[missing], site)
            known.update(zip(missing, fresh.unbind(), strict=True))
        values = torch.stack([known[row] for row in wanted])
        self._forget()
        return values

    def remember(self, model: Model, inputs: Tensor, sites: Sequence[str]) -> None:
        """Compute the activations of all inputs at all ``sites`` in one pass, where they fit the limit."""
        room = self._limit / max(1, len(inputs))
        with torch.no_grad(), model.record(*sites) as cache:
            model(inputs[:1])
            if sum(cache[site].numel() * cache[site].element_size() for site in sites) > room:
                return
            for start in range(0, len(inputs), 32):
                model(inputs[start : start + 32])
                for site in sites:
                    rows = self._rows.setdefault(site, {})
                    rows.update(enumerate(cache[site].clone().unbind(), start))

    def _sweep(self, model: Model, inputs: Tensor, sites: Sequence[str]) -> dict[str, Tensor]:
        parts: dict[str, list[Tensor]] = {site: [] for site in sites}
        with torch.no_grad(), model.record(*sites) as cache:
            for batch in torch.split(inputs, 32):
                model(batch)
                for site in sites:
                    parts[site].append(pool(cache[site], self._position))
        return {site: torch.cat(rows) for site, rows in parts.items()}

    def _forget(self) -> None:
        sizes = {site: _bytes(rows) for site, rows in self._rows.items()}
        while self._rows and sum(sizes.values()) > self._limit:
            site, _ = self._rows.popitem(last=False)
            del sizes[site]


def pool(values: Tensor, position: int | None) -> Tensor:
    """Return float32 (n, width) of activations (n, position, width) at a position, or their mean."""
    return (values.mean(1) if position is None else values[:, position]).float().clone()


def _bytes(rows: dict[int, Tensor]) -> int:
    first = next(iter(rows.values()), None)
    return 0 if first is None else len(rows) * first.numel() * first.element_size()
