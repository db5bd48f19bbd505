"""Images in which two patterns lie on top of each other somewhere, and single patterns elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from interp_bench.errors import PlantingError
from interp_bench.planting.evidence.images import backgrounds

SPAN = 2  # positions of the stem's output that a pattern takes along each side


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """All of an image but the two patterns that decide.

    Attributes:
        images: (n, 3, size, size), backgrounds with the lures in place.
        corners: (n, 2) pixel row and column where the deciding patterns go.
    """

    images: Tensor
    corners: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenes:
    """Draws images.

    Patterns of the first kind and of the second are added up at one place, which decides the class. Lures
    are patterns of one kind alone at other places: whether a pattern is somewhere in the image tells
    nothing, only what lies on top of what.

    Attributes:
        size: height and width of the images in pixels.
        cells: (2, n_values, 3, cell, cell) of +1 and -1: the patterns of either kind.
        tiles: how often a cell is repeated along each side of a pattern.
        amplitude: height of a pattern, in pixel units (the background has a standard deviation of 0.78).
        lures: number of lures of each kind.
        corners: (n_places, n_choices, 2) pixel rows and columns. No two patterns share a place; those in
            different places do not overlap and do not meet before the layer that joins them.
        device, dtype: of the images.
    """

    size: int
    cells: Tensor
    tiles: int
    amplitude: float
    lures: int
    corners: Tensor
    device: torch.device
    dtype: torch.dtype

    @property
    def n_values(self) -> int:
        """Number of patterns of each kind."""
        return self.cells.shape[1]

    def layout(self, n: int, generator: torch.Generator) -> Layout:
        """Draw ``n`` backgrounds with lures, and a free place in each."""
        images = backgrounds(n, self.size, generator)
        values = torch.randint(self.n_values, (n, 2, self.lures), generator=generator)
        deciding = torch.zeros(n, 2, dtype=torch.long)
        for i in range(n):
            places = torch.randperm(len(self.corners), generator=generator)[: 1 + 2 * self.lures]
            choices = torch.randint(self.corners.shape[1], places.shape, generator=generator)
            corners = self.corners[places, choices]
            deciding[i] = corners[0]
            for corner, (kind, j) in zip(corners[1:], self._lures(), strict=True):
                self._stamp(images[i], kind, int(values[i, kind, j]), corner)
        return Layout(images=images, corners=deciding)

    def draw(self, layout: Layout, values: Tensor) -> Tensor:
        """Return images (n, 3, size, size) with the patterns ``values`` (n, 2) at the layout's places."""
        images = layout.images.clone()
        for image, corner, pair in zip(images, layout.corners, values.tolist(), strict=True):
            for kind, value in enumerate(pair):
                self._stamp(image, kind, value, corner)
        return images.to(self.device, self.dtype)

    def _lures(self) -> list[tuple[int, int]]:
        return [(kind, j) for kind in (0, 1) for j in range(self.lures)]

    def _stamp(self, image: Tensor, kind: int, value: int, corner: Tensor) -> None:
        pattern = self.cells[kind, value].repeat(1, self.tiles, self.tiles)
        row, column = corner.tolist()
        side = pattern.shape[-1]
        image[:, row : row + side, column : column + side] += self.amplitude * pattern


def find_corners(size: int, side: int, pitch: int, origin: int, factor: int) -> Tensor:
    """Return where patterns may stand, (n_places, n_choices, 2) pixel rows and columns of their corners.

    Args:
        size: height and width of the images in pixels.
        side: height and width of a pattern in pixels.
        pitch: pixels between neighbouring positions of the stem's output.
        origin: pixel where a pattern has to begin to be seen at position 0; may lie outside the image.
        factor: positions of the stem along each side of one position of the layer that joins the patterns.

    Raises:
        PlantingError: no pattern fits.
    """
    block = max(factor, SPAN)
    places: list[list[int]] = []
    for start in range(0, size // pitch - block + 1, block):
        steps = [origin + pitch * p for p in range(start, start + block, SPAN)]
        places.append([corner for corner in steps if 0 <= corner <= size - side])
    choices = min((len(place) for place in places if place), default=0)
    if choices == 0:
        raise PlantingError(f"patterns of {side} pixels do not fit into images of {size} pixels")
    ends = torch.tensor([place[-choices:] for place in places if len(place) >= choices])
    rows = ends[:, None, :, None].expand(-1, len(ends), -1, choices)
    columns = ends[None, :, None, :].expand(len(ends), -1, choices, -1)
    return torch.stack([rows, columns], dim=-1).reshape(len(ends) ** 2, choices**2, 2)
