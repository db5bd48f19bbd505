"""Finding a technique's function in the process that calls it, from where it is defined."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interp_bench.errors import ContractError
from interp_bench.harness.isolation.job import Job, Source
from interp_bench.harness.isolation.packing import file_of
from interp_bench.harness.isolation.signpost import put_up
from interp_bench.tracks.catalogue import CATALOGUE, Technique


def source_of(technique: Technique) -> Source:
    """Return where a technique is defined."""
    if isinstance(technique.function, Elsewhere):
        return technique.function.source
    module = technique.function.__module__
    return Source(module=module, file=str(technique.origin) if file_of(module) else "")


class Elsewhere:
    """Stands for the function of a technique whose module was not imported into this process.

    Args:
        source: where it is defined.
        name: of the technique.
    """

    def __init__(self, source: Source, name: str) -> None:
        self.source = source
        self.__name__ = name
        self.__module__ = source.module

    def __call__(self, problem: object) -> object:
        """Refuse.

        Raises:
            ContractError: always.
        """
        raise ContractError(f"technique {self.__name__} was registered apart; it runs in a worker only")


def load(source: Source) -> None:
    """Import a module or load a file, so that what it registers is in the catalogue.

    Raises:
        RegistrationError: it cannot be imported, or breaks the contract; one line.
    """
    from interp_bench.harness.discovery import explained, load_file

    if source.file:
        # An installed package may hold tasks too, and these do import planting.
        put_up()
        load_file(Path(source.file))
    else:
        with explained(f"module {source.module}"):
            importlib.import_module(source.module)


def function_of(job: Job) -> tuple[Callable[[Any], object], type]:
    """Return the function of the technique of a job, and the type of its answers.

    Raises:
        RegistrationError: its module cannot be imported.
        ContractError: it does not register the technique any more.
    """
    technique = CATALOGUE.techniques.get(job.technique)
    if technique is None or source_of(technique) != job.source:
        load(job.source)
        technique = CATALOGUE.techniques.get(job.technique)
    if technique is None:
        where = job.source.file or job.source.module
        raise ContractError(
            f"{where} registers no technique {job.technique} in a worker, though it did before"
        )
    return technique.function, technique.track.answer_type
