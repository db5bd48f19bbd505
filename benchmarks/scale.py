"""Planting and certifying over sizes: seconds to build, plant and certify a host, and the peak of memory.

Run ``python benchmarks/scale.py [--only TEXT] [--threads N] [--write benchmarks/scale.md]``. Each host gets
a process of its own, in the number format that the table names. Memory is what the process holds at
most while it plants and certifies, above what it held before the host was built, over the size of the
weights; it is read from the kernel (Linux only). The command fails unless every plant is certified.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tabulate import tabulate

SEED = 0
HOSTS: tuple[tuple[str, str], ...] = (
    ("convnext-slim-20k", "float32"),
    ("native-30k", "float32"),
    ("vit-slim-50k", "float32"),
    ("native-900k", "float32"),
    ("vit-slim-900k", "float32"),
    ("gpt2-random-6m", "float32"),
    ("llama-random-6m", "float32"),
    ("resnet18", "float32"),
    ("convnext-tiny-random", "float32"),
    ("neox-random-85m", "float32"),
    ("vit-base-random", "float32"),
    ("llama-random-440m", "float32"),
    ("llama-random-440m", "bfloat16"),
    ("vit-giant-random", "float32"),
    ("neox-random-1.2b", "bfloat16"),
    ("llama-random-1.4b", "bfloat16"),
    ("llama-random-2.7b", "float32"),
    ("llama-random-2.7b", "bfloat16"),
)
HEADERS = (
    "host", "parameters", "format", "plant", "build s", "plant s", "certify s", "(plant + certify) / build",
    "peak MiB", "peak / weights", "certified",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Planting:
    """One kind of plant: how it is planted, and how what came of it is certified."""

    plant: Callable[[Any], Any]
    certify: Callable[[Any, Any], Any]


def _circuit() -> Planting:
    from interp_bench.planting.circuits.induction import plant_induction
    from interp_bench.tracks.planted_circuit import planted_circuit

    return Planting(
        plant=lambda model: plant_induction(model, seed=SEED).circuit,
        certify=lambda model, circuit: planted_circuit(model, circuit, seed=SEED).certificate,
    )


def _evidence() -> Planting:
    from interp_bench.planting.evidence.base import Scene
    from interp_bench.planting.evidence.certify import certify_evidence
    from interp_bench.planting.evidence.plant import plant_evidence

    return Planting(
        plant=lambda model: plant_evidence(model, (8,), seed=SEED, scene=Scene(length=16)),
        certify=lambda model, evidence: certify_evidence(model, evidence, SEED + 1, n_sites=1),
    )


PLANTS = MappingProxyType({"induction": _circuit, "evidence": _evidence})


def memory(field: str) -> float:
    """Return ``VmRSS`` or ``VmHWM`` of this process in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def measure(model_id: str, dtype: str, plant: str) -> dict[str, Any]:
    """Build, plant and certify one host in this process."""
    import torch

    from interp_bench.model.opening import open_model
    from interp_bench.registry import load_registry

    planting, spec = PLANTS[plant](), load_registry().get(model_id)
    # What libraries load when a network is built for the first time is no cost of this one.
    open_model(load_registry().get("native-30k" if spec.modality == "lm" else "vit-slim-50k"))
    before = memory("VmRSS")
    marks = [time.perf_counter()]
    model = open_model(spec, "cpu", getattr(torch, dtype))
    marks.append(time.perf_counter())
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # starts the kernel's peak anew
    planted = planting.plant(model)
    marks.append(time.perf_counter())
    certificate = planting.certify(model, planted)
    marks.append(time.perf_counter())
    size = sum(p.numel() * p.element_size() for p in model.module.parameters()) / 2**20
    return {
        "params": spec.params,
        "seconds": [later - earlier for earlier, later in pairwise(marks)],
        "peak": memory("VmHWM") - before,
        "weights": size,
        "passed": certificate.passed,
        "reason": certificate.reason,
    }


def row(model_id: str, dtype: str, plant: str, threads: int) -> list[object]:
    """Measure one host in a process of its own, and return its row of the table."""
    variables = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    command = [sys.executable, __file__, "--one", model_id, dtype, plant]
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)
    if done.returncode:
        return [model_id, "", dtype, plant, "", "", "", "", "", "", done.stderr.strip().splitlines()[-1]]
    found = json.loads(done.stdout.splitlines()[-1])
    build, planted, certified = found["seconds"]
    verdict = "yes" if found["passed"] else found["reason"]
    return [
        model_id, f"{found['params']:,}", dtype, plant, f"{build:.2f}", f"{planted:.2f}", f"{certified:.2f}",
        f"{(planted + certified) / build:.2f}", f"{found['peak']:,.0f}",
        f"{found['peak'] / found['weights']:.2f}", verdict,
    ]  # fmt: skip


def plants_of(model_id: str) -> tuple[str, ...]:
    """Return what is planted in a host: circuits with edges in language models only, evidence in all."""
    image = model_id.startswith(("vit", "convnext", "resnet"))
    return ("evidence",) if image else ("induction", "evidence")


def write(rows: list[list[object]], options: argparse.Namespace) -> None:
    """Write the page with the rows so far."""
    table = tabulate(rows, headers=HEADERS, tablefmt="github", disable_numparse=True)
    command = f"python benchmarks/scale.py --threads {options.threads} --write {options.write}"
    if options.only:
        command += f" --only '{options.only}'"
    text = f"# Planting and certifying, by size\n\nWritten by `{command}`; do not edit it by hand.\n"
    options.write.write_text(f"{text}\n{table}\n", encoding="utf-8")


def main() -> int:
    """Print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="hosts whose row holds this text")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch in each process")
    parser.add_argument("--write", type=Path, help="file for the Markdown page")
    parser.add_argument("--one", nargs=3, metavar=("MODEL", "FORMAT", "PLANT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(*options.one)), flush=True)
        return 0
    jobs = [(host, dtype, plant) for host, dtype in HOSTS for plant in plants_of(host)]
    rows = []
    for job in jobs:
        if options.only in " ".join(job):
            rows.append(row(*job, options.threads))
            print(*rows[-1], sep="  ", flush=True)
            if options.write:
                write(rows, options)
    return 0 if rows and all(found[-1] == "yes" for found in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
