"""What sparse autoencoders share: parameters, training loop, and the budget of steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from interp_bench.tracks.features import Dictionary, FeatureProblem

_LEAST_STEPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoencoder:
    """Parameters of ``x -> code -> x``; rows of the decoder are features.

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

    def pre_codes(self, x: Tensor) -> Tensor:
        """Return (batch, n_latents) before the activation function."""
        return F.linear(x - self.decoder_bias, self.encoder, self.encoder_bias)

    def decode(self, codes: Tensor) -> Tensor:
        """Return (batch, d)."""
        return codes @ self.decoder + self.decoder_bias

    @property
    def tensors(self) -> list[Tensor]:
        """All parameters."""
        return [self.encoder, self.encoder_bias, self.decoder, self.decoder_bias]


Encode = Callable[[Autoencoder, Tensor], Tensor]
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How an autoencoder is trained.

    Attributes:
        expansion: latents per planted feature, at most what an answer may hold.
        budget: multiply-adds for training; the number of steps follows from it and the sizes.
        max_steps: most steps, where the budget allows more.
        batch: samples a step.
        lr: peak learning rate of Adam; it falls linearly to zero over the last third.
    """

    expansion: float
    budget: float
    max_steps: int
    batch: int = 128
    lr: float = 1e-2


def steps_within(training: Training, n_latents: int, d: int) -> int:
    """Return how many steps the budget pays for; a step costs six products of batch, latents and width."""
    affordable = int(training.budget / (6 * training.batch * n_latents * d))
    return max(_LEAST_STEPS, min(training.max_steps, affordable))


def initial(x: Tensor, n_latents: int, generator: Generator) -> Autoencoder:
    """Start each latent at a random sample: sparse features show in single samples, noise averages out."""
    chosen = torch.randint(len(x), (n_latents,), generator=generator).to(x.device)
    jitter = 0.1 * x.std() * torch.randn(n_latents, x.shape[1], generator=generator).to(x.device)
    decoder = F.normalize(x[chosen] + jitter, dim=1)
    zeros = torch.zeros(n_latents, device=x.device)
    return Autoencoder(
        encoder=decoder.clone(), encoder_bias=zeros, decoder=decoder, decoder_bias=torch.zeros_like(x[0])
    )


def fit(problem: FeatureProblem, encode: Encode, loss: Loss, training: Training) -> Dictionary:
    """Train an autoencoder on the activations and return its decoder and codes.

    Samples are centred and scaled to a mean squared norm of the width (Gao et al. 2024, appendix A).

    Args:
        problem: the problem.
        encode: codes of a batch.
        loss: of (samples, codes, reconstruction), a scalar.
        training: how to train.
    """
    x = problem.activations()
    x = x - x.mean(0)
    x = x / x.square().mean().sqrt().clamp(min=1e-12)
    generator = problem.generator()
    n = max(1, min(round(training.expansion * problem.n_features), problem.max_directions))
    model = initial(x, n, generator)
    with torch.enable_grad():
        train(model, x, encode, loss, training, generator)
    with torch.no_grad():
        return Dictionary(directions=model.decoder, codes=encode(model, x))


def train(
    model: Autoencoder, x: Tensor, encode: Encode, loss: Loss, training: Training, generator: Generator
) -> None:
    """Fit the parameters in place; gradient mode must be on."""
    steps = steps_within(training, *model.decoder.shape)
    for tensor in model.tensors:
        tensor.requires_grad_()
    optimizer = torch.optim.Adam(model.tensors, lr=training.lr, betas=(0.9, 0.99), fused=True)
    for step in range(steps):
        batch = x[torch.randint(len(x), (training.batch,), generator=generator).to(x.device)]
        codes = encode(model, batch)
        value = loss(batch, codes, model.decode(codes))
        gradients = torch.autograd.grad(value, model.tensors)
        for tensor, gradient in zip(model.tensors, gradients, strict=True):
            tensor.grad = gradient
        for group in optimizer.param_groups:
            group["lr"] = training.lr * min(1.0, (steps - step) / (steps / 3))
        optimizer.step()
        with torch.no_grad():
            model.decoder.copy_(F.normalize(model.decoder, dim=1))
    for tensor in model.tensors:
        tensor.requires_grad_(False)
        tensor.grad = None


def reconstruction_error(x: Tensor, reconstruction: Tensor) -> Tensor:
    """Return the squared error, summed over dimensions and averaged over samples."""
    return (x - reconstruction).square().sum(dim=1).mean()
