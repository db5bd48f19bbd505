"""Techniques that start processes and threads, and leave them."""

from __future__ import annotations

import pytest

from tests.isolated.lab import Lab, settled

FINE = "return Guess(numbers=torch.full((4,), 0.5))"
LEFT = "ContractError: left {} running; wait for them, or end them"

STARTED = {
    "a program": ("subprocess.Popen(['sleep', '100'])", LEFT.format("1 process")),
    "twenty children": (
        "for _ in range(20):\n    if os.fork() == 0: time.sleep(100); os._exit(0)",
        LEFT.format("20 processes"),
    ),
    "a child that ignores signals": (
        """
        if os.fork() == 0:
            for number in signal.valid_signals():
                try: signal.signal(number, signal.SIG_IGN)
                except (OSError, ValueError): pass
            while True: time.sleep(100)
        """,
        LEFT.format("1 process"),
    ),
    "a daemon": (
        """
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0: time.sleep(100)
            os._exit(0)
        os.wait()
        """,
        LEFT.format("1 process"),
    ),
    "a stopped child": (
        "child = os.fork()\nif child == 0: time.sleep(100)\nos.kill(child, signal.SIGSTOP)",
        LEFT.format("1 process"),
    ),
    "a thread": (
        "threading.Thread(target=time.sleep, args=(100,)).start()",
        r"ContractError: left a thread running \('Thread-1 \(sleep\)'\); join what it starts, .*",
    ),
    "a daemon thread": (
        "threading.Thread(target=time.sleep, args=(100,), daemon=True, name='mine').start()",
        r"ContractError: left a thread running \('mine'\); join what it starts, and use pools .*",
    ),
    "a thread that loops": (
        "def loop():\n    while True: pass\nthreading.Thread(target=loop, name='mine').start()",
        r"ContractError: left a thread running \('mine'\); .*",
    ),
}


@pytest.mark.parametrize("name", STARTED)
def test_what_is_left_running_is_found_and_ended(lab: Lab, name: str) -> None:
    body, reason = STARTED[name]
    lab.check(f"{_plain(body)}\n{FINE}", "failed", reason)


def test_what_a_crash_leaves_is_ended(lab: Lab) -> None:
    body = "subprocess.Popen(['sleep', '100'], start_new_session=True)\nctypes.string_at(0)"
    lab.check(body, "crashed", r"its process was ended by SIGSEGV \(invalid memory access\)")


ENDED = {
    "a program": "subprocess.run(['true'], check=True)",
    "a pool": """
        import multiprocessing
        with multiprocessing.get_context("fork").Pool(2) as pool: assert pool.map(abs, [-1, 2]) == [1, 2]
        """,
    "a pool of programs": """
        import multiprocessing
        with multiprocessing.get_context("spawn").Pool(1) as pool: assert pool.map(abs, [-1, 2]) == [1, 2]
        """,
    "joblib": """
        from joblib import Parallel, delayed
        assert Parallel(n_jobs=2)(delayed(abs)(-number) for number in range(3)) == [0, 1, 2]
        """,
    "a pool of threads": """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(2) as pool: assert list(pool.map(abs, [-1, 2])) == [1, 2]
        """,
    "a short thread": "threading.Thread(target=time.sleep, args=(0.01,)).start()",
    "a progress bar": "from tqdm import tqdm\nfor _ in tqdm(range(3)): pass",
    "what is done at the end": "import atexit\natexit.register(time.sleep, 100)",
    "a child that raises": """
        child = os.fork()
        if child == 0: raise ValueError("in the child")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        """,
    "a child that answers too": "child = os.fork()\nif child: os.waitpid(child, 0)",
}


def test_a_pool_that_is_reached_through_a_socket_is_refused_and_ends(lab: Lab) -> None:
    body = """
        import multiprocessing
        with multiprocessing.get_context("forkserver").Pool(1) as pool: assert pool.map(abs, [-1]) == [1]
        """
    lab.check(_plain(body), "failed", r"PermissionError: \[Errno 1\] .*")


@pytest.mark.parametrize("name", ENDED)
def test_what_ends_by_itself_or_by_its_library_is_no_fault(lab: Lab, name: str) -> None:
    lab.check(f"{_plain(ENDED[name])}\n{FINE}", "ok", "")


def test_a_keeper_holds_no_more_files_after_many_trials(lab: Lab) -> None:
    runner = lab.runner()
    name = lab.write(FINE)
    held = []
    for _ in range(5):
        assert runner.run(lab.cell(name)).trial.status == "ok"
        held.append(settled(lab.keeper().num_fds, None))
    assert held[1] == held[-1], held


def _plain(body: str) -> str:
    import textwrap

    return textwrap.dedent(body).strip()
