"""Registering what strangers' modules define without importing them here: a worker tells of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from interp_bench.errors import RegistrationError
from interp_bench.harness.faults import printable
from interp_bench.harness.folders import is_file
from interp_bench.harness.isolation.caller import stopped
from interp_bench.harness.isolation.describing import TRUSTED, Description, registered
from interp_bench.harness.isolation.job import Job, Report, Source
from interp_bench.harness.isolation.keeper import Settings
from interp_bench.harness.isolation.loading import Elsewhere, source_of
from interp_bench.harness.isolation.staff import Nursery
from interp_bench.harness.limits import Limits
from interp_bench.tracks.catalogue import CATALOGUE, Technique

_LIMITS = Limits(seconds=120.0, memory_bytes=8 << 30)


class Registrar:
    """Registers techniques that are defined elsewhere.

    Args:
        nursery: starts the processes that import them.
        hidden: files and folders that these cannot read.
    """

    def __init__(self, nursery: Nursery, hidden: Sequence[Path] = ()) -> None:
        self._nursery = nursery
        self._settings = Settings(hidden=tuple(str(path) for path in hidden))

    def file(self, path: Path) -> tuple[Technique, ...]:
        """Register the techniques of a file, and return them.

        Raises:
            RegistrationError: the file is missing, cannot be imported, breaks the contract, or holds no
                technique.
            IsolationError: no worker can be had.
        """
        if not is_file(path):
            raise RegistrationError(f"{path}: there is no such file")
        found = self._registered(Source(file=str(path.resolve())))
        if not found:
            raise RegistrationError(
                f"{path}: registers no technique; decorate a function with @technique(...)"
            )
        return found

    def module(self, name: str, otherwise: Callable[[], object]) -> None:
        """Register the techniques of an installed module.

        Args:
            name: of the module.
            otherwise: imports it here; called where it registers a track or a task too, which run beside
                the truth whatever happens.

        Raises:
            RegistrationError: it cannot be imported, or breaks the contract.
            IsolationError: no worker can be had.
        """
        try:
            self._registered(Source(module=name))
        except RegistrationError as error:
            if not str(error).endswith(TRUSTED):
                raise
            otherwise()

    def _registered(self, source: Source) -> tuple[Technique, ...]:
        where = source.file or f"module {source.module}"
        keeper = self._nursery.keeper(None, self._settings)
        try:
            reply = keeper.do(Job(do="describe", source=source, limits=_LIMITS))
        finally:
            keeper.close()
        if reply is None:
            raise RegistrationError(f"{where}: ended the process that watches workers while it was imported")
        fault = stopped(reply.ending, _LIMITS)
        if fault is not None:
            raise RegistrationError(f"{where}: could not be imported: {fault.reason}")
        try:
            report = Report.model_validate_json(reply.ending.report)
            found = [Description.model_validate(part) for part in report.found]
        except ValidationError as error:
            raise RegistrationError(
                f"{where}: its worker reported nonsense ({error.errors()[0]['msg']})"
            ) from error
        if report.status != "ok":
            raise RegistrationError(printable(report.reason))
        techniques = tuple(registered(part, source.file) for part in found)
        _forget(source)
        for technique in techniques:
            _refuse_twins(technique)
            CATALOGUE.add(technique)
        return techniques


def _refuse_twins(technique: Technique) -> None:
    """Refuse a name that another source has; where a technique says that it comes from counts for nothing.

    Raises:
        RegistrationError: another source registered this name.
    """
    other = CATALOGUE.techniques.get(technique.id)
    if other is not None and not (
        isinstance(other.function, Elsewhere) and source_of(other) == source_of(technique)
    ):
        mine = source_of(technique)
        raise RegistrationError(
            f"{technique.id} is registered twice: in {other.origin} and in {mine.file or mine.module}; "
            "rename one of them"
        )


def _forget(source: Source) -> None:
    """Take out what a file registered before, for it may have been edited."""
    if source.file:
        origin = Path(source.file)
        for key in [key for key, entry in CATALOGUE.techniques.items() if entry.origin == origin]:
            del CATALOGUE.techniques[key]
