"""How fast autoencoders train here and in sae-lens: samples a second, side by side in one run.

Run ``python benchmarks/sae.py --sae-lens-python E/bin/python [--write benchmarks/sae.md]``, where ``E`` is
an environment of its own with sae-lens, which does not fit beside this package. Without the option the
command measures nothing, and says so. Architecture, loss, sizes, batch and number of threads are equal;
rounds alternate between the two. The clock is that of the processor, so that other work on the machine
disturbs less. The command fails where training here is slower than with the trainer of sae-lens.

``torch.compile`` is not used: the compiled loss of the L1 autoencoder at the first size took 425 us a
forward and backward pass instead of 475, after 3 s of compiling, and trainings have 800 steps.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from tabulate import tabulate
from torch import Generator, Tensor

from interp_bench.techniques.features.autoencoder import Coder, Start, Training, initial, train
from interp_bench.techniques.features.batch_topk_autoencoder import BatchTopKAutoencoder
from interp_bench.techniques.features.gated_autoencoder import GatedAutoencoder
from interp_bench.techniques.features.jumprelu_autoencoder import JumpReLUAutoencoder
from interp_bench.techniques.features.l1_autoencoder import L1Autoencoder
from interp_bench.techniques.features.matching_pursuit_autoencoder import MatchingPursuitAutoencoder
from interp_bench.techniques.features.matryoshka_autoencoder import MatryoshkaAutoencoder, prefixes
from interp_bench.techniques.features.topk_autoencoder import TopKAutoencoder

LEAST_RATIO = 1.0
THEIR_SIDE = Path(__file__).with_name("sae_lens_training.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training, the same for both sides.

    Attributes:
        architecture: key of ``MAKERS``.
        d, latents, batch, k, samples: sizes.
        steps: training steps, at least 100.
        threads: threads of torch.
        trainer: whether sae-lens uses its own training loop; else a bare one.
        penalty, bandwidth: of the loss.
    """

    architecture: str
    d: int
    latents: int
    batch: int
    k: int
    steps: int
    threads: int
    samples: int = 4096
    trainer: bool = True
    penalty: float = 1.0
    bandwidth: float = 0.5


SIZES = (
    {"d": 64, "latents": 128, "batch": 128, "k": 4, "steps": 200},
    {"d": 256, "latents": 1024, "batch": 256, "k": 16, "steps": 100},
)


def _jumprelu(start: Start, job: Job) -> Coder:
    logs = torch.full_like(start["encoder_bias"], -1.0)
    return JumpReLUAutoencoder(
        **start, log_threshold=logs, penalty=job.penalty, bandwidth=job.bandwidth, warm_up=0.0
    )


def _gated(start: Start, job: Job) -> Coder:
    zeros = torch.zeros_like(start["encoder_bias"])
    return GatedAutoencoder(**start, log_scale=zeros, magnitude_bias=zeros.clone(), penalty=job.penalty)


def _matryoshka(start: Start, job: Job) -> Coder:
    return MatryoshkaAutoencoder(**start, k=job.k, batch=job.batch, nested=prefixes(job.latents, 4))


def _pursuit(start: Start, job: Job) -> Coder:
    return MatchingPursuitAutoencoder(
        decoder=start["decoder"], decoder_bias=start["decoder_bias"], steps=job.k
    )


MAKERS: MappingProxyType[str, Callable[[Start, Job], Coder]] = MappingProxyType(
    {
        "l1": lambda start, job: L1Autoencoder(**start, penalty=job.penalty),
        "topk": lambda start, job: TopKAutoencoder(**start, k=job.k),
        "batch_topk": lambda start, job: BatchTopKAutoencoder(**start, k=job.k, batch=job.batch),
        "matryoshka": _matryoshka,
        "jumprelu": _jumprelu,
        "gated": _gated,
        "matching_pursuit": _pursuit,
    }
)


def ours(job: Job, x: Tensor) -> float:
    """Train here and return processor seconds."""
    generator = Generator().manual_seed(0)
    coder = MAKERS[job.architecture](initial(x, job.latents, generator), job)
    begun = time.process_time()
    train(coder, x, Training(expansion=1, budget=1e18, max_steps=job.steps, batch=job.batch), generator)
    return time.process_time() - begun


class Theirs:
    """The other environment, one process for all jobs."""

    def __init__(self, python: str, threads: int) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TQDM_DISABLE": "1"}
        self._process = subprocess.Popen(
            [python, "-W", "ignore", str(THEIR_SIDE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def __call__(self, job: Job) -> float:
        """Train there and return processor seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({**asdict(job), "nested": prefixes(job.latents, 4)}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"sae-lens failed; run its side by hand: {THEIR_SIDE}")
        return float(answer)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def measure(
    theirs: Theirs, names: Sequence[str], sizes: dict[str, int], threads: int, rounds: int
) -> list[list[object]]:
    """Return a row for each architecture: sizes, samples a second of each side, and ratios."""
    rows: list[list[object]] = []
    for name in names:
        job = Job(architecture=name, threads=threads, **sizes)
        bare = Job(architecture=name, threads=threads, trainer=False, **sizes)
        x = torch.randn(job.samples, job.d, generator=Generator().manual_seed(0))
        seconds = [(ours(job, x), theirs(job), theirs(bare)) for _ in range(rounds + 1)][1:]
        here, trainer, alone = (job.steps * job.batch / min(side) for side in zip(*seconds, strict=True))
        rows.append([name, job.d, job.latents, job.batch, here, trainer, alone, here / trainer, here / alone])
        print(*rows[-1][:4], *(f"{value:.3g}" for value in rows[-1][4:]), file=sys.stderr, flush=True)
    return rows


HEADERS = (
    "architecture", "width", "latents", "batch", "here", "sae-lens, its trainer", "sae-lens, bare loop",
    "ratio to its trainer", "ratio to the bare loop",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return 1 where training here is slower than with their trainer."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sae-lens-python", help="python of an environment that has sae-lens")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--only", choices=MAKERS, help="one architecture")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args(arguments)
    if options.sae_lens_python is None:
        print("skipped: --sae-lens-python names no environment with sae-lens to compare with")
        return 0
    torch.set_num_threads(options.threads)
    theirs = Theirs(options.sae_lens_python, options.threads)
    names = [options.only] if options.only else list(MAKERS)
    rows = [row for sizes in SIZES for row in measure(theirs, names, sizes, options.threads, options.rounds)]
    theirs.close()
    table = tabulate(rows, headers=HEADERS, floatfmt=("", "", "", "", ".0f", ".0f", ".0f", ".2f", ".2f"))
    print(table)
    if options.write:
        _write(options.write, rows, options.threads)
    worst = min(float(str(row[7])) for row in rows)
    print(f"least ratio to its trainer: {worst:.2f}, bar {LEAST_RATIO:.2f}")
    return int(worst < LEAST_RATIO)


def _write(path: Path, rows: list[list[object]], threads: int) -> None:
    formats = ("", "", "", "", ".0f", ".0f", ".0f", ".2f", ".2f")
    table = tabulate(rows, headers=HEADERS, floatfmt=formats, tablefmt="github")
    path.write_text(
        "# Training autoencoders, here and in sae-lens\n\n"
        "Samples per second of processor time; the fastest of the rounds, which alternate. "
        f"{threads} thread(s), torch {torch.__version__}. Made by `python benchmarks/sae.py`.\n\n{table}\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    sys.exit(main())
