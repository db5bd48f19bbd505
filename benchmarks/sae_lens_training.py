"""The side of sae-lens in ``benchmarks/sae.py``: trains as it is told, and says how long that took.

Run by that script with the Python of an environment that has sae-lens. Each line of standard input is one
job in JSON, each line of standard output its processor seconds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any

import torch
from sae_lens.config import LoggingConfig, SAETrainerConfig
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
from sae_lens.training.sae_trainer import SAETrainer


def made(job: dict[str, Any]) -> Any:
    """Return the autoencoder of a job, with the defaults of sae-lens but for what the job says."""
    size = {"d_in": job["d"], "d_sae": job["latents"], "device": "cpu"}
    k = job["k"]
    match job["architecture"]:
        case "l1":
            return StandardTrainingSAE(StandardTrainingSAEConfig(**size, l1_coefficient=job["penalty"]))
        case "topk":
            return TopKTrainingSAE(TopKTrainingSAEConfig(**size, k=k))
        case "batch_topk":
            return BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(**size, k=k))
        case "matryoshka":
            config = MatryoshkaBatchTopKTrainingSAEConfig(**size, k=k, matryoshka_widths=job["nested"])
            return MatryoshkaBatchTopKTrainingSAE(config)
        case "jumprelu":
            jump = JumpReLUTrainingSAEConfig(
                **size, l0_coefficient=job["penalty"], jumprelu_bandwidth=job["bandwidth"]
            )
            return JumpReLUTrainingSAE(jump)
        case "gated":
            return GatedTrainingSAE(GatedTrainingSAEConfig(**size, l1_coefficient=job["penalty"]))
        case _:
            pursuit = MatchingPursuitTrainingSAEConfig(
                **size,
                decoder_init_norm=1.0,
                max_iterations=k,
                residual_threshold=0.0,
                stop_on_duplicate_support=False,
            )
            return MatchingPursuitTrainingSAE(pursuit)


def batches(job: dict[str, Any]) -> Iterator[torch.Tensor]:
    """Yield random batches of the same samples without end."""
    x = torch.randn(job["samples"], job["d"], generator=torch.Generator().manual_seed(0))
    while True:
        yield x[torch.randint(len(x), (job["batch"],))]


def with_trainer(job: dict[str, Any]) -> float:
    """Train with its trainer, without a log, and return processor seconds."""
    config = SAETrainerConfig(
        total_training_samples=job["steps"] * job["batch"],
        train_batch_size_samples=job["batch"],
        lr=1e-2,
        lr_end=1e-3,
        adam_beta2=0.99,
        logger=LoggingConfig(log_to_wandb=False),
    )
    trainer: Any = SAETrainer(cfg=config, sae=made(job), data_provider=batches(job))
    begun = time.process_time()
    trainer.fit()
    return time.process_time() - begun


def without_trainer(job: dict[str, Any]) -> float:
    """Train with nothing but its forward pass, a backward pass and Adam, and return processor seconds."""
    sae, data = made(job), batches(job)
    optimizer = torch.optim.Adam(sae.parameters(), lr=1e-2, betas=(0.9, 0.99))
    begun = time.process_time()
    for step in range(job["steps"]):
        given = TrainStepInput(
            sae_in=next(data),
            coefficients={"l1": job["penalty"], "l0": job["penalty"]},
            dead_neuron_mask=None,
            n_training_steps=step,
            is_logging_step=False,
        )
        sae.training_forward_pass(given).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return time.process_time() - begun


def main() -> None:
    """Do jobs until the input ends."""
    for line in sys.stdin:
        job = json.loads(line)
        torch.set_num_threads(job["threads"])
        with redirect_stdout(sys.stderr):
            seconds = with_trainer(job) if job["trainer"] else without_trainer(job)
        print(seconds, flush=True)


if __name__ == "__main__":
    main()
