"""Which autoencoder finds the features of SynthSAEBench best, on a generator scaled down."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import torch
from orderings import Ordering, Reproduction, Section
from torch import Generator, Tensor

from interp_bench.planting.dictionaries.directions import random_directions
from interp_bench.planting.dictionaries.statistics import FeatureStatistics, Parameters
from interp_bench.techniques.features.autoencoder import Coder, Start, Training, initial, standardised, train
from interp_bench.techniques.features.batch_topk_autoencoder import BatchTopKAutoencoder
from interp_bench.techniques.features.jumprelu_autoencoder import JumpReLUAutoencoder
from interp_bench.techniques.features.l1_autoencoder import L1Autoencoder
from interp_bench.techniques.features.matching_pursuit_autoencoder import MatchingPursuitAutoencoder
from interp_bench.techniques.features.matryoshka_autoencoder import MatryoshkaAutoencoder, prefixes
from interp_bench.tracks.features import cosines, firing_f1, match

PARAMETERS = Parameters(n_features=1024, width=96, roots=8)
LATENTS, K, SAMPLES, HELD_OUT = 256, 5, 60_000, 8_000
TRAINING = Training(expansion=1, budget=1e18, max_steps=1500, batch=256, lr=3e-3)
CALIBRATION_SEED = 10_000
TRIALS = 3

Maker = Callable[[Start], Coder]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Samples whose features are known.

    Attributes:
        x: (SAMPLES, width) to train on, standardised.
        held_out: (HELD_OUT, width), on the same scale.
        codes: (HELD_OUT, n_features) of the held-out samples.
        directions: (n_features, width).
    """

    x: Tensor
    held_out: Tensor
    codes: Tensor
    directions: Tensor


def world(seed: int) -> World:
    """Draw features and samples."""
    generator = Generator().manual_seed(seed)
    directions = random_directions(PARAMETERS.n_features, PARAMETERS.width, generator, steps=100)
    statistics = FeatureStatistics(PARAMETERS, directions, generator)
    parts = list(statistics.codes(SAMPLES + HELD_OUT, generator))
    x = standardised(torch.cat([statistics.activations(part) for part in parts]))
    codes = torch.cat([part[-HELD_OUT:] for part in parts])[-HELD_OUT:]
    return World(x=x[:SAMPLES], held_out=x[SAMPLES:], codes=codes, directions=directions)


def trained(make: Maker, given: World, seed: int) -> Coder:
    """Train an autoencoder."""
    generator = Generator().manual_seed(seed)
    coder = make(initial(given.x, LATENTS, generator))
    train(coder, given.x, TRAINING, generator)
    return coder


def scores(coder: Coder, given: World) -> dict[str, float]:
    """Return the metrics of SynthSAEBench (decoderesearch/SAELens, synthetic evals) on held-out samples.

    MCC is the mean absolute cosine over the Hungarian matching. F1 compares a latent's firing with that of
    its nearest feature, and is a mean over latents; uniqueness counts distinct nearest features per
    latent. R2 is that of the autoencoder's own reconstruction.
    """
    with torch.no_grad():
        codes = coder.codes(given.held_out)
    bias = getattr(coder, "decoder_bias", torch.zeros(given.x.shape[1]))
    error = given.held_out - codes @ coder.directions - bias
    cosine = cosines(coder.directions, given.directions).abs()
    nearest = cosine.argmax(dim=1)
    rows, columns = match(cosine)
    centred = given.held_out - given.held_out.mean(0)
    return {
        "F1": float(firing_f1(codes, given.codes[:, nearest]).mean()),
        "MCC": float(cosine[rows, columns].mean()),
        "R2": 1 - float(error.square().sum() / centred.square().sum()),
        "uniqueness": len(set(nearest.tolist())) / len(nearest),
        "L0": float((codes > 0).sum(dim=1).float().mean()),
    }


def _jumprelu(penalty: float) -> Maker:
    def make(start: Start) -> Coder:
        logs = torch.full_like(start["encoder_bias"], math.log(0.5))
        return JumpReLUAutoencoder(**start, log_threshold=logs, penalty=penalty, bandwidth=0.5)

    return make


