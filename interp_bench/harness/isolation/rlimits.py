"""ProcessLimits that the kernel keeps for a process: memory, size of files, no core dumps."""

from __future__ import annotations

from dataclasses import dataclass

from interp_bench.harness.isolation.kernel import LINUX, Refused

_STATUS = "/proc/self/status"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLimits:
    """How much a process may take.

    Attributes:
        memory: bytes of its own (heap, stacks, private maps) that it may take beyond those that it has
            when the limit is set, or None. An allocation beyond it fails in that process: MemoryError, or
            the error of torch's allocator. Each process that it starts may have as much as it has itself.
        file_size: bytes of the largest file that it may write, or None.
    """

    memory: int | None = None
    file_size: int | None = None


def check() -> str:
    """Return what limits are called.

    Raises:
        Refused: they cannot.
    """
    own_memory()
    return "rlimits"


def own_memory() -> int:
    """Return the bytes of this process that count for the limit (``VmData``).

    Raises:
        Refused: the kernel does not say.
    """
    if not LINUX:
        raise Refused("only Linux counts what is a process's own")
    try:
        with open(_STATUS, "rb") as stream:
            for line in stream:
                if line.startswith(b"VmData:"):
                    return int(line.split()[1]) * 1024
    except OSError as error:
        raise Refused(f"{_STATUS}: {error.strerror}") from error
    raise Refused(f"{_STATUS} says nothing of VmData")


def set_limits(limits: ProcessLimits) -> None:
    """Set limits for good, on this process and all that it starts.

    Raises:
        Refused: the kernel said no.
    """
    import resource

    wanted = {resource.RLIMIT_CORE: 0}
    if limits.memory is not None:
        wanted[resource.RLIMIT_DATA] = own_memory() + limits.memory
    if limits.file_size is not None:
        wanted[resource.RLIMIT_FSIZE] = limits.file_size
    for kind, amount in wanted.items():
        hard = resource.getrlimit(kind)[1]
        least = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
        try:
            resource.setrlimit(kind, (least, least))
        except (OSError, ValueError) as error:
            raise Refused(f"limits: {error}") from error
