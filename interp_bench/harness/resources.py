"""What a process that runs trials needs of the machine it runs on: processors, cards and memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from interp_bench.harness.grid import Cell

COPY_FACTOR = 1.25
"""Memory of a trial over that of its model's forward and backward pass (``ModelSpec.memory_gb``).

Weights are kept aside to plant anew from, as long as they are small beside the machine's memory; the
rest is for what a technique stores.
"""

GIB = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a process needs, or what a machine offers.

    Attributes:
        cpus: processors.
        gpus: cards.
        memory: bytes.
    """

    cpus: float
    gpus: float
    memory: float

    def fit(self, offered: Resources) -> bool:
        """Return whether a machine that offers so much can hold this."""
        return self.cpus <= offered.cpus and self.gpus <= offered.gpus and self.memory <= offered.memory

    def __str__(self) -> str:
        """Return e.g. ``1 CPU, 0 GPUs and 2.5 GiB of memory``."""
        counted = [
            f"{number:g} {name}{'s' * (number != 1)}"
            for number, name in ((self.cpus, "CPU"), (self.gpus, "GPU"))
        ]
        return f"{', '.join(counted)} and {self.memory / GIB:.1f} GiB of memory"


def resources_of(cells: Iterable[Cell], *, threads: int) -> Resources:
    """Return what one process needs to run cells one after the other: memory for the largest model.

    Args:
        cells: at least one.
        threads: intra-op threads of the process.
    """
    cells = list(cells)
    memory = max(cell.spec.memory_gb for cell in cells) * COPY_FACTOR
    on_card = any(cell.device.startswith("cuda") for cell in cells)
    return Resources(cpus=threads, gpus=int(on_card), memory=round(memory * GIB))


def missing_room(needed: Resources, machines: Iterable[Resources]) -> str:
    """Return why none of the machines can ever hold a process, or an empty string when one can."""
    machines = list(machines)
    if any(needed.fit(machine) for machine in machines):
        return ""
    largest = max(machines, key=lambda machine: (machine.gpus, machine.memory, machine.cpus), default=None)
    offer = f"the largest offers {largest}" if largest else "there is none"
    return f"no machine of the Ray cluster can hold it: it needs {needed}, and {offer}"
