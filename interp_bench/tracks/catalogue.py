"""The catalogue of techniques and tasks, and the two decorators that fill it."""

from __future__ import annotations

import hashlib
import inspect
import math
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from interp_bench.errors import InterpBenchError, RegistrationError, near_name
from interp_bench.tracks.base import Planted, Track

Access = Literal["activations", "forward", "gradients", "weights"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a task or a technique needs of a model; checked against its row in models.yaml.

    Attributes:
        modalities: modalities it can run on, ``lm`` and ``image``.
        kinds: architecture kinds it can run on; empty means any.
        max_params: largest number of parameters it is meant for; None means any.
        min_params: smallest number of parameters that it has room in.
    """

    modalities: tuple[str, ...] = ("lm", "image")
    kinds: tuple[str, ...] = ()
    max_params: int | None = None
    min_params: int = 0

    def unmet_by(self, modality: str, kind: str, params: int) -> str | None:
        """Return why a model does not qualify, or None when it does."""
        if modality not in self.modalities:
            return f"needs a model of modality {' or '.join(self.modalities)}, not {modality}"
        if self.kinds and kind not in self.kinds:
            return f"needs a model of kind {', '.join(self.kinds)}, not {kind}"
        if self.max_params is not None and params > self.max_params:
            return f"meant for at most {self.max_params:,} parameters, the model has {params:,}"
        if params < self.min_params:
            return f"has room from {self.min_params:,} parameters on, the model has {params:,}"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a registered technique and a registered task have in common.

    Attributes:
        name: function name; unique within its track.
        track: the track whose question it asks or answers.
        function: the decorated function.
        version: raised by the author when results change.
        needs: which models it applies to.
        arguments: keyword arguments with their defaults.
        summary: first line of the docstring.
        origin: file that defines it.
        quick: models that it runs on where nothing but the quick tier selects it; all that meet
            its needs when None.
    """

    name: str
    track: Track[Any, Any, Any]
    function: Callable[..., Any]
    version: int
    needs: Needs
    arguments: MappingProxyType[str, Any]
    summary: str
    origin: Path
    quick: Needs | None = None

    @property
    def id(self) -> str:
        """``track/name``."""
        return f"{self.track.name}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Technique(Entry):
    """A registered technique: called with a Problem, it returns an Answer.

    Attributes:
        cites: where the technique comes from.
        access: the deepest access to the model that it uses.
        cost: its cost in words, e.g. ``2 forwards + 1 backward``.
        floor: whether this technique guesses, and so defines the floor of its track.
        fingerprint: hash of its source file, so that an edited technique is scored anew.
    """

    cites: str
    access: Access
    cost: str
    floor: bool
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Entry):
    """A registered task: called with a Model and a seed, it plants, certifies and returns Planted."""


@dataclass(slots=True)
class Catalogue:
    """All registered tracks, techniques and tasks, by ``track/name``."""

    tracks: dict[str, Track[Any, Any, Any]] = field(default_factory=dict)
    techniques: dict[str, Technique] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)

    def add_track(self, track: Track[Any, Any, Any]) -> None:
        """Make a track known to the decorators."""
        self.tracks[track.name] = track

    def add(self, entry: Technique | Task) -> None:
        """Add an entry.

        Raises:
            RegistrationError: another file already registered this id; both are named.
        """
        shelf: dict[str, Any] = self.techniques if isinstance(entry, Technique) else self.tasks
        other = shelf.get(entry.id)
        if other is not None and other.origin != entry.origin:
            raise RegistrationError(
                f"{entry.id} is registered twice: in {other.origin} and in {entry.origin}; rename one of them"
            )
        shelf[entry.id] = entry

    def technique(self, name: str) -> tuple[Technique, ...]:
        """Return the techniques called ``name`` or ``track/name``.

        Raises:
            InterpBenchError: none is; the message suggests a near name.
        """
        found = tuple(t for t in self.techniques.values() if name in (t.name, t.id))
        if not found:
            known = [t.name for t in self.techniques.values()]
            raise InterpBenchError(f"no technique is called {name!r}{near_name(name, known)}")
        return found

    def floor_of(self, track: str) -> Technique:
        """Return the technique that defines the floor of a track."""
        return next(t for t in self.techniques.values() if t.floor and t.track.name == track)


CATALOGUE = Catalogue()


