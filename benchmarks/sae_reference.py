"""What sae-lens makes of small autoencoders: writes the values that tests compare with.

Run with the Python of an environment that has sae-lens, which cannot share one with this package:
``python -m venv E; E/bin/pip install sae-lens; E/bin/python benchmarks/sae_reference.py OUT.json``. The
file is ``tests/techniques/data/sae_lens.json``. Weights and samples are drawn here and written out, so that
a test needs neither sae-lens nor the same random numbers.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
from typing import Any

import torch
from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
from sae_lens.saes.gated_sae import GatedTrainingSAE, GatedTrainingSAEConfig
from sae_lens.saes.jumprelu_sae import JumpReLUTrainingSAE, JumpReLUTrainingSAEConfig
from sae_lens.saes.matching_pursuit_sae import MatchingPursuitTrainingSAE, MatchingPursuitTrainingSAEConfig
from sae_lens.saes.matryoshka_batchtopk_sae import (
    MatryoshkaBatchTopKTrainingSAE,
    MatryoshkaBatchTopKTrainingSAEConfig,
)
from sae_lens.saes.sae import TrainStepInput
from sae_lens.saes.standard_sae import StandardTrainingSAE, StandardTrainingSAEConfig
from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig

D, LATENTS, BATCH, K, SEED = 4, 6, 5, 2, 0
DEAD, NESTED = [1, 4], [2, 4, 6]
PENALTY, BANDWIDTH, AUXILIARY, THRESHOLD_RATE = 0.3, 0.7, 1 / 32, 0.01
SIZES: dict[str, Any] = {"d_in": D, "d_sae": LATENTS, "device": "cpu", "dtype": "float32"}


def main() -> None:
    """Draw weights and samples, run every architecture, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out")
    options = parser.parse_args()
    values = drawn()
    made = {
        "versions": {
            "sae-lens": importlib.metadata.version("sae-lens"),
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "made_by": "benchmarks/sae_reference.py",
        "seed": SEED,
        "settings": {"penalty": PENALTY, "bandwidth": BANDWIDTH, "dead": DEAD, "k": K, "nested": NESTED},
        "values": {name: value.tolist() for name, value in values.items()},
        "architectures": {name: run(name, values) for name in ARCHITECTURES},
    }
    with open(options.out, "w", encoding="utf-8") as stream:
        parts = (f"{json.dumps(name)}: {json.dumps(part)}" for name, part in made.items())
        stream.write("{\n" + ",\n".join(parts) + "\n}\n")


def drawn() -> dict[str, torch.Tensor]:
    """Return samples and weights; rows of the decoder have unit norm."""
    generator = torch.Generator().manual_seed(SEED)

    def normal(*shape: int, scale: float = 1.0) -> torch.Tensor:
        return scale * torch.randn(*shape, generator=generator)

    return {
        "x": normal(BATCH, D, scale=1.5),
        "encoder": normal(LATENTS, D, scale=0.7),
        "encoder_bias": normal(LATENTS, scale=0.2),
        "decoder": torch.nn.functional.normalize(normal(LATENTS, D), dim=1),
        "decoder_bias": normal(D, scale=0.3),
        "threshold": 0.2 + torch.rand(LATENTS, generator=generator),
        "log_scale": normal(LATENTS, scale=0.3),
        "magnitude_bias": normal(LATENTS, scale=0.2),
    }


ARCHITECTURES: dict[str, Any] = {
    "l1": lambda: StandardTrainingSAE(StandardTrainingSAEConfig(**SIZES, l1_coefficient=PENALTY)),
    "topk": lambda: TopKTrainingSAE(
        TopKTrainingSAEConfig(
            **SIZES, k=K, aux_loss_coefficient=AUXILIARY, rescale_acts_by_decoder_norm=False
        )
    ),
    "batch_topk": lambda: BatchTopKTrainingSAE(
        BatchTopKTrainingSAEConfig(
            **SIZES,
            k=K,
            aux_loss_coefficient=AUXILIARY,
            rescale_acts_by_decoder_norm=False,
            topk_threshold_lr=THRESHOLD_RATE,
        )
    ),
    "matryoshka": lambda: MatryoshkaBatchTopKTrainingSAE(
        MatryoshkaBatchTopKTrainingSAEConfig(
            **SIZES,
            k=K,
            aux_loss_coefficient=AUXILIARY,
            rescale_acts_by_decoder_norm=False,
            matryoshka_widths=NESTED,
            use_matryoshka_aux_loss=False,
        )
    ),
    "jumprelu": lambda: JumpReLUTrainingSAE(
        JumpReLUTrainingSAEConfig(**SIZES, l0_coefficient=PENALTY, jumprelu_bandwidth=BANDWIDTH)
    ),
    "gated": lambda: GatedTrainingSAE(GatedTrainingSAEConfig(**SIZES, l1_coefficient=PENALTY)),
    "matching_pursuit": lambda: MatchingPursuitTrainingSAE(
        MatchingPursuitTrainingSAEConfig(
            **SIZES,
            decoder_init_norm=1.0,
            max_iterations=K,
            residual_threshold=0.0,
            stop_on_duplicate_support=False,
        )
    ),
}


def names(sae: Any) -> dict[str, str]:
    """Return, for each of our tensors, the name of theirs, as far as the architecture has it."""
    known = {
        "encoder": "W_enc",
        "encoder_bias": "b_gate" if hasattr(sae, "b_gate") else "b_enc",
        "decoder": "W_dec",
        "decoder_bias": "b_dec",
        "threshold": "threshold",
        "log_scale": "r_mag",
        "magnitude_bias": "b_mag",
    }
    return {ours: theirs for ours, theirs in known.items() if theirs in dict(sae.named_parameters())}


def run(name: str, values: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Return codes, losses and gradients of one architecture on the samples."""
    sae = ARCHITECTURES[name]()
    sae.cfg.apply_b_dec_to_input = True
    with torch.no_grad():
        for ours, theirs in names(sae).items():
            value = values[ours].T if ours == "encoder" else values[ours]
            getattr(sae, theirs).copy_(value)
    dead = torch.zeros(LATENTS, dtype=torch.bool)
    dead[DEAD] = True
    step = TrainStepInput(
        sae_in=values["x"],
        coefficients={"l1": PENALTY, "l0": PENALTY},
        dead_neuron_mask=dead if "topk" in name or name == "matryoshka" else None,
        n_training_steps=0,
        is_logging_step=False,
    )
    output = sae.training_forward_pass(step)
    output.loss.backward()
    gradients = {ours: getattr(sae, theirs).grad for ours, theirs in names(sae).items()}
    if "encoder" in gradients:
        gradients["encoder"] = gradients["encoder"].T
    found = {
        "codes": output.feature_acts.tolist(),
        "loss": float(output.loss),
        "losses": {key: float(value) for key, value in output.losses.items()},
        "gradients": {key: value.tolist() for key, value in gradients.items()},
    }
    if hasattr(sae, "topk_threshold"):  # a running mean from 0, after one step
        found["threshold"] = float(sae.topk_threshold) / THRESHOLD_RATE
    return found


if __name__ == "__main__":
    main()
