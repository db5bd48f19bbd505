"""What a stranger's module registers, told by a worker, so that the harness need not import it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from interp_bench.errors import RegistrationError, near_name
from interp_bench.harness.isolation.job import Source
from interp_bench.harness.isolation.loading import Elsewhere, load
from interp_bench.tracks.catalogue import CATALOGUE, Needs, Technique

Name = Annotated[str, Field(pattern=r"^[A-Za-z_]\w{0,199}$")]
Line = Annotated[str, Field(max_length=1000)]


class _Needs(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    modalities: tuple[Line, ...]
    kinds: tuple[Line, ...]
    max_params: int | None
    min_params: int


class Description(BaseModel):
    """A technique as its worker tells of it; the fields are those of ``Technique``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    track: Line
    module: Line
    version: Annotated[int, Field(ge=1)]
    needs: _Needs
    quick: _Needs | None
    arguments: dict[Name, bool | int | float | str | None]
    summary: Line
    cites: Line
    access: Literal["activations", "forward", "gradients", "weights"]
    cost: Line
    floor: bool
    fingerprint: Annotated[str, Field(max_length=64)]
    origin: Annotated[str, Field(max_length=4096)]


def describe(source: Source) -> Iterator[dict[str, Any]]:
    """Yield what a source registers, as JSON; to be called where strangers' code may run.

    Raises:
        RegistrationError: it cannot be imported, breaks the contract, or registers a track or a task,
            which have to be trusted.
    """
    before = dict(CATALOGUE.techniques)
    tracks, tasks = set(CATALOGUE.tracks), set(CATALOGUE.tasks)
    load(source)
    where = source.file or source.module
    if set(CATALOGUE.tracks) - tracks or set(CATALOGUE.tasks) - tasks:
        raise RegistrationError(f"{where}: {TRUSTED}")
    for key, technique in CATALOGUE.techniques.items():
        if before.get(key) is not technique:
            yield _described(technique).model_dump(mode="json")


TRUSTED = "registers a track or a task, which runs beside the truth"
"""What is said of a source that cannot be kept apart."""


def _described(technique: Technique) -> Description:
    return Description(
        name=technique.name,
        track=technique.track.name,
        module=technique.function.__module__,
        version=technique.version,
        needs=_needs(technique.needs),
        quick=None if technique.quick is None else _needs(technique.quick),
        arguments=dict(technique.arguments),
        summary=technique.summary[:1000],
        cites=technique.cites[:1000],
        access=technique.access,
        cost=technique.cost[:1000],
        floor=technique.floor,
        fingerprint=technique.fingerprint,
        origin=str(technique.origin),
    )


def _needs(needs: Needs) -> _Needs:
    return _Needs(
        modalities=needs.modalities,
        kinds=needs.kinds,
        max_params=needs.max_params,
        min_params=needs.min_params,
    )


def registered(found: Description, file: str) -> Technique:
    """Return the technique of a description, for the catalogue of a process that does not import it.

    Args:
        found: what a worker told.
        file: the file that was asked about; empty for a module.

    Raises:
        RegistrationError: its track is unknown here, or it guesses.
    """
    if found.floor:
        raise RegistrationError(
            f"technique {found.name!r} ({found.origin}) is marked floor=True; what guesses on a track runs "
            "beside the truth, so it comes with the track; leave floor=True out"
        )
    track = CATALOGUE.tracks.get(found.track)
    if track is None:
        hint = near_name(found.track, CATALOGUE.tracks)
        raise RegistrationError(f"technique {found.name!r} is of an unknown track {found.track!r}{hint}")
    source = Source(module=found.module, file=file)
    return Technique(
        name=found.name,
        track=track,
        function=Elsewhere(source, found.name),
        version=found.version,
        needs=Needs(**found.needs.model_dump()),
        quick=None if found.quick is None else Needs(**found.quick.model_dump()),
        arguments=MappingProxyType(dict(found.arguments)),
        summary=found.summary,
        origin=Path(file or found.origin),
        cites=found.cites,
        access=found.access,
        cost=found.cost,
        floor=found.floor,
        fingerprint=_fingerprint(file) if file else found.fingerprint,
    )


def _fingerprint(file: str) -> str:
    """Return the hash of a file as the catalogue makes it; what its own code says of it may be a lie."""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]
