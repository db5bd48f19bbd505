"""Files and signals are tried with Landlock and without."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from interp_bench.harness.isolation import landlock

if TYPE_CHECKING:
    from tests.harness.isolation.conftest import Walled


def tree(folder: Path) -> None:
    for name in ("secret/key", "secret/deep/key", "open/deep/key", "open/key", "own/note"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
    (folder / "open" / "link").symlink_to(folder / "secret" / "key")
    (folder / "way").symlink_to(folder / "secret")


READ = """
from pathlib import Path
for name in {names!r}:
    say(tried((Path({folder!r}) / name).read_text))
"""


def test_hidden_files_cannot_be_read_by_any_way_and_all_others_can(walled: Walled, tmp_path: Path) -> None:
    tree(tmp_path)
    secrets = ["secret/key", "secret/deep/key", "open/link", "way/key", "open/deep/key"]
    others = ["open/key", "own/note"]
    body = READ.format(folder=str(tmp_path), names=secrets + others)
    hidden = [tmp_path / "way", tmp_path / "open" / "deep" / "key"]
    assert walled("files", body, hidden=hidden) == ["PermissionError"] * 5 + others
    opened = walled("files", body, hidden=hidden, walls=False)
    assert opened == ["secret/key", "secret/deep/key", "secret/key", "secret/key", "open/deep/key", *others]


def test_a_link_beside_the_way_to_a_hidden_file_does_not_open_it(walled: Walled, tmp_path: Path) -> None:
    tree(tmp_path)
    body = READ.format(folder=str(tmp_path), names=["open/link"])
    hidden = [tmp_path / "secret" / "key", tmp_path / "open" / "deep"]
    assert walled("files", body, hidden=hidden) == ["PermissionError"]


def test_what_comes_into_being_where_something_is_hidden_is_hidden_too(
    walled: Walled, tmp_path: Path
) -> None:
    body = f"""
import subprocess
from pathlib import Path
folder = Path({str(tmp_path)!r})
say(tried((folder / "later").read_text))
"""
    late = "(Path(wish['hidden'][0]).parent / 'later').write_text('x')"
    assert walled("files", body, hidden=[tmp_path / "absent"], late=late) == ["PermissionError"]
    assert walled("files", body, hidden=[tmp_path / "absent"], late=late, walls=False) == ["x"]


WRITE = """
import os
from pathlib import Path
folder = Path({folder!r})
own, other = folder / "own", folder / "open"
def made(path):
    path.write_text("new")
    return path.read_text()
for place in (own, other):
    say(tried(lambda: made(place / "new")))
    say(tried(lambda: (place / "folder").mkdir()))
    say(tried(lambda: os.truncate(place / "new" if place == own else place / "key", 1)))
    say(tried(lambda: (place / "new" if place == own else place / "key").unlink()))
    say(tried(lambda: os.rename(place / "folder" if place == own else place / "deep", place / "moved")))
    say(tried(lambda: os.symlink("x", place / "symlink")))
say(tried(lambda: os.rename(own / "note", other / "note")))
say(tried(lambda: os.link(other / "key", own / "key")))
"""


def test_only_the_own_folder_can_be_written_to(walled: Walled, tmp_path: Path) -> None:
    tree(tmp_path)
    body = WRITE.format(folder=str(tmp_path))
    found = walled("files", body, writable=[tmp_path / "own"])
    assert found[:6] == ["new", None, None, None, None, None]
    refused = ["PermissionError"] * 6
    if landlock.version() < 3:
        refused[2] = None
    assert found[6:12] == refused
    assert all(name in ("PermissionError", "OSError") for name in found[12:])
    assert (tmp_path / "open" / "key").read_text(encoding="utf-8") == "open/key"


def test_without_walls_any_folder_can_be_written_to(walled: Walled, tmp_path: Path) -> None:
    tree(tmp_path)
    found = walled("files", WRITE.format(folder=str(tmp_path)), walls=False)
    assert found == ["new", None, None, None, None, None] * 2 + [None, "FileNotFoundError"]


def test_an_own_folder_within_a_hidden_one_can_be_used(walled: Walled, tmp_path: Path) -> None:
    tree(tmp_path)
    body = f"""
