"""First-order effects of the residual stream on the labelled logits, at all sites at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from interp_bench.tracks.concepts import ConceptProblem, Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """How the logits of the values depend on the activations of some inputs.

    Attributes:
        inputs: (n,) indices of the inputs.
        values: site -> (n, position, width) activations; one position where only one is interchanged.
        gradients: site -> (n_values, n, position, width) gradients of the centred logits of the values.
    """

    inputs: Tensor
    values: Mapping[str, Tensor]
    gradients: Mapping[str, Tensor]


def measure_effects(problem: ConceptProblem, n_inputs: int) -> Effects:
    """Return the effects at every site for the first inputs: 1 forward, ``n_values`` backwards."""
    index = torch.arange(min(n_inputs, len(problem.inputs)))
    first, *rest = problem.sites
    model = problem.model
    with torch.enable_grad(), model.record(first, leaf=True) as leaf, model.record(*rest) as others:
        logits = problem.behaviour(model(problem.inputs[index])).float()
        cache = {**leaf, **others}
        logits = logits - logits.mean(1, keepdim=True)
        gradients: dict[str, list[Tensor]] = {site: [] for site in problem.sites}
        for value in range(problem.n_values):
            keep = value < problem.n_values - 1
            found = torch.autograd.grad(
                logits[:, value].sum(), [cache[site] for site in problem.sites], retain_graph=keep
            )
            for site, gradient in zip(problem.sites, found, strict=True):
                gradients[site].append(_at(gradient, problem.position))
    return Effects(
        inputs=index,
        values={site: _at(cache[site], problem.position) for site in problem.sites},
        gradients={site: torch.stack(parts) for site, parts in gradients.items()},
    )


def first_order_gain(effects: Effects, pairs: Pairs, site: str, basis: Tensor) -> float:
    """Return how much interchanging a subspace raises source over base logit, to first order.

    Attribution patching (Nanda 2023; Syed et al. 2023) restricted to a subspace: the mean of
    ``(g_source - g_base) . P (h_source - h_base)`` over pairs.
    """
    rows = torch.arange(len(pairs.base))
    change = effects.values[site][pairs.source] - effects.values[site][pairs.base]
    gradients = effects.gradients[site][:, pairs.base]
    slope = gradients[pairs.source_labels, rows] - gradients[pairs.base_labels, rows]
    on = basis.to(change)
    return float(((change @ on.T) * (slope @ on.T)).sum((1, 2)).mean())


def _at(values: Tensor, position: int | None) -> Tensor:
    kept = values.detach().float()
    return kept if position is None else kept[:, position].unsqueeze(1)
