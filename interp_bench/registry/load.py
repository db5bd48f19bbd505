"""Read models.yaml into a registry; every mistake is one line with file, line number and the way out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from interp_bench.errors import RegistryError, near_name, shortened
from interp_bench.registry.document import Document, parse
from interp_bench.registry.document import Path as Place
from interp_bench.registry.sources import SOURCE_KINDS
from interp_bench.registry.spec import Capability, Kind, Ladder, Modality, ModelSpec, Tier

ENVIRONMENT = "INTERP_BENCH_MODELS"
M = TypeVar("M", bound=BaseModel)
_CHOICES: dict[str, Any] = {"modality": Modality, "kind": Kind, "tier": Tier}


@dataclass(frozen=True, kw_only=True)
class Registry:
    """All models and ladders of one models.yaml, in the order of the file.

    Attributes:
        specs: the rows.
        ladder_rows: the declared ladders.
        path: the file that was read.
    """

    specs: tuple[ModelSpec, ...]
    ladder_rows: tuple[Ladder, ...]
    path: Path

    def __iter__(self) -> Iterator[ModelSpec]:
        """Iterate over the rows."""
        return iter(self.specs)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.specs)

    @cached_property
    def ladders(self) -> dict[str, tuple[ModelSpec, ...]]:
        """The rows of each ladder, smallest or earliest first."""
        return {
            ladder.name: tuple(s for s in self.specs if s.ladder == ladder.name)
            for ladder in self.ladder_rows
        }

    @cached_property
    def _by_id(self) -> dict[str, ModelSpec]:
        return {spec.id: spec for spec in self.specs}

    def get(self, model_id: str) -> ModelSpec:
        """Return the row named ``model_id``.

        Raises:
            RegistryError: if there is none; the text suggests a near name.
        """
        try:
            return self._by_id[model_id]
        except KeyError:
            raise RegistryError(
                f"no model {model_id!r} in {self.path.name}{near_name(model_id, self._by_id)}"
            ) from None


def default_path() -> Path:
    """Return the models.yaml in force: the environment's, else the wheel's, else the repository's."""
    named = os.environ.get(ENVIRONMENT)
    if named:
        return Path(named)
    packaged = Path(str(resources.files("interp_bench"))) / "data" / "models.yaml"
    return packaged if packaged.is_file() else Path(__file__).resolve().parents[2] / "models.yaml"


def load_registry(path: Path | None = None) -> Registry:
    """Read and check a models.yaml.

    Args:
        path: the file; by default ``INTERP_BENCH_MODELS``, else the one that ships with the package.

    Raises:
        RegistryError: one line with file name and line number for the first mistake.
    """
    path = default_path() if path is None else Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RegistryError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise RegistryError(f"{path.name}:1: the file is not UTF-8 text") from None
    return _registry_of(text, path)


@lru_cache(maxsize=4)
def _registry_of(text: str, path: Path) -> Registry:
    """Check a text, once a process: a worker of a cluster asks again for each group of trials."""
    document = parse(text, path.name)
    ladders, models = _sections(document)
    rungs = tuple(_row(document, ("ladders", i), Ladder, row) for i, row in enumerate(ladders))
    _refuse_repeats(document, "ladders", [ladder.name for ladder in rungs], "name")
    specs = tuple(_row(document, ("models", i), ModelSpec, row) for i, row in enumerate(models))
    _refuse_repeats(document, "models", [spec.id for spec in specs], "id")
    _check_ladders(document, rungs, specs)
    return Registry(specs=specs, ladder_rows=rungs, path=path)


def _sections(document: Document) -> tuple[list[Any], list[Any]]:
    data = document.data
    if not isinstance(data, dict):
        raise document.error((), "the file must hold the keys `ladders:` and `models:`")
    for key in data:
        if key not in ("ladders", "models"):
            raise document.error(
                (key,), f"unknown key {shortened(key)}{near_name(key, ('ladders', 'models'))}"
            )
    for key in ("ladders", "models"):
        if not isinstance(data.get(key), list) or not data[key]:
            raise document.error((key,), f"`{key}:` must be a list with at least one row")
    return data["ladders"], data["models"]


def _row(document: Document, place: Place, model: type[M], row: object) -> M:
    if not isinstance(row, dict):
        raise document.error(place, f"a row must be a set of keys, not {shortened(row)}")
    try:
        return model.model_validate(row)
    except ValidationError as error:
        raise _explain(document, place, model, row, error) from None


