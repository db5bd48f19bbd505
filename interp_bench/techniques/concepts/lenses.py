"""Lenses: what a site would say if it went straight to the norm and the head of the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from interp_bench.errors import Inapplicable
from interp_bench.techniques.concepts.site_choice import earliest
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.concepts import ConceptProblem, Subspace, orthonormal, read_logits, run_from

Lens = Callable[[Tensor], Tensor]
"""(n, width) activations at a site -> float32 (n, n_outputs) logits; differentiable."""

_BATCH = 64


class Unembedding:
    """Norm and head of a network, run on activations (n, width) of its last site.

    The activations stand at the position of the problem, or all over the map of a CNN.

    Attributes:
        width: width of the last site.
    """

    def __init__(self, problem: ConceptProblem) -> None:
        model = problem.model
        self._model = model
        self._site = model.sites[-1]
        self._example = problem.inputs[:1, -1:] if model.modality == "lm" else problem.inputs[:1]
        shape = model.activations(self._example, self._site).shape
        self._positions, self.width = shape[1], shape[2]

    def __call__(self, values: Tensor) -> Tensor:
        """Return float32 (n, n_outputs) logits; differentiable."""
        model = self._model
        given = values.to(model.device, model.dtype)[:, None].expand(-1, self._positions, -1)
        if model.modality == "lm":
            with model.starting_at(model.n_layers, given):
                return model(self._example.expand(len(given), -1))[:, -1].float()
        return run_from(model, self._example, self._site, given).float()


def final_logits(problem: ConceptProblem) -> Tensor:
    """Return the float32 (n_inputs, n_outputs) logits of the network, of the last position of an LM."""
    parts = (problem.model.logits(part) for part in problem.inputs.split(_BATCH))
    return torch.cat([(part[:, -1] if part.ndim == 3 else part).float() for part in parts])


def _whole(lens: Lens, values: Tensor) -> Tensor:
    """Return the logits of many activations, in batches and without gradient."""
    with torch.no_grad():
        return torch.cat([lens(part) for part in values.split(_BATCH)])


def _accuracy(problem: ConceptProblem, lens: Lens, site: str) -> float:
    """Return how often the lens shows the label as the largest of the logits of the values."""
    seen = read_logits(_whole(lens, problem.features(site)), problem.outputs).argmax(1)
    return float((seen.cpu() == problem.labels.cpu()).double().mean())


def lens_directions(problem: ConceptProblem, lens: Lens, site: str) -> Tensor:
    """Return (n_values - 1, width) orthonormal rows that a lens reads the logits of the values from.

    They span the gradients of the centred logits, averaged over inputs: rows of the head through the norm.
    """
    total = torch.zeros(problem.n_values, problem.model.width(site))
    for part in problem.features(site).split(_BATCH):
        with torch.enable_grad():
            leaf = part.clone().requires_grad_()
            logits = read_logits(lens(leaf), problem.outputs)
            centred = (logits - logits.mean(1, keepdim=True)).sum(0)
            slopes = [torch.autograd.grad(value, leaf, retain_graph=True)[0].sum(0) for value in centred]
        total += torch.stack(slopes).cpu()
    return orthonormal(total, problem.n_values - 1)


@technique(
    cites="nostalgebraist 2020, Interpreting GPT: the logit lens",
    access="gradients",
    cost="norm and head on each site, and n_values backwards through them",
)
def logit_lens(problem: ConceptProblem) -> Subspace:
    """Directions of the head's own rows, at the site from which norm and head alone read the labels best.

    It finds only what is written in the directions of the head already. Our tasks ask before that, at sites
    from which the logits do not follow yet, so it should stay near the floor; where a residual network
    carries a variable in the directions that its head reads, as in the last stage of a ResNet, it does not.

    Note:
        At the floor by construction of the tasks, which ask before the head can read the variable; on the
        last stage of a ResNet, which no task of the quick tier asks about, it is not.

    Raises:
        Inapplicable: no site is as wide as what the head reads.
    """
    lens = Unembedding(problem)
    sites = [site for site in problem.sites if problem.model.width(site) == lens.width]
    if not sites:
        raise Inapplicable(f"no site is {lens.width} wide, as what the head reads is")
    site = earliest(sites, [_accuracy(problem, lens, site) for site in sites])
    return Subspace(site=site, basis=lens_directions(problem, lens, site))


class Translator:
    """The affine map ``h -> h + h A + b`` of a tuned lens; it starts as the identity.

    Where a site is narrower or wider than what the head reads, the identity is cut or filled with zeros.

    Attributes:
        change: (d_site, d_head) ``A``.
        bias: (d_head,) ``b``.
    """

    def __init__(self, d_site: int, d_head: int, device: torch.device) -> None:
        self.change = torch.zeros(d_site, d_head, device=device)
        self.bias = torch.zeros(d_head, device=device)
        self._straight = torch.eye(d_site, d_head, device=device)

    def __call__(self, values: Tensor) -> Tensor:
        """Return (n, d_head) of (n, d_site)."""
        return values @ (self._straight + self.change) + self.bias


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How a translator is fitted.

    Attributes:
        steps: steps of Adam on batches of 64.
        rate: learning rate, which falls linearly to zero.
        decay: weight decay towards the identity.
    """

    steps: int
    rate: float
    decay: float


