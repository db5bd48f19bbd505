"""Forward passes that record several sites and stop as soon as they have them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress

import torch
from torch import Tensor

from interp_bench.model.handle import Model, Patch


class _SeenAll(Exception):
    """Ends a forward pass from inside a hook."""


def read_sites(
    model: Model,
    inputs: Tensor,
    sites: tuple[str, ...],
    *,
    patches: Mapping[str, Patch] | None = None,
    batch_size: int = 32,
) -> tuple[Tensor, ...]:
    """Return activations (n_inputs, position, width) at sites, from passes that stop after the last one.

    Args:
        model: the network.
        inputs: tokens or pixels.
        sites: names of the sites.
        patches: as for ``Model.patch``; given patches, all inputs go through in one batch.
        batch_size: inputs a pass.
    """
    parts: dict[str, list[Tensor]] = {site: [] for site in sites}
    for batch in _batches(inputs, len(inputs) if patches else batch_size):
        cache = _one_pass(model, batch, sites, patches or {})
        for site in sites:
            parts[site].append(cache[site])
    return tuple(torch.cat(parts[site]) for site in sites)


def _batches(inputs: Tensor, size: int) -> list[Tensor]:
    return [inputs[start : start + size] for start in range(0, len(inputs), size)]


def _one_pass(
    model: Model, batch: Tensor, sites: tuple[str, ...], patches: Mapping[str, Patch]
) -> dict[str, Tensor]:
    def stop(activation: Tensor) -> Tensor:
        if all(site in cache for site in sites):
            raise _SeenAll
        return activation

    with torch.no_grad(), ExitStack() as stack:
        stack.enter_context(model.patch(patches))
        cache = stack.enter_context(model.record(*sites))
        # Entered last, so that these hooks run after those that record.
        stack.enter_context(model.patch(dict.fromkeys(sites, stop)))
        with suppress(_SeenAll):
            model(batch)
    return cache