from pathlib import Path
folder = Path({str(tmp_path)!r}) / "secret"
say(tried((folder / "key").read_text))
(folder / "deep" / "new").write_text("new")
say((folder / "deep" / "new").read_text())
"""
    found = walled("files", body, hidden=[tmp_path / "secret"], writable=[tmp_path / "secret" / "deep"])
    assert found == ["PermissionError", "new"]


def test_devices_can_be_used_but_no_disk(walled: Walled) -> None:
    body = """
import os, stat
def opened(path, flags):
    os.close(os.open(path, flags))
for name in ("null", "zero", "urandom"):
    say(tried(lambda: opened("/dev/" + name, os.O_RDWR if name != "urandom" else os.O_RDONLY)))
with open("/dev/shm/interp-bench-test", "w") as stream:
    os.unlink(stream.name)
def is_disk(path):
    return stat.S_ISBLK(os.lstat(path).st_mode)
names = [entry.path for entry in os.scandir("/dev") if is_disk(entry.path)]
say(all(tried(lambda: opened(name, os.O_RDONLY)) == "PermissionError" for name in names))
"""
    assert walled("files", body) == [None, None, None, True]


PEEK = """
from pathlib import Path
other = Path("/proc", "{pid}")
say(tried(lambda: len((other / "environ").read_bytes()) > 0))
say(tried(lambda: open(other / "mem", "rb").close()))
say(tried(lambda: len((other / "maps").read_text()) > 0))
"""


def test_other_processes_cannot_be_looked_into(walled: Walled, other: subprocess.Popen[bytes]) -> None:
    body = PEEK.format(pid=other.pid)
    assert walled("files", body) == ["PermissionError"] * 3
    assert walled("files", body, walls=False) == [True, None, True]


def test_the_own_memory_can_be_looked_into(walled: Walled) -> None:
    assert walled("files", PEEK.format(pid="self")) == [True, None, True]


def test_only_own_processes_can_be_ended(walled: Walled, other: subprocess.Popen[bytes]) -> None:
    body = f"""
import os, signal, subprocess
say(tried(lambda: os.kill({other.pid}, 0)))
say(tried(lambda: os.kill(os.getppid(), 0)))
child = subprocess.Popen(["sleep", "60"])
child.kill()
say(child.wait())
"""
    assert walled("signals", body) == ["PermissionError", "PermissionError", -9]
    assert walled("signals", body, walls=False) == [None, None, -9]
    assert other.poll() is None


@pytest.mark.parametrize(("abi", "size"), [(1, 8), (2, 8), (3, 8), (4, 16), (5, 16), (6, 24), (7, 24)])
def test_an_older_landlock_is_asked_for_what_it_knows(
    monkeypatch: pytest.MonkeyPatch, abi: int, size: int
) -> None:
    asked: list[tuple[object, ...]] = []

    def syscall(*arguments: object) -> int:
        asked.append(arguments)
        return os.open(os.devnull, os.O_RDONLY) if arguments[0] == 444 else 0

    monkeypatch.setattr(landlock, "version", lambda: abi)
    monkeypatch.setattr(landlock, "_syscall", syscall)
    os.close(landlock.make_ruleset(hidden=[], writable=[]))
    [attributes] = [arguments[1] for arguments in asked if arguments[0] == 444]
    assert isinstance(attributes, bytes)
    assert len(attributes) == size
    bits = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF, 5: 0xFFFF, 6: 0xFFFF, 7: 0xFFFF}[abi]
    # All but READ_DIR.
    assert int.from_bytes(attributes[:8], "little") == bits & ~0x8