def technique(
    *,
    cites: str,
    version: int = 1,
    access: Access = "activations",
    cost: str = "",
    needs: Needs | None = None,
    quick: Needs | None = None,
    floor: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as a technique; its annotations say on which track.

    Args:
        cites: where the technique comes from (paper, book, library).
        version: raise it when results change.
        access: the deepest access to the model that it uses.
        cost: cost in words.
        needs: which models it applies to; any when None.
        quick: on which of them a dear technique runs where nothing but the quick tier selects it, so
            that the tier stays within minutes; naming a model or a task lifts this.
        floor: True for a technique that guesses.

    Returns:
        A decorator that returns the function unchanged.

    Raises:
        RegistrationError: the signature, docstring or arguments break the contract.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        where = _where(function, "technique")
        hints = _hints(function, where)
        problem = _first_parameter(function, where, "problem: FeatureProblem")
        track = _track_of(hints.get(problem), hints.get("return"), where)
        if not cites.strip():
            raise RegistrationError(f"{where}: cites is empty; say where the technique comes from")
        CATALOGUE.add(
            Technique(
                **_common(function, where, track, version, needs, quick, given=1),
                cites=cites,
                access=access,
                cost=cost,
                floor=floor,
                fingerprint=_fingerprint(function),
            )
        )
        return function

    return register


def task(
    *, version: int = 1, needs: Needs | None = None, quick: Needs | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as a task; its return annotation says on which track.

    Args:
        version: raise it when the plant changes.
        needs: which models it applies to; any when None.
        quick: on which of them it runs where nothing but the quick tier selects it, so that the
            tier stays within minutes; naming a task or a model lifts this.

    Returns:
        A decorator that returns the function unchanged.

    Raises:
        RegistrationError: the signature, docstring or arguments break the contract.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        where = _where(function, "task")
        hints = _hints(function, where)
        _first_parameter(function, where, "model: Model")
        returned = hints.get("return")
        arguments = typing.get_args(returned)
        if typing.get_origin(returned) is not Planted or len(arguments) != 2:
            raise RegistrationError(f"{where}: the return annotation must be Planted[XProblem, XTruth]")
        track = next((t for t in CATALOGUE.tracks.values() if t.problem_type is arguments[0]), None)
        if track is None or track.truth_type is not arguments[1]:
            raise RegistrationError(f"{where}: Planted[...] does not name the Problem and Truth of one track")
        CATALOGUE.add(Task(**_common(function, where, track, version, needs, quick, given=2)))
        return function

    return register


def _where(function: Callable[..., Any], noun: str) -> str:
    code = getattr(function, "__code__", None)
    if code is None:
        raise RegistrationError(f"@{noun} decorates functions, not {type(function).__name__}")
    return f"{noun} {function.__name__!r} ({code.co_filename}:{code.co_firstlineno})"


def _hints(function: Callable[..., Any], where: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError, SyntaxError) as error:
        raise RegistrationError(f"{where}: an annotation cannot be resolved: {error}") from error


def _first_parameter(function: Callable[..., Any], where: str, example: str) -> str:
    parameters = list(inspect.signature(function).parameters)
    if not parameters:
        raise RegistrationError(f"{where}: takes no arguments; its first one must be like '{example}'")
    return parameters[0]


def _track_of(problem: Any, answer: Any, where: str) -> Track[Any, Any, Any]:
    tracks = CATALOGUE.tracks.values()
    found = next((t for t in tracks if t.problem_type is problem), None)
    if found is None:
        known = ", ".join(t.problem_type.__name__ for t in tracks)
        raise RegistrationError(
            f"{where}: annotate the first argument with one of {known}, not {_name(problem)}"
        )
    if answer is not found.answer_type:
        raise RegistrationError(
            f"{where}: a technique for {_name(problem)} returns {found.answer_type.__name__}, "
            f"not {_name(answer)}"
        )
    return found


def _common(
    function: Callable[..., Any],
    where: str,
    track: Track[Any, Any, Any],
    version: int,
    needs: Needs | None,
    quick: Needs | None,
    given: int,
) -> dict[str, Any]:
    if version < 1:
        raise RegistrationError(f"{where}: version is {version}; it starts at 1")
    if not function.__name__.isidentifier():
        raise RegistrationError(
            f"{where}: a name has only letters, digits and _; it stands in the ids of trials"
        )
    summary = (inspect.getdoc(function) or "").partition("\n")[0].strip()
    if not summary:
        raise RegistrationError(f"{where}: has no docstring; its first line is shown in the tables")
    return {
        "name": function.__name__,
        "track": track,
        "function": function,
        "version": version,
        "needs": needs or Needs(),
        "quick": quick,
        "arguments": MappingProxyType(dict(_keyword_defaults(function, where, given))),
        "summary": summary,
        "origin": Path(function.__code__.co_filename).resolve(),
    }


def _keyword_defaults(function: Callable[..., Any], where: str, given: int) -> Iterator[tuple[str, Any]]:
    for index, parameter in enumerate(inspect.signature(function).parameters.values()):
        if index < given:
            continue
        if parameter.kind is not parameter.KEYWORD_ONLY or parameter.default is parameter.empty:
            raise RegistrationError(
                f"{where}: argument {parameter.name!r} must be keyword-only with a default (put * before it)"
            )
        if not isinstance(parameter.default, bool | int | float | str | None):
            raise RegistrationError(
                f"{where}: the default of {parameter.name!r} is a {type(parameter.default).__name__}; "
                "use a bool, int, float, str or None, which can be stored"
            )
        if not _storable(parameter.default):
            raise RegistrationError(
                f"{where}: the default of {parameter.name!r} cannot be stored; use a finite number of "
                "at most 64 bits, or a text without lone surrogates"
            )
        yield parameter.name, parameter.default


def _storable(value: bool | int | float | str | None) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return all(not 0xD800 <= ord(sign) < 0xE000 for sign in value)
    return value is None or abs(value) < 2**63


def _fingerprint(function: Callable[..., Any]) -> str:
    try:
        source = Path(function.__code__.co_filename).read_bytes()
    except OSError:
        source = function.__code__.co_code
    return hashlib.sha256(source).hexdigest()[:16]


def _name(annotation: Any) -> str:
    return getattr(annotation, "__name__", None) or str(annotation)
