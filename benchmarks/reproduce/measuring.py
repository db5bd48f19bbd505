"""Runs the jobs of a section, one after the other or over processes."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

import torch

from .sections import Job, Measured, Section, gathered
from .stored import Result, result

Timed = tuple[list[Measured], float]


def measured(section: Section, *, seeds: int | None, brief: bool, jobs: int, command: str) -> Result:
    """Return what a section finds.

    Args:
        section: what is measured.
        seeds: plants a cell; as many as the section says where None.
        brief: whether to take its smallest cells and cheapest arguments.
        jobs: processes, each of one thread.
        command: what is written down as having measured it.
    """
    found: list[Measured] = []
    seconds, parts = 0.0, section.jobs(seeds, brief=brief)
    for job, (several, spent) in zip(parts, _run(section.measure, parts, jobs), strict=True):
        found += several
        seconds += spent
        print(f"{section.name}: {', '.join(job.cell)}, {spent:.0f} s", file=sys.stderr, flush=True)
    return result(
        section,
        gathered(found),
        seeds=parts[0].seeds,
        command=command,
        seconds=seconds,
        threads=torch.get_num_threads() if jobs == 1 else 1,
    )


def _run(measure: Callable[[Job], list[Measured]], parts: Sequence[Job], jobs: int) -> Iterator[Timed]:
    if jobs == 1:
        yield from (_timed(measure, job) for job in parts)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        jobs, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        yield from pool.map(_timed, [measure] * len(parts), parts)


def _timed(measure: Callable[[Job], list[Measured]], job: Job) -> Timed:
    begun = time.process_time()
    found = measure(job)
    return found, time.process_time() - begun
