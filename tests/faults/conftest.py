"""Real faults for the tests in this folder: techniques that fail, full disks, read-only folders."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.isolated.lab import Lab
from tests.plugin.conftest import project

__all__ = ["project"]


@pytest.fixture
def lab(fakes: ModuleType, tmp_path: Path) -> Iterator[Lab]:
    """Techniques in workers, on the pretended problem."""
    made = Lab(fakes, tmp_path)
    yield made
    made.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a MiB, where this process may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder))
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def read_only() -> Iterator[Callable[[Path], None]]:
    """Return a function after which nothing can be written in a folder, by root neither."""
    done: list[Path] = []

    def close(folder: Path) -> None:
        if os.geteuid():
            for path in (folder, *folder.iterdir()):
                path.chmod(0o555)
        else:
            _mount("--bind", str(folder), str(folder))
            _mount("-o", "remount,ro,bind", str(folder))
        done.append(folder)

    yield close
    for folder in done:
        if os.geteuid():
            for path in (folder, *folder.iterdir()):
                path.chmod(0o755)
        else:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def _mount(*arguments: str) -> None:
    try:
        subprocess.run(["mount", *arguments], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"NOT CHECKED: this process may mount nothing: {getattr(error, 'stderr', '') or error}")
