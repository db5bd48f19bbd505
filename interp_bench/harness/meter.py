"""The cost of a call: wall clock, processor time, peak memory, passes through the model."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

import psutil
import torch

if TYPE_CHECKING:
    from interp_bench.model.handle import Model

_INTERVAL = 0.01
_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a call cost.

    Attributes:
        seconds, cpu_seconds: wall clock, and processor time of all threads.
        peak_memory_mb: peak resident memory above that at the start, in MiB; on an accelerator
            its peak allocated memory above that at the start is added.
        forwards, backwards: passes through the model.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_mb: float = 0.0
    forwards: int = 0
    backwards: int = 0


class Accelerator:
    """Memory of the accelerator that a model is on, during a call; nothing on the CPU.

    Args:
        device: of the model.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cuda = device.type == "cuda"
        self._allocated = 0

    def start(self) -> None:
        """Wait for what it still computes, and count from now on."""
        if self._cuda:
            torch.cuda.synchronize(self._device)
            torch.cuda.reset_peak_memory_stats(self._device)
            self._allocated = torch.cuda.memory_allocated(self._device)

    def wait(self) -> None:
        """Wait for what it still computes, so that the time of the call has it in."""
        if self._cuda:
            torch.cuda.synchronize(self._device)

    def peak_bytes(self) -> int:
        """Return the peak of allocated bytes above that at the start."""
        return max(0, torch.cuda.max_memory_allocated(self._device) - self._allocated) if self._cuda else 0


class CostMeter:
    """Measures a ``with`` block; a thread samples the resident memory every 10 ms.

    Memory that the process holds from earlier calls and uses again does not count, so this is a
    lower bound.

    Args:
        model: the model whose passes are counted.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._process = psutil.Process()
        self._done = threading.Event()
        self.cost = Cost()

    def __enter__(self) -> CostMeter:
        self._passes = (self._model.meter.forwards, self._model.meter.backwards)
        self._accelerator = Accelerator(self._model.device)
        self._accelerator.start()
        self._start = self._peak = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._sample, daemon=True, name="interp-bench-memory")
        self._thread.start()
        self._cpu = time.process_time()
        self._wall = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._accelerator.wait()
        seconds = time.perf_counter() - self._wall
        cpu_seconds = time.process_time() - self._cpu
        self._done.set()
        self._thread.join()
        self._peak = max(self._peak, self._process.memory_info().rss)
        extra = self._peak - self._start
        extra += self._accelerator.peak_bytes()
        meter = self._model.meter
        self.cost = Cost(
            seconds=seconds,
            cpu_seconds=cpu_seconds,
            peak_memory_mb=extra / _MIB,
            forwards=meter.forwards - self._passes[0],
            backwards=meter.backwards - self._passes[1],
        )

    def _sample(self) -> None:
        while not self._done.wait(_INTERVAL):
            self._peak = max(self._peak, self._process.memory_info().rss)