def tune(
    problem: ConceptProblem, site: str, unembed: Unembedding, final: Tensor, tuning: Tuning
) -> Translator:
    """Return a translator fitted so that the lens shows the final logits: Belrose et al. 2023, equation 6.

    The loss is the KL divergence of the lens from the network's own distribution.

    Args:
        problem: the problem.
        site: the site.
        unembed: norm and head.
        final: (n_inputs, n_outputs) logits of the network.
        tuning: how long, and how fast.
    """
    x = problem.features(site).to(problem.model.device)
    translator = Translator(x.shape[1], unembed.width, x.device)
    leaves = [translator.change.requires_grad_(), translator.bias.requires_grad_()]
    optimiser = torch.optim.AdamW(leaves, lr=tuning.rate, weight_decay=tuning.decay)
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 1e-3, tuning.steps)
    known, generator = final.log_softmax(1), problem.generator()
    with torch.enable_grad():
        for _ in range(tuning.steps):
            drawn = torch.randint(len(x), (_BATCH,), generator=generator)
            shown = unembed(translator(x[drawn])).log_softmax(1)
            loss = functional.kl_div(shown, known[drawn], reduction="batchmean", log_target=True)
            for leaf, gradient in zip(leaves, torch.autograd.grad(loss, leaves), strict=True):
                leaf.grad = gradient
            optimiser.step()
            falling.step()
    for leaf in leaves:
        leaf.requires_grad_(False).grad = None
    return translator


@technique(
    cites="Belrose et al. 2023, Eliciting latent predictions from transformers with the tuned lens, "
    "section 2",
    access="gradients",
    cost="250 forwards and backwards through norm and head per site",
    quick=Needs(max_params=50_000),
)
def tuned_lens(
    problem: ConceptProblem,
    *,
    steps: int = 250,
    learning_rate: float = 0.1,
    weight_decay: float = 1e-3,
    budget: float = 1e11,
) -> Subspace:
    """Directions that an affine translation of each site to the head reads, where it shows the labels best.

    The translator is trained at the position of the problem, on its inputs, without labels. The paper's
    optimiser is SGD at a rate of 1 for models of unit scale; Adam fits any scale.

    Args:
        problem: the problem.
        steps: most training steps at a site; 250 in the paper.
        learning_rate: of Adam, times the square root of the width.
        weight_decay: towards the identity; 1e-3 in the paper.
        budget: multiply-adds of training; larger models get fewer steps.
    """
    model, unembed = problem.model, Unembedding(problem)
    work = 6 * _BATCH * unembed.width * (model.n_outputs + unembed.width) * len(problem.sites)
    tuning = Tuning(
        steps=max(8, min(steps, int(budget / work))),
        rate=learning_rate / unembed.width**0.5,
        decay=weight_decay,
    )
    final = final_logits(problem)
    lenses = {site: _tuned(problem, site, unembed, final, tuning) for site in problem.sites}
    site = earliest(problem.sites, [_accuracy(problem, lenses[site], site) for site in problem.sites])
    return Subspace(site=site, basis=lens_directions(problem, lenses[site], site))


def _tuned(problem: ConceptProblem, site: str, unembed: Unembedding, final: Tensor, tuning: Tuning) -> Lens:
    translator = tune(problem, site, unembed, final, tuning)
    return lambda values: unembed(translator(values.to(final.device)))
