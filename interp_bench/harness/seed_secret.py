"""Secret seeds: what is planted follows from a secret, so that nobody can plant it again to read it off.

The seed of problem 0, 1, 2 of a task and a model is then

    first 31 bits of HMAC-SHA256(secret, "task id|model id|index")

and all else that the harness draws for this problem follows in the same way, with more parts after
the index. Trials name the secret by its commitment, HMAC-SHA256(secret, "interp_bench seed secret"),
16 hexadecimal digits. Whoever publishes the secret once a round is over lets everybody check both.

Networks are planted from generators of torch, which use 32 bits of any seed, so more bits would add
nothing. Trying out all 2**31 seeds takes 68 years of one core where each is planted, at a second each;
whoever only repeats a task's first draws, at 10 microseconds each, needs 6 hours a problem. So
techniques get a time limit well below that, and a round a secret of its own.
"""

from __future__ import annotations

import ctypes
import hmac
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from interp_bench.errors import InterpBenchError

OPTION = "--bench-seed-secret"
LEAST_BYTES = 16
COMMITMENT_LABEL = "interp_bench seed secret"

_VARIABLE = "env:"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedSecret:
    """A secret that seeds follow from; it neither prints nor pickles.

    Attributes:
        value: the secret itself.
    """

    value: bytes = field(repr=False)

    @property
    def commitment(self) -> str:
        """16 hexadecimal digits that name the secret and do not tell it."""
        return self._digest(COMMITMENT_LABEL).hex()[:16]

    def seed(self, *parts: str | int) -> int:
        """Return a seed below 2**31.

        Args:
            parts: task id, model id and index for the seed of the plant; more for other purposes.
        """
        return int.from_bytes(self._digest("|".join(map(str, parts)))[:4], "big") >> 1

    def _digest(self, message: str) -> bytes:
        return hmac.digest(self.value, message.encode(), "sha256")

    def __reduce__(self) -> NoReturn:
        """Refuse to be sent to another process.

        Raises:
            TypeError: always.
        """
        raise TypeError("the secret of the seeds stays in its process; read it again there")


def read_secret(source: str, here: Path, *, option: str = OPTION) -> SeedSecret:
    """Return a secret, white space around it left out.

    Args:
        source: path of a file, or ``env:`` and the name of an environment variable.
        here: folder that the path is relative to.
        option: of the command line that gave the source, for errors.

    Raises:
        InterpBenchError: there is no secret, it is too short, or other users may read it.
    """
    name = variable_of(source)
    where = f"{option} {source}"
    value = _of_file(here / source, where) if name is None else _of_variable(name, where)
    value = value.strip()
    if len(value) < LEAST_BYTES:
        raise InterpBenchError(
            f"{where}: the secret has {len(value)} bytes and needs {LEAST_BYTES} at least; "
            "make one with: python -c 'import secrets; print(secrets.token_hex(32))'"
        )
    return SeedSecret(value=value)


def variable_of(source: str) -> str | None:
    """Return the name of the environment variable that holds a secret, or None where a file does."""
    return source.removeprefix(_VARIABLE) if source.startswith(_VARIABLE) else None


def secret_paths(source: str, here: Path) -> tuple[Path, ...]:
    """Return the files that a technique may not read, for they hold the secret.

    Args:
        source: value of ``--bench-seed-secret``, or an empty string.
        here: folder that it is relative to.
    """
    return (here / source,) if source and variable_of(source) is None else ()


def forget_variable(source: str) -> None:
    """Take a secret out of the environment of this process for good, and of those that it starts.

    Its letters are overwritten, since ``/proc/PID/environ`` shows the memory that the process was
    started with, and a fork inherits that.

    Args:
        source: value of ``--bench-seed-secret``; a file is left alone.
    """
    name = variable_of(source)
    value = os.environ.get(name) if name else None
    if not name or value is None:
        return
    if os.name == "posix":
        getenv = ctypes.CDLL(None).getenv
        getenv.restype = ctypes.c_void_p
        place = getenv(os.fsencode(name))
        if place:
            ctypes.memset(place, ord("-"), len(os.fsencode(value)))
    del os.environ[name]


def _of_variable(name: str, where: str) -> bytes:
    value = os.environ.get(name)
    if value is None:
        raise InterpBenchError(f"{where}: no environment variable is called {name!r}")
    return os.fsencode(value)


def _of_file(path: Path, where: str) -> bytes:
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if os.name == "posix" and mode & stat.S_IROTH:
                raise InterpBenchError(
                    f"{where}: other users may read this file; run: chmod o-r {path}, or hand the secret "
                    f"over in an environment variable, as {_VARIABLE}NAME"
                )
            return stream.read()
    except OSError as error:
        raise InterpBenchError(
            f"{where}: cannot read the secret: {error.strerror or error}; give a file that holds it, or "
            f"{_VARIABLE}NAME for an environment variable"
        ) from error
