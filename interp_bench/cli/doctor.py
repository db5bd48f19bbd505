"""The state of this machine: versions, threads, caches, and which models are here."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from interp_bench.cli.parser import Commands
from interp_bench.harness.isolation import sandbox
from interp_bench.harness.store import DEFAULT_PATH, Store
from interp_bench.harness.tiers import TIERS
from interp_bench.registry import availability, load_registry

PACKAGES = (
    "interp-bench", "torch", "transformers", "transformer-lens", "timm", "captum", "scikit-learn",
    "numpy", "scipy", "pydantic", "pytest", "pytest-xdist", "gguf",
)  # fmt: skip
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def report() -> int:
    """Print the state of this machine; return 1 if something that is needed is missing."""
    missing = _versions()
    _machine()
    _folders()
    _models()
    if missing:
        print(f"\nmissing: {', '.join(missing)}; install them with: pip install {' '.join(missing)}")
        return 1
    print("\nnothing is missing")
    return 0


def _versions() -> list[str]:
    found = {package: _version(package) for package in PACKAGES}
    _line("python", platform.python_version())
    for package, number in found.items():
        _line(package, number or "not installed")
    return [package for package, number in found.items() if number is None]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _machine() -> None:
    from interp_bench.registry.availability import machine_memory_gb

    print()
    _line("platform", f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors")
    _line("memory", f"{machine_memory_gb():.1f} GiB")
    for name in THREADS:
        _line(name, os.environ.get(name) or "not set; `pytest --bench` computes with one thread a process")
    _line("accelerator", _accelerator())
    _line("walls", _walls())


def _accelerator() -> str:
    try:
        import torch
    except ImportError:
        return "unknown, torch is not installed"
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "none, the processor is used"


def _walls() -> str:
    offers = sandbox.offered()
    here = ", ".join(f"{offer.name} ({offer.means})" for offer in offers if not offer.lack)
    lacking = "; ".join(f"no {offer.name}: {offer.lack}" for offer in offers if offer.lack)
    return "; ".join(part for part in (here, lacking) if part)


def _folders() -> None:
    from interp_bench.registry.cache import cache_folder

    print()
    weights = cache_folder()
    _line(
        "weights", f"{weights} ({_size_gb(weights):.2f} GiB)" if weights.is_dir() else f"{weights} (none yet)"
    )
    if not DEFAULT_PATH.is_file():
        _line("store", f"{DEFAULT_PATH} (none yet)")
        return
    with Store.open(DEFAULT_PATH) as store:
        _line("store", f"{DEFAULT_PATH} ({len(store.latest())} trials of {len(store.runs())} runs)")


def _size_gb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**30


def _models() -> None:
    registry = load_registry()
    print()
    _line("models.yaml", str(registry.path))
    for tier in TIERS:
        rows = [(spec, availability(spec)) for spec in registry if spec.tier == tier]
        absent = [(spec.id, reason) for spec, reason in rows if reason is not None]
        _line(f"{tier} tier", f"{len(rows) - len(absent)} of {len(rows)} models can be opened here")
        if tier == "quick":
            for model, reason in absent:
                print(f"  {model}: {reason}")


def _line(name: str, value: str) -> None:
    print(f"{name:<18}{value}")


def add_to(commands: Commands) -> None:
    """Add the command `doctor`."""
    added = commands.add_parser("doctor", help="versions, threads, caches, and which models are here")
    added.set_defaults(run=lambda _: report())
