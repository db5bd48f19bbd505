"""Techniques that take time, memory, output, disk or processes without end."""

from __future__ import annotations

import pytest

from tests.isolated.lab import Lab

FINE = "return Guess(numbers=torch.full((4,), 0.5))"
LATE = r"took longer than 0.5 s \(--bench-timeout\)"

ENDLESS = {
    "loop": "while True: pass",
    "sleep": "time.sleep(1000)",
    "loop that ignores signals": """
        for number in signal.valid_signals():
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        while True: pass
        """,
    "loop that catches all": """
        while True:
            try: time.sleep(1000)
            except BaseException: pass
        """,
    "loop in C": "sum(range(10**12))",
    "regular expression": "import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')",
    "loop of a finaliser": """
        class Odd:
            def __del__(self):
                while True: pass
        Odd()
        """,
    "deadlock": "lock = threading.Lock()\nlock.acquire()\nlock.acquire()",
    "wait for a child": "subprocess.run(['sleep', '1000'])",
    "standard input": "sys.stdin.read()\ntime.sleep(1000)",
    "fork, again and again": "while True:\n    if os.fork() == 0: os._exit(0)\n    os.wait()",
}


@pytest.mark.parametrize("name", ENDLESS)
def test_time_ends_everything(lab: Lab, name: str) -> None:
    outcome = lab.check(ENDLESS[name], "timed_out", LATE, seconds=0.5)
    assert outcome.trial.seconds >= 0.5


MAY_TAKE = r"it may take 0.25 GiB \(--bench-memory\)"

HOGS = {
    # No divisor of the bound, where the kernel's limit and the look at what is resident would race.
    "lists": ("taken = []\nwhile True: taken.append(bytearray(20 << 20))", f"MemoryError; {MAY_TAKE}"),
    "numpy": ("taken = [np.ones(1 << 22) for _ in range(100)]", ".*Unable to allocate.*"),
    "torch": ("taken = [torch.ones(1 << 23) for _ in range(100)]", "RuntimeError: .*DefaultCPUAllocator.*"),
    "shared memory": (
        """
        import mmap
        taken = mmap.mmap(-1, 1 << 29)
        for start in range(0, 1 << 29, 1 << 20): taken[start : start + (1 << 20)] = bytes(1 << 20)
        time.sleep(60)
        """,
        r"took more than 0.25 GiB \(--bench-memory\)",
    ),
    "other programs": (
        """
        taking = "import time; taken = b'x' * (300 << 20); time.sleep(60)"
        for _ in range(2): subprocess.Popen([sys.executable, "-c", taking])
        time.sleep(60)
        """,
        r"took more than 0.25 GiB \(--bench-memory\)",
    ),
    "children together": (
        """
        for _ in range(3):
            if os.fork() == 0:
                taken = np.ones(1 << 24)
                time.sleep(60)
        time.sleep(60)
        """,
        r"took more than 0.25 GiB \(--bench-memory\)",
    ),
    "a daemon": (
        """
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.fork()
                taken = [np.ones(1 << 22) for _ in range(7)]
                time.sleep(60)
            os._exit(0)
        os.wait()
        time.sleep(60)
        """,
        r"took more than 0.25 GiB \(--bench-memory\)",
    ),
}


@pytest.mark.parametrize("name", HOGS)
def test_memory_is_bounded_wherever_it_is_taken(lab: Lab, name: str) -> None:
    body, reason = HOGS[name]
    lab.check(body, "out_of_memory", reason, memory_bytes=1 << 28)


def test_memory_that_children_share_counts_once(lab: Lab) -> None:
    body = f"""
    taken = np.ones(1 << 24)
    children = []
    for _ in range(4):
        children.append(os.fork())
        if children[-1] == 0:
            time.sleep(0.5)
            os._exit(0)
    for child in children: os.waitpid(child, 0)
    {FINE}
    """
    outcome = lab.check(body, "ok", "", memory_bytes=1 << 28)
    assert 100 < outcome.trial.peak_memory_mb < 250


@pytest.mark.parametrize("stream", [1, 2])
def test_output_is_bounded(lab: Lab, stream: int) -> None:
    body = f"for _ in range(1024): os.write({stream}, b'x' * (1 << 20))\n{FINE}"
    outcome = lab.check(body, "failed", "wrote more than 64 MiB to its standard output and error")
    assert len(outcome.trace) <= 2000


def test_output_within_bounds_is_nobodys_business(lab: Lab) -> None:
    lab.check(f"print('x' * (1 << 22))\n{FINE}", "ok", "")


def test_temporary_files_are_bounded_together(lab: Lab) -> None:
    body = """
    import tempfile
    for number in range(100):
        with open(os.path.join(tempfile.mkdtemp(), "file"), "wb") as file: file.write(bytes(1 << 19))
    time.sleep(60)
    """
    lab.check(body, "failed", "wrote more than 16 MiB of temporary files", disk_bytes=1 << 24)


def test_one_file_is_bounded_where_it_is_written(lab: Lab) -> None:
    body = "import tempfile\ntempfile.TemporaryFile().write(bytes(1 << 25))"
    lab.check(body, "failed", r"OSError: \[Errno 27\] File too large", disk_bytes=1 << 24)


def test_processes_are_bounded(lab: Lab) -> None:
    body = """
    for _ in range(40):
        if os.fork() == 0: time.sleep(60)
    time.sleep(60)
    """
    lab.check(body, "failed", "had more than 30 processes running", processes=30)
