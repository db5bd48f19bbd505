"""How many threads a process computes with, set before torch is imported and put back afterwards.

A process computes with one intra-op thread unless the user says otherwise with OMP_NUM_THREADS.
With as many threads as cores, any other busy process slows torch down by 10 to 100 times, and sums
come out in another order, so results would depend on the machine. Parallel work is the business of
``-n``. With N workers, a worker gets at most cores / N threads, whatever the variable says.
"""

from __future__ import annotations

import os
import sys

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def thread_count(workers: int) -> int:
    """Return the intra-op threads of one process.

    Args:
        workers: processes that compute at the same time, 1 for a lone one.
    """
    wanted = os.environ.get(VARIABLES[0], "").strip()
    threads = int(wanted) if wanted.isdigit() and int(wanted) > 0 else 1
    return threads if workers <= 1 else max(1, min(threads, (os.cpu_count() or 1) // workers))


class ThreadSetting:
    """Sets the threads of this process and of those that it starts, until `undo`.

    Args:
        threads: how many.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._environment = {name: os.environ.get(name) for name in VARIABLES}
        self._torch: int | None = None
        os.environ.update(dict.fromkeys(VARIABLES, str(threads)))
        # Processes that wait must not spin: that alone costs neighbours most of a core.
        self._environment["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY")
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        if "torch" in sys.modules:
            self.apply()

    def apply(self) -> None:
        """Set the threads of torch too; call it once torch is imported."""
        import torch

        if self._torch is None:
            self._torch = torch.get_num_threads()
        torch.set_num_threads(self.threads)

    def undo(self) -> None:
        """Put environment and torch back."""
        for name, value in self._environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if self._torch is not None:
            import torch

            torch.set_num_threads(self._torch)
