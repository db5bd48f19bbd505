"""Memory of those who compute comes in small pages, whatever their parents have."""

from __future__ import annotations

import subprocess
import sys

import pytest

from interp_bench.harness.isolation.kernel import LINUX

if not LINUX:
    pytest.skip("NOT CHECKED: Linux alone has the call", allow_module_level=True)

# With this option of its allocator a process asks for huge pages; then the kernel counts those it has.
HUGE = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
TAKE = """
import os, re
from interp_bench.harness.isolation.pages import small_pages
def huge():
    with open("/proc/self/smaps_rollup") as stream:
        return int(re.search(r"AnonHugePages: +(\\d+) kB", stream.read())[1])
before = huge()
taken = bytearray(64 << 20)
print(huge() - before)
assert small_pages()
child = os.fork()
if child == 0:
    before = huge()
    more = bytearray(64 << 20)
    print(huge() - before, flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


def test_new_memory_of_forked_processes_comes_in_small_pages() -> None:
    done = subprocess.run([sys.executable, "-uc", TAKE], env=HUGE, capture_output=True, text=True, check=True)
    large, small = (int(word) for word in done.stdout.split())
    if not large:
        pytest.skip("NOT CHECKED: this machine has no huge pages to give")
    assert large > 32 << 10
    assert small <= 0
