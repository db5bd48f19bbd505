"""The transcoder: what an MLP puts out, predicted sparsely from what it reads."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from interp_bench.errors import Inapplicable
from interp_bench.model.transformer import TransformerAnatomy
from interp_bench.techniques.features.autoencoder import (
    Coder,
    Moment,
    Training,
    n_latents,
    normalise,
    reconstruction_error,
    standardised,
    train,
)
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.features import Dictionary, FeatureProblem


@dataclass(frozen=True, kw_only=True, eq=False)
class Transcoder(Coder):
    """``z = relu(W x + c)``, ``y' = z D + b``, loss ``|y - y'|^2 + penalty * |z|_1``.

    Dunefsky et al. 2024, section 3. A sample is the input ``x`` and the output ``y`` of the MLP in
    one row.

    Attributes:
        encoder: (n_latents, d_in).
        encoder_bias: (n_latents,).
        decoder: (n_latents, d_out), rows of unit norm.
        decoder_bias: (d_out,).
        penalty: per unit of code.
    """

    encoder: Tensor
    encoder_bias: Tensor
    decoder: Tensor
    decoder_bias: Tensor
    penalty: float

    @property
    def tensors(self) -> list[Tensor]:
        """All tensors."""
        return [self.encoder, self.encoder_bias, self.decoder, self.decoder_bias]

    @property
    def directions(self) -> Tensor:
        """The rows of the decoder."""
        return self.decoder

    def codes(self, x: Tensor) -> Tensor:
        """Return codes (batch, n_latents) of inputs, the first columns of ``x``."""
        inputs = x[:, : self.encoder.shape[1]]
        return functional.linear(inputs, self.encoder, self.encoder_bias).relu()

    def loss(self, x: Tensor, moment: Moment) -> Tensor:
        """Return the error in the MLP's output plus the penalty times the L1 norm of codes."""
        codes, outputs = self.codes(x), x[:, self.encoder.shape[1] :]
        predicted = torch.addmm(self.decoder_bias, codes, self.decoder)
        return reconstruction_error(outputs, predicted) + self.penalty * codes.sum(dim=1).mean()

    def settle(self) -> None:
        """Scale the decoder's rows to unit norm, in place."""
        normalise(self.decoder)


def read_and_written(problem: FeatureProblem) -> tuple[Tensor, Tensor]:
    """Return what the MLP before the site reads, normalised, and puts out, each (n_samples, d_model).

    Raises:
        Inapplicable: the site is not the stream behind a block with an MLP.
    """
    model = problem.model
    match = re.fullmatch(r"blocks\.(\d+)\.hook_resid_post", problem.site)
    if match is None or not isinstance(model.anatomy, TransformerAnatomy):
        raise Inapplicable(f"{problem.site} is not the stream behind an MLP that reads the stream")
    layer = int(match[1])
    before = "pre" if model.transformer.parallel else "mid"
    stream = model.activations(problem.inputs, f"blocks.{layer}.hook_resid_{before}")
    written = model.activations(problem.inputs, f"blocks.{layer}.hook_mlp_out").flatten(0, 1)
    with torch.no_grad():
        read: Tensor = model.transformer.norm(layer, 2)(stream).flatten(0, 1)
    return read[problem.rows].float(), written[problem.rows].float()


@technique(
    cites="Dunefsky, Chlenski and Nanda 2024, Transcoders find interpretable LLM feature circuits, section 3",
    access="forward",
    cost="2 passes over the inputs, then up to 1600 training steps",
    quick=Needs(modalities=("lm",), max_params=100_000),
)
def transcoder(
    problem: FeatureProblem,
    *,
    sparsity: float = 0.3,
    expansion: float = 2.0,
    budget: float = 7e10,
    max_steps: int = 1600,
) -> Dictionary:
    """Sparse prediction of an MLP's output from its input; the directions that it writes are the features.

    It looks at the MLP of the block behind which the site is, in transformers only. Features that lower
    blocks write, where there are more of them than one block holds, are out of its sight.

    Args:
        problem: the problem.
        sparsity: penalty per unit of code, times the square root of the width.
        expansion: latents per planted feature.
        budget: multiply-adds that training may take; twice that of autoencoders, whose encoders can start
            at what they look for.
        max_steps: most training steps.
    """
    read, written = (standardised(side) for side in read_and_written(problem))
    training = Training(expansion=expansion, budget=budget, max_steps=max_steps)
    generator = problem.generator()
    n = n_latents(problem, training)
    chosen = torch.randint(len(read), (n,), generator=generator).to(read.device)
    coder = Transcoder(
        encoder=functional.normalize(read[chosen], dim=1),
        encoder_bias=torch.zeros(n, device=read.device),
        decoder=functional.normalize(written[chosen], dim=1),
        decoder_bias=torch.zeros_like(written[0]),
        penalty=sparsity * problem.d_site**0.5,
    )
    train(coder, torch.cat([read, written], dim=1), training, generator)
    with torch.no_grad():
        return Dictionary(directions=coder.directions, codes=coder.codes(read))
