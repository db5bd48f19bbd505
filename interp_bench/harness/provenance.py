"""Where and with what a run was made: versions, commit, device, threads; no path of the machine."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from interp_bench.harness.trial import Provenance


def provenance(*, device: str, threads: int, project: Path, isolation: str = "") -> Provenance:
    """Return the provenance of a trial that starts now.

    Args:
        device: the device that the trial runs on.
        threads: intra-op threads of this process.
        project: root folder of the project, whose commit is recorded.
        isolation: what stands between techniques and this process.
    """
    return Provenance(
        interp_bench=_version("interp-bench"),
        git_commit=_commit(project),
        python=platform.python_version(),
        torch=_version("torch"),
        transformers=_version("transformers"),
        timm=_version("timm"),
        transformer_lens=_version("transformer-lens"),
        numpy=_version("numpy"),
        device=_device_name(device),
        threads=threads,
        platform=f"{platform.system()} {platform.machine()}",
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        isolation=isolation,
    )


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@cache
def _commit(project: Path) -> str:
    """Return the commit of the project, with ``+`` when tracked files differ from it."""
    try:
        found = [
            subprocess.run(
                ["git", "-C", str(project), *arguments], capture_output=True, text=True, timeout=5, check=True
            ).stdout.strip()
            for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        ]
    except (OSError, subprocess.SubprocessError):
        return ""
    return found[0] + ("+" if found[1] else "")


@cache
def _device_name(device: str) -> str:
    if not device.startswith("cuda"):
        return device
    import torch

    return torch.cuda.get_device_name(device)
