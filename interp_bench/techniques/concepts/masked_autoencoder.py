"""A binary mask over the latents of a sparse autoencoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from interp_bench.techniques.concepts.interchange_training import (
    Aim,
    Change,
    Result,
    aims,
    best_of,
    judged,
    plan_training,
    promising_sites,
    train_interchange,
)
from interp_bench.techniques.concepts.masks import CITES, COST, QUICK, annealed, chosen
from interp_bench.techniques.features.autoencoder import Training, initial, train
from interp_bench.techniques.features.topk_autoencoder import TopKAutoencoder, largest
from interp_bench.tracks.catalogue import technique
from interp_bench.tracks.concepts import ConceptProblem, Subspace, orthonormal

_MOST_SAMPLES, _MOST_LATENTS = 16_384, 2_048


@dataclass(frozen=True, slots=True, kw_only=True)
class Latents:
    """A sparse autoencoder of one site, in the units of the site.

    Attributes:
        pre_codes: (n, width) centred and scaled activations -> (n, n_latents), of which the largest count.
        decoder: (n_latents, width) rows of unit norm.
        mean: (width,) that is subtracted.
        scale: what is divided by.
        k: latents that are active at once.
    """

    pre_codes: Callable[[Tensor], Tensor]
    decoder: Tensor
    mean: Tensor
    scale: Tensor
    k: int

    def codes(self, values: Tensor) -> Tensor:
        """Return (..., n_latents) codes of activations (..., width)."""
        x = (values.float() - self.mean) / self.scale
        flat = largest(self.pre_codes(x.flatten(0, -2)), self.k)
        return flat.view(*x.shape[:-1], -1)

    def moved(self, base: Tensor, source: Tensor, mask: Tensor) -> Tensor:
        """Return ``base`` (..., width) with a share ``mask`` (n_latents,) of each latent from ``source``.

        What the autoencoder does not reconstruct stays as it is in the base.
        """
        change = mask * (self.codes(source) - self.codes(base))
        return base + (self.scale * (change @ self.decoder)).to(base.dtype)


def fit_latents(
    problem: ConceptProblem, site: str, *, expansion: float, density: float, max_steps: int
) -> Latents:
    """Return a top-k autoencoder (Gao et al. 2024) of the activations that an interchange changes.

    Args:
        problem: the problem.
        site: the site.
        expansion: latents per dimension; there are at most 2,048.
        density: active latents per latent; at least 2 are active.
        max_steps: training steps.
    """
    x = problem.features(site)
    if problem.position is None:
        positions = problem.activations(site, torch.arange(1)).shape[1]
        some = torch.arange(max(1, min(len(x), _MOST_SAMPLES // positions)))
        x = problem.activations(site, some).float().flatten(0, 1)
    mean = x.mean(0)
    scale = (x - mean).square().mean().sqrt().clamp(min=1e-12)
    n_latents = min(round(expansion * x.shape[1]), _MOST_LATENTS)
    k = min(max(2, round(density * n_latents)), n_latents)
    generator = problem.generator()
    training = Training(expansion=expansion, budget=3.5e10, max_steps=max_steps)
    model = TopKAutoencoder(**initial((x - mean) / scale, n_latents, generator), k=k)
    train(model, (x - mean) / scale, training, generator)
    return Latents(pre_codes=model.pre_codes, decoder=model.decoder, mean=mean, scale=scale, k=k)


@technique(
    cites=f"{CITES}; top-k autoencoder of Gao et al. 2024",
    access="gradients",
    cost=f"300 steps of an autoencoder a site, {COST}",
    quick=QUICK,
)
def binary_mask_autoencoder(
    problem: ConceptProblem,
    *,
    steps: int = 100,
    sites: int = 1,
    sparsity: float = 1.0,
    isolation: float = 1.0,
    learning_rate: float = 0.01,
    expansion: float = 2.0,
    density: float = 0.06,
    max_steps: int = 300,
    budget: float = 1e11,
) -> Subspace:
    """Latents of a sparse autoencoder whose interchange moves the output to the source's, by a learned mask.

    The mask is trained on codes, with the error of reconstruction left in place. An answer is a linear
    subspace, and enough latents of an overcomplete dictionary span everything: so it is the span of the
    decoder's rows of the latents with the largest masks, 1, 2, 4, ... or all that were taken, whichever has
    the lowest loss on pairs kept apart. The autoencoder sees the inputs of the problem alone, where MIB
    takes one that was trained on a corpus.

    Note:
        Its mean skill on the two smallest hosts is 0.10, in no cell surely above 0; its autoencoder sees a
        few hundred inputs there. On vit-slim-200k it scored between 0.37 and 1.00 on five concepts.

    Args:
        problem: the problem.
        steps: most training steps at a site.
        sites: sites at which it trains: where interchanging what a probe reads should matter most.
        sparsity: weight of the share of latents taken.
        isolation: weight of leaving the other logits as they were.
        learning_rate: of Adam, for the mask.
        expansion: latents per dimension of the site.
        density: active latents per latent.
        max_steps: training steps of the autoencoder.
        budget: multiply-adds of the training of masks.
    """
    plan = plan_training(problem, steps, sites, budget)
    results = []
    for aim in aims(problem, plan, promising_sites(problem, plan), isolation):
        latents = fit_latents(problem, aim.site, expansion=expansion, density=density, max_steps=max_steps)
        results.append(_train(aim, latents, sparsity, learning_rate))
    return best_of(results)


def moved_at(position: int | None, latents: Latents, base: Tensor, source: Tensor, mask: Tensor) -> Tensor:
    """Return ``base`` (n, position, width) with latents moved at one position, or at all where it is None."""
    where = slice(None) if position is None else slice(position, position + 1 or None)
    changed = base.clone()
    changed[:, where] = latents.moved(base[:, where], source[:, where], mask)
    return changed


def _train(aim: Aim, latents: Latents, sparsity: float, learning_rate: float) -> Result:
    decoder = latents.decoder
    logits = torch.zeros(len(decoder), device=decoder.device, requires_grad=True)

    def mask(progress: float) -> Tensor:
        return (logits / annealed(progress, 1.0, 0.01)).sigmoid()

    def changing(progress: float) -> Change:
        return lambda base, source: moved_at(aim.problem.position, latents, base, source, mask(progress))

    train_interchange(
        aim,
        [{"params": [logits], "lr": learning_rate}],
        changing,
        lambda progress: sparsity * mask(progress).mean(),
    )
    taken = chosen(logits.detach())
    order = taken[logits.detach()[taken].argsort(descending=True)]
    sizes = {min(2**i, len(order)) for i in range(len(order).bit_length() + 1)}
    spans = [orthonormal(decoder[order[:size]]).to(decoder.device) for size in sorted(sizes)]
    return min((judged(aim, span) for span in spans), key=lambda result: result[0])
