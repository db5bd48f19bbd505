"""A stored snapshot, and its file: an answer beside the truth, in rows of digits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, FiniteFloat, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from interp_bench.errors import StoreError
from interp_bench.harness.trial import Stored, Whole, fault_in

SCHEMA: Final = 1
"""Number of the layout of a stored snapshot; raised when a field changes its meaning."""

MOST_BYTES = 1 << 20
"""A file that is larger holds no snapshot: they take kilobytes."""

Digits = Annotated[str, Field(pattern=r"^[0-9a-f]+$", max_length=4096)]
"""Hexadecimal digits, a fixed number of them a value."""

Mask = Annotated[str, Field(pattern=r"^[.#]+$", max_length=4096)]
"""``#`` where something was planted, ``.`` elsewhere."""

Name = Annotated[str, Field(pattern=r"^\w[\w.<>-]*$", max_length=100)]
Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
Token = Annotated[int, Field(ge=0, lt=2**31)]
Size = Annotated[int, Field(ge=0, le=10**9)]


def _wrong(text: str) -> PydanticCustomError:
    return PydanticCustomError("shape", "{text}", {"text": text})


def _rectangle(rows: tuple[str, ...]) -> tuple[str, ...]:
    if len({len(row) for row in rows}) > 1:
        raise _wrong("rows differ in length")
    return rows


Rows = Annotated[tuple[Digits, ...], Field(min_length=1, max_length=1024), AfterValidator(_rectangle)]