def _l1(penalty: float) -> Maker:
    return lambda start: L1Autoencoder(**start, penalty=penalty)


FIXED: dict[str, Maker] = {
    "Matryoshka": lambda start: MatryoshkaAutoencoder(
        **start, k=K, batch=TRAINING.batch, nested=prefixes(LATENTS, 4)
    ),
    "BatchTopK": lambda start: BatchTopKAutoencoder(**start, k=K, batch=TRAINING.batch),
    "MatchingPursuit": lambda start: MatchingPursuitAutoencoder(
        decoder=start["decoder"], decoder_bias=start["decoder_bias"], steps=K
    ),
}
PENALISED: dict[str, Callable[[float], Maker]] = {"JumpReLU": _jumprelu, "L1": _l1}


def calibrated(make: Callable[[float], Maker], given: World) -> float:
    """Return the penalty that gives about K active latents, by the secant rule on logarithms.

    Only the number of active latents is looked at, on a world that is not scored.
    """
    tried: list[tuple[float, float]] = []
    penalty = 2.0
    for _ in range(TRIALS):
        found = scores(trained(make(penalty), given, CALIBRATION_SEED), given)["L0"]
        tried.append((math.log(penalty), math.log(max(found, 1e-3))))
        slope = -1.0
        if len(tried) > 1 and tried[-1][0] != tried[-2][0]:
            slope = (tried[-1][1] - tried[-2][1]) / (tried[-1][0] - tried[-2][0])
            slope = min(-0.2, max(-5.0, slope))
        penalty = math.exp(tried[-1][0] + (math.log(K) - tried[-1][1]) / slope)
    return math.exp(min(tried, key=lambda pair: abs(pair[1] - math.log(K)))[0])


def measure(seeds: int) -> Reproduction:
    """Train every autoencoder on every seed's world."""
    given = world(CALIBRATION_SEED)
    penalties = {name: calibrated(make, given) for name, make in PENALISED.items()}
    makers = FIXED | {name: make(penalties[name]) for name, make in PENALISED.items()}
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for seed in range(seeds):
        given = world(seed)
        for name, make in makers.items():
            for metric, value in scores(trained(make, given, seed), given).items():
                values[metric][name].append(value)
    notes = tuple(
        f"The penalty of {name}, {penalty:.3g}, was chosen on another world for about {K} active latents."
        for name, penalty in penalties.items()
    )
    return Reproduction(values=values, notes=notes)


SECTION = Section(
    name="features",
    title="Autoencoders on features with a Zipf law, trees and correlation",
    source="SynthSAEBench-16k, L0 25 (Chanin and Garriga-Alonso 2026; values of decoderesearch/SAELens)",
    scale="There 16,384 features in 768 dimensions, 4,096 latents and 200 million samples; here 1,024 in 96, "
    f"{LATENTS} latents, {K} active, and {TRAINING.max_steps * TRAINING.batch:,} samples.",
    orderings=(
        Ordering(metric="F1", first="Matryoshka", second="BatchTopK", relation=">", published="0.879, 0.732"),
        Ordering(metric="F1", first="BatchTopK", second="JumpReLU", relation="~", published="0.732, 0.732"),
        Ordering(metric="F1", first="BatchTopK", second="L1", relation=">", published="0.732, 0.556"),
        Ordering(metric="F1", first="JumpReLU", second="L1", relation=">", published="0.732, 0.556"),
        Ordering(metric="F1", first="L1", second="MatchingPursuit", relation=">", published="0.556, 0.446"),
        Ordering(
            metric="MCC", first="Matryoshka", second="BatchTopK", relation=">", published="0.793, 0.757"
        ),
        Ordering(metric="MCC", first="BatchTopK", second="L1", relation=">", published="0.757, 0.604"),
        Ordering(
            metric="R2", first="MatchingPursuit", second="BatchTopK", relation=">", published="0.835, 0.792"
        ),
        Ordering(
            metric="R2", first="MatchingPursuit", second="Matryoshka", relation=">", published="0.835, 0.779"
        ),
        Ordering(metric="R2", first="Matryoshka", second="L1", relation=">", published="0.779, 0.765"),
    ),
    measure=measure,
)
