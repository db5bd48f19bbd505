"""Whether a row can be opened on this machine, and if not, why; nothing is downloaded."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from interp_bench.registry.cache import model_folder
from interp_bench.registry.sources import TimmSource, TransformersSource
from interp_bench.registry.spec import ModelSpec

_PACKAGES = {
    "native": ("transformer_lens",),
    "timm": ("timm",),
    "transformers": ("transformers",),
    "gguf": ("transformers",),
}


def availability(spec: ModelSpec) -> str | None:
    """Return ``None`` if ``spec`` can be opened here, else the reason and the way out, in one line."""
    for package in _PACKAGES[spec.source.kind]:
        if find_spec(package) is None:
            return f"the package {package!r} is not installed; pip install {package.replace('_', '-')}"
    have = machine_memory_gb()
    if spec.memory_gb > have:
        return f"needs {spec.memory_gb:g} GiB of memory; this machine has {have:.1f}"
    return weights_reason(spec)


def weights_reason(spec: ModelSpec) -> str | None:
    """Return why the weights of ``spec`` are not here, or ``None``; memory is not considered."""
    source = spec.source
    if source.kind == "timm":
        return timm_reason(spec.id, source)
    if source.kind == "transformers":
        return transformers_reason(spec.id, source)
    if source.kind == "gguf":
        folder = model_folder(spec.id, source.sha256[:16])
        return None if (folder / "model.safetensors").is_file() else _fetch(spec.id)
    return None


def machine_memory_gb() -> float:
    """Return this machine's memory in GiB, or the control group's limit where that is smaller."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        limit = "max"
    return min(total, int(limit) if limit.isdigit() else total) / 2**30


def timm_reason(model_id: str, source: TimmSource) -> str | None:
    """Return why the weights of a timm row are not here, or ``None``."""
    if source.file is not None:
        path = Path(source.file).expanduser()
        return None if path.is_file() else f"there is no file {path}; put the weights there"
    if (
        source.pretrained
        and cached_file(f"timm/{source.architecture}", source.revision, "model.safetensors") is None
    ):
        return _fetch(model_id)
    return None


def transformers_reason(model_id: str, source: TransformersSource) -> str | None:
    """Return why the weights of a transformers row are not here, or ``None``."""
    if source.directory is not None:
        return folder_reason(Path(source.directory).expanduser())
    if source.repo is None:
        return None
    for name in ("model.safetensors", "model.safetensors.index.json"):
        if cached_file(source.repo, source.revision, name) is not None:
            return None
    return _fetch(model_id)


def folder_reason(folder: Path) -> str | None:
    """Return why a local folder cannot be opened, or ``None``."""
    if not folder.is_dir():
        return f"there is no folder {folder}; put config.json and model.safetensors there"
    if not (folder / "config.json").is_file():
        return f"{folder} holds no config.json"
    if any(folder.glob("*.safetensors")):
        return None
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt*")):
        return f"{folder} holds pickled weights, which can run code when opened; save them as safetensors"
    return f"{folder} holds no safetensors"


def cached_file(repo: str, revision: str | None, name: str) -> Path | None:
    """Return a file of the hub's local cache, or ``None`` if it is not there."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, name, revision=revision)
    return Path(found) if isinstance(found, str) else None


def _fetch(model_id: str) -> str:
    return f"its weights are not on this machine; run: interp-bench fetch {model_id}"
