"""What sparse autoencoders share: linear parameters, their start, and the loop that trains them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TypedDict

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from interp_bench.tracks.features import Dictionary, FeatureProblem

_LEAST_STEPS = 100


@dataclass(slots=True, kw_only=True)
class Moment:
    """Where training stands.

    Attributes:
        progress: share of the steps that are done, from 0 to 1.
        idle: (n_latents,) steps since each latent was last noted to fire.
        patience: steps without firing after which a latent is dead.
    """

    progress: float
    idle: Tensor
    patience: int

    def note(self, codes: Tensor) -> None:
        """Note which latents fire in a batch of codes (batch, n_latents)."""
        self.idle.add_(1).masked_fill_(codes.detach().amax(dim=0) > 0, 0)

    @property
    def dead(self) -> Tensor:
        """(n_latents,) bool."""
        return self.idle > self.patience


class Coder(ABC):
    """Something that turns samples into sparse codes, and is trained by gradients."""

    @property
    @abstractmethod
    def tensors(self) -> list[Tensor]:
        """What is trained."""

    @property
    @abstractmethod
    def directions(self) -> Tensor:
        """(n_latents, d) the features."""

    @abstractmethod
    def loss(self, x: Tensor, moment: Moment) -> Tensor:
        """Return the training loss of a batch (batch, d), a scalar."""

    @abstractmethod
    def codes(self, x: Tensor) -> Tensor:
        """Return the codes (n_samples, n_latents) of all samples, after training."""

    @abstractmethod
    def settle(self) -> None:
        """Put the parameters back where they may be, after a step."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Autoencoder(Coder):
    """Linear parameters of ``x -> code -> x``; rows of the decoder are features.

    Attributes:
        encoder: (n_latents, d).
        encoder_bias: (n_latents,).
        decoder: (n_latents, d), rows of unit norm.
        decoder_bias: (d,), also subtracted before encoding.
    """

    encoder: Tensor
    encoder_bias: Tensor
    decoder: Tensor
    decoder_bias: Tensor

    @property
    def tensors(self) -> list[Tensor]:
        """All fields that are tensors."""
        values = [getattr(self, field.name) for field in fields(self)]
        return [value for value in values if isinstance(value, Tensor)]

    @property
    def directions(self) -> Tensor:
        """The rows of the decoder."""
        return self.decoder

    def pre_codes(self, x: Tensor) -> Tensor:
        """Return ``W (x - b) + c`` (batch, n_latents), before the activation function."""
        # as W x + (c - W b): a product less in the backward pass
        return F.linear(x, self.encoder, self.encoder_bias - self.encoder @ self.decoder_bias)

    def decode(self, codes: Tensor) -> Tensor:
        """Return (batch, d)."""
        return torch.addmm(self.decoder_bias, codes, self.decoder)

    def settle(self) -> None:
        """Scale the decoder's rows to unit norm, in place."""
        normalise(self.decoder)


class Start(TypedDict):
    """Initial tensors of an Autoencoder."""

    encoder: Tensor
    encoder_bias: Tensor
    decoder: Tensor
    decoder_bias: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How an autoencoder is trained.

    Attributes:
        expansion: latents per planted feature, at most what an answer may hold.
        budget: multiply-adds for training; the number of steps follows from it and the sizes.
        max_steps: most steps, where the budget allows more.
        batch: samples a step.
        lr: peak learning rate of Adam; it falls linearly to zero over the last third.
        patience: share of the steps without firing after which a latent is dead.
    """

    expansion: float
    budget: float
    max_steps: int
    batch: int = 128
    lr: float = 1e-2
    patience: float = 0.1


def steps_within(training: Training, n_latents: int, d: int) -> int:
    """Return how many steps the budget pays for; a step costs six products of batch, latents and width."""
    affordable = int(training.budget / (6 * training.batch * n_latents * d))
    return max(_LEAST_STEPS, min(training.max_steps, affordable))


def normalise(rows: Tensor) -> None:
    """Scale rows (n, d) to unit norm, in place."""
    rows.div_(rows.norm(dim=1, keepdim=True).clamp_(min=1e-12))


def n_latents(problem: FeatureProblem, training: Training) -> int:
    """Return how many latents an autoencoder of the problem has."""
    return max(1, min(round(training.expansion * problem.n_features), problem.max_directions))


def standardised(x: Tensor) -> Tensor:
    """Return samples (n, d) centred and scaled to a mean squared norm of d (Gao et al. 2024, appendix A)."""
    x = x - x.mean(0)
    scaled: Tensor = x / x.square().mean().sqrt().clamp(min=1e-12)
    return scaled


def initial(x: Tensor, n: int, generator: Generator) -> Start:
    """Start each latent at a random sample: sparse features show in single samples, noise averages out."""
    chosen = torch.randint(len(x), (n,), generator=generator).to(x.device)
    jitter = 0.1 * x.std() * torch.randn(n, x.shape[1], generator=generator).to(x.device)
    decoder = F.normalize(x[chosen] + jitter, dim=1)
    return Start(
        encoder=decoder.clone(),
        encoder_bias=torch.zeros(n, device=x.device),
        decoder=decoder,
        decoder_bias=torch.zeros_like(x[0]),
    )


def fit(problem: FeatureProblem, make: Callable[[Start], Coder], training: Training) -> Dictionary:
    """Train an autoencoder on the standardised activations and return its directions and codes.

    Args:
        problem: the problem.
        make: makes the autoencoder from its initial tensors.
        training: how to train.
    """
    x = standardised(problem.activations())
    generator = problem.generator()
    coder = make(initial(x, n_latents(problem, training), generator))
    train(coder, x, training, generator)
    with torch.no_grad():
        return Dictionary(directions=coder.directions, codes=coder.codes(x))


def train(coder: Coder, x: Tensor, training: Training, generator: Generator) -> None:
    """Fit the parameters in place to samples (n, d)."""
    tensors, shape = coder.tensors, coder.directions.shape
    steps = steps_within(training, *shape)
    moment = Moment(
        progress=0.0, idle=torch.zeros(shape[0], device=x.device), patience=round(training.patience * steps)
    )
    optimizer = torch.optim.Adam(tensors, lr=training.lr, betas=(0.9, 0.99), fused=True)
    for tensor in tensors:
        tensor.requires_grad_()
    for step in range(steps):
        chosen = torch.randint(len(x), (training.batch,), generator=generator)
        batch = x.index_select(0, chosen.to(x.device))
        moment.progress = step / steps
        with torch.enable_grad():
            gradients = torch.autograd.grad(coder.loss(batch, moment), tensors)
        for tensor, gradient in zip(tensors, gradients, strict=True):
            tensor.grad = gradient
        for group in optimizer.param_groups:
            group["lr"] = training.lr * min(1.0, (steps - step) / (steps / 3))
        optimizer.step()
        with torch.no_grad():
            coder.settle()
    for tensor in tensors:
        tensor.requires_grad_(False)
        tensor.grad = None


def reconstruction_error(x: Tensor, reconstruction: Tensor) -> Tensor:
    """Return the squared error, summed over dimensions and averaged over samples."""
    return F.mse_loss(reconstruction, x, reduction="sum") / len(x)