def _refuse_repeats(document: Document, section: str, names: Sequence[str], key: str) -> None:
    first: dict[str, int] = {}
    for i, name in enumerate(names):
        if name in first:
            earlier = document.line((section, first[name], key))
            raise document.error(
                (section, i, key), f"{key} {name!r} is taken by line {earlier}; give each row its own"
            )
        first[name] = i


def _explain(
    document: Document, place: Place, model: type[BaseModel], row: dict[str, Any], error: ValidationError
) -> RegistryError:
    # Unknown keys first: a misspelt key shows twice, and the missing one is only its shadow.
    details = sorted(error.errors(), key=lambda d: d["type"] != "extra_forbidden")[0]
    blamed = getattr(details.get("ctx", {}).get("error"), "path", ())
    location = _without_tags((*details["loc"], *blamed))
    label = row.get("id") or row.get("name")
    where = f" in row {shortened(label)}" if isinstance(label, str) else ""
    return document.error((*place, *location), f"{_message(details, location, model, row)}{where}")


def _without_tags(location: Place) -> Place:
    if len(location) > 1 and location[0] == "source" and location[1] in SOURCE_KINDS:
        return (location[0], *location[2:])
    return location


def _message(details: ErrorDetails, location: Place, model: type[BaseModel], row: dict[str, Any]) -> str:
    key = str(location[-1]) if location else ""
    match details["type"]:
        case "extra_forbidden":
            return f"unknown key {shortened(key)}{near_name(key, _known_keys(location[:-1], model, row))}"
        case "missing":
            return f"the key {key!r} is missing"
        case "literal_error":
            choices = [str(c) for c in get_args(_CHOICES.get(key))]
            hint = near_name(str(details["input"]), choices)
            expected = str(details["ctx"]["expected"]).replace(" or ", ", ")
            return f"{key} {shortened(details['input'])} is none of {expected}{hint}"
        case "union_tag_invalid" | "union_tag_not_found":
            given = details["input"].get("kind") if isinstance(details["input"], dict) else details["input"]
            hint = near_name(str(given), SOURCE_KINDS)
            return f"source kind {shortened(given)} is none of {', '.join(SOURCE_KINDS)}{hint}"
        case "value_error":
            return str(details["ctx"]["error"])
        case "string_pattern_mismatch":
            return f"{key} {shortened(details['input'])} does not have the form {details['ctx']['pattern']}"
        case _:
            reason = details["msg"][:1].lower() + details["msg"][1:]
            return f"{key} {shortened(details['input'])} is impossible: {reason}"


def _known_keys(parent: Place, model: type[BaseModel], row: dict[str, Any]) -> list[str]:
    if parent == ("source",):
        return list(SOURCE_KINDS[row["source"]["kind"]].model_fields)
    if parent == ("capability",):
        return list(Capability.model_fields)
    return list(model.model_fields)


def _check_ladders(document: Document, ladders: Sequence[Ladder], specs: Sequence[ModelSpec]) -> None:
    known = {ladder.name: ladder for ladder in ladders}
    for i, spec in enumerate(specs):
        place: Place = ("models", i, "ladder")
        if spec.ladder not in known:
            raise document.error(
                place, f"no ladder {spec.ladder!r}{near_name(spec.ladder, known)} in row {spec.id!r}"
            )
        if spec.modality != known[spec.ladder].modality:
            raise document.error(
                ("models", i, "modality"),
                f"{spec.modality} model {spec.id!r} cannot stand on the {known[spec.ladder].modality} "
                f"ladder {spec.ladder!r}",
            )
    for j, ladder in enumerate(ladders):
        rungs = [(i, spec) for i, spec in enumerate(specs) if spec.ladder == ladder.name]
        if len(rungs) < 2:
            raise document.error(
                ("ladders", j, "name"),
                f"ladder {ladder.name!r} has {len(rungs)} model(s); a ladder needs two",
            )
        _check_rungs(document, ladder, rungs)


def _check_rungs(document: Document, ladder: Ladder, rungs: Sequence[tuple[int, ModelSpec]]) -> None:
    for (_, lower), (i, upper) in pairwise(rungs):
        if ladder.axis == "size" and upper.params <= lower.params:
            raise document.error(
                ("models", i, "params"),
                f"{upper.id!r} ({upper.params:,}) must be larger than {lower.id!r} ({lower.params:,}), "
                f"which stands before it on the ladder {ladder.name!r}",
            )
        if ladder.axis == "training" and upper.params != lower.params:
            raise document.error(
                ("models", i, "params"),
                f"{upper.id!r} and {lower.id!r} differ in size, but {ladder.name!r} is a ladder of training",
            )
