"""Folders of workers: how much they hold, and their end."""

from __future__ import annotations

import os
from pathlib import Path

from interp_bench.harness.isolation.scratch import disk_bytes, remove


def test_what_files_take_is_counted_and_links_are_not_followed(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "a" / "b").mkdir(parents=True)
    outside.mkdir()
    empty = disk_bytes(str(inside))
    (outside / "large").write_bytes(bytes(range(256)) * 4096)
    (inside / "link").symlink_to(outside)
    (inside / "a" / "b" / "file").write_bytes(bytes(range(256)) * 256)
    assert 65_536 <= disk_bytes(str(inside)) - empty < 200_000
    assert disk_bytes(str(tmp_path / "nothing")) == 0


def test_a_folder_goes_with_all_that_is_in_it_and_nothing_else(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for path in (inside / "a" / "b", inside / "c", outside):
        path.mkdir(parents=True)
        (path / "file").write_text("x")
    (inside / "a" / "link").symlink_to(outside)
    (inside / "a" / "dead").symlink_to("nowhere")
    (inside / "c").chmod(0)
    os.mkfifo(inside / "pipe")
    remove(str(inside))
    assert not inside.exists()
    assert (outside / "file").read_text() == "x"


def test_a_folder_deeper_than_any_path_goes(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    here = os.getcwd()
    try:
        os.chdir(tmp_path / "top")
        for _ in range(300):
            os.mkdir("x" * 20)
            os.chdir("x" * 20)
    finally:
        os.chdir(here)
    remove(str(tmp_path / "top"))
    assert not (tmp_path / "top").exists()


def test_what_is_not_there_is_no_trouble(tmp_path: Path) -> None:
    remove(str(tmp_path / "nothing"))