class PixelExample(Stored):
    """One image.

    Attributes:
        image: (height) rows of three digits a pixel: red, green and blue, each 0 to 15.
        corner: (row, column) of the first pixel of ``planted``.
        planted: the part of the image that holds all evidence, in rows of one sign a pixel.
        saliency: (height) rows of one digit a pixel, 0 the least and 15 the most salient.
        peaks: (row, column) of the most salient pixels; none where many tie.
    """

    image: Rows
    corner: tuple[Size, Size]
    planted: Annotated[tuple[Mask, ...], Field(min_length=1), AfterValidator(_rectangle)]
    saliency: Rows
    peaks: tuple[tuple[Size, Size], ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> PixelExample:
        height, width = self.size
        if len(self.image) != height or len(self.image[0]) != 3 * width:
            raise _wrong(f"the image is not as large as its saliency, {height} x {width}")
        (top, left), below = self.corner, len(self.planted)
        if top + below > height or left + len(self.planted[0]) > width:
            raise _wrong("what is planted reaches out of the image")
        if any(row >= height or column >= width for row, column in self.peaks):
            raise _wrong("a peak lies outside of the image")
        return self

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return len(self.saliency), len(self.saliency[0])

    def holds(self, row: int, column: int) -> bool:
        """Return whether a pixel is planted evidence."""
        row, column = row - self.corner[0], column - self.corner[1]
        inside = 0 <= row < len(self.planted) and 0 <= column < len(self.planted[0])
        return inside and self.planted[row][column] == "#"


class Pixels(Stored):
    """Saliency over images."""

    kind: Literal["pixels"] = "pixels"
    examples: Annotated[tuple[PixelExample, ...], Field(min_length=1, max_length=16)]

    @model_validator(mode="after")
    def _alike(self) -> Pixels:
        if len({one.size for one in self.examples}) > 1:
            raise _wrong("images differ in size")
        return self


class TokenExample(Stored):
    """One text.

    Attributes:
        tokens: (position) token ids.
        planted: one sign a token.
        saliency: two digits a token, 0 the least and 255 the most salient.
    """

    tokens: Annotated[tuple[Token, ...], Field(min_length=1, max_length=1024)]
    planted: Mask
    saliency: Digits

    @model_validator(mode="after")
    def _fits(self) -> TokenExample:
        if not len(self.tokens) == len(self.planted) == len(self.saliency) / 2:
            raise _wrong("tokens, planted and saliency differ in length")
        return self


class Tokens(Stored):
    """Saliency over texts."""

    kind: Literal["tokens"] = "tokens"
    examples: Annotated[tuple[TokenExample, ...], Field(min_length=1, max_length=64)]


class DrawnEdge(Stored):
    """An edge that was planted, or is among the first in the ranking.

    Attributes:
        source, destination: names of nodes.
        port: which input of the destination: ``q``, ``k`` or ``v`` of a head, or empty.
        planted, found: at least one of them is true.
    """

    source: Name
    destination: Name
    port: Literal["", "q", "k", "v"] = ""
    planted: bool
    found: bool


class Circuit(Stored):
    """The first edges of the ranking, as many as were planted, beside the planted ones.

    Attributes:
        columns: nodes in order of computation, those of one step in one column.
        edges: what is drawn.
        n_edges: edges of the whole graph.
        tied: edges that share the last places of the ranking, too many for them, and are not drawn.
    """

    kind: Literal["circuit"] = "circuit"
    columns: Annotated[tuple[tuple[Name, ...], ...], Field(min_length=2)]
    edges: Annotated[tuple[DrawnEdge, ...], Field(max_length=2000)]
    n_edges: Size
    tied: Size = 0

    @model_validator(mode="after")
    def _fits(self) -> Circuit:
        step = {name: i for i, names in enumerate(self.columns) for name in names}
        for edge in self.edges:
            if edge.source not in step or edge.destination not in step:
                raise _wrong(f"edge {edge.source} -> {edge.destination} joins no two nodes of the columns")
            if step[edge.source] >= step[edge.destination]:
                raise _wrong(f"edge {edge.source} -> {edge.destination} points backwards")
        return self


class Cosines(Stored):
    """A dictionary beside the planted one.

    Attributes:
        matched: (n_features,) |cos| of each planted feature and its partner, the largest first; 0 where
            the answer holds fewer directions.
        shown: ranks, in ``matched``, of the features that the matrix shows.
        matrix: a row for each shown feature, two digits (0 to 255) for |cos| with each shown partner.
        n_directions: directions of the answer.
    """

    kind: Literal["cosines"] = "cosines"
    matched: Annotated[tuple[Share, ...], Field(min_length=1, max_length=10_000)]
    shown: tuple[Size, ...]
    matrix: Rows
    n_directions: Size

    @model_validator(mode="after")
    def _fits(self) -> Cosines:
        size = len(self.shown)
        if len(self.matrix) != size or len(self.matrix[0]) != 2 * size:
            raise _wrong("the matrix has not one row and one column for each shown feature")
        if any(rank >= len(self.matched) for rank in self.shown):
            raise _wrong("a shown feature has no rank")
        return self


class SiteRow(Stored):
    """One site that an answer may name, and how many directions were planted there."""

    name: Name
    planted: Size


class Subspace(Stored):
    """Where a variable was found beside where it is carried.

    Attributes:
        sites: in order of depth.
        chosen: the site of the answer.
        cosines: of the principal angles between the answer and the planted subspace of its site, the
            largest first; empty where nothing is carried there.
        n_directions: directions of the answer.
        width: of the site of the answer.
    """

    kind: Literal["subspace"] = "subspace"
    sites: Annotated[tuple[SiteRow, ...], Field(min_length=1, max_length=200)]
    chosen: Name
    cosines: tuple[Share, ...]
    n_directions: Size
    width: Size

    @model_validator(mode="after")
    def _fits(self) -> Subspace:
        if self.chosen not in {site.name for site in self.sites}:
            raise _wrong("the chosen site is not among the sites")
        return self


class Patch(Stored):
    """A patch beside the planted one: (side) rows of three digits a pixel, from -bound 0 to bound 15."""

    kind: Literal["patch"] = "patch"
    planted: Rows
    found: Rows

    @model_validator(mode="after")
    def _fits(self) -> Patch:
        if (len(self.planted), len(self.planted[0])) != (len(self.found), len(self.found[0])):
            raise _wrong("the two patches differ in size")
        return self


class Phrase(Stored):
    """Tokens beside the planted ones: one of the spellings of every part is what flips the model."""

    kind: Literal["phrase"] = "phrase"
    planted: Annotated[tuple[tuple[Token, ...], ...], Field(min_length=1, max_length=64)]
    found: Annotated[tuple[Token, ...], Field(min_length=1, max_length=64)]


Content = Annotated[
    Pixels | Tokens | Circuit | Cosines | Subspace | Patch | Phrase, Field(discriminator="kind")
]


class Snapshot(Stored):
    """What one technique answered on one problem, beside what was planted there.

    Attributes:
        schema_number: layout of this record.
        track, technique, technique_version: whose answer it is; ``technique`` is the bare name.
        task, task_version, model, modality, seed: the problem.
        metric, score, skill: how the answer was graded, on the primary metric.
        content: what is drawn.
    """

    schema_number: Literal[1] = SCHEMA
    track: Name
    technique: Name
    technique_version: Whole
    task: Name
    task_version: Whole
    model: Name
    modality: Literal["lm", "image"]
    seed: Whole
    metric: Name
    score: FiniteFloat
    skill: FiniteFloat
    content: Content

    @property
    def file_name(self) -> str:
        """Name of its file, which no other snapshot has."""
        return f"{self.track}-{self.technique}-{self.task}-{self.model}-{self.seed}.json"


def text_of(snapshot: Snapshot) -> str:
    """Return the content of its file: keys sorted, one value a line."""
    return json.dumps(snapshot.model_dump(mode="json"), sort_keys=True, indent=1, allow_nan=False) + "\n"


def read_snapshot(path: Path) -> Snapshot:
    """Read one file.

    Raises:
        StoreError: it cannot be read or holds no snapshot; the file and the field are named.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    if len(content) > MOST_BYTES:
        raise StoreError(f"{path}: not a picture: it has more than {MOST_BYTES} bytes")
    try:
        return Snapshot.model_validate_json(content)
    except ValidationError as error:
        fault = fault_in(error)
        raise StoreError(f"{path}: not a picture: {fault}; make it with: interp-bench pictures") from error


def read_snapshots(folder: Path) -> tuple[Snapshot, ...]:
    """Read every ``*.json`` of a folder, in the order of names; none where there is no folder.

    Raises:
        StoreError: a file cannot be read or holds no snapshot.
    """
    return tuple(read_snapshot(path) for path in sorted(folder.glob("*.json")))
