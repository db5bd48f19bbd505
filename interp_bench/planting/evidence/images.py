"""Images with patterns at known places: smooth and white noise, stamped with evidence and decoys."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from interp_bench.errors import PlantingError
from interp_bench.planting.evidence.base import DECOY, WHITE, Scene, Stimuli

SMOOTH = 0.6
_BLOB = 12  # pixels between the knots of the smooth part
_DECOY_POOL = 16
_DECOY_RESPONSE = 0.25  # a decoy may excite no detector by more than this (a pattern excites its own by 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamps:
    """The patterns of one plant, their detectors, and where they may stand.

    A pattern is ``tiles`` x ``tiles`` copies of one cell of signs, so that every pixel of it counts alike,
    and each copy alone excites the detector.

    Attributes:
        size: height and width of the images in pixels.
        cell: height and width in pixels of what one detector sees.
        tiles: cells along one side of a pattern.
        stride, offset: a pattern's corner lies at ``offset + i * stride``, so that detectors are aligned.
        cells: (n, 3, cell, cell) of +1 and -1.
        filters: (n, 3, cell, cell); filter i gives 1 on cell i, 0 on the other cells and on flat colours.
        decoys: (m, 3, cell, cell) of +1 and -1 that excite no filter: they look alike and mean nothing.
        scene: what else is in an image, and where patterns stand.
        device, dtype: of the images.
    """

    size: int
    cell: int
    tiles: int
    stride: int
    offset: int
    cells: Tensor
    filters: Tensor
    decoys: Tensor
    scene: Scene
    device: torch.device
    dtype: torch.dtype

    @property
    def side(self) -> int:
        """Height and width of a pattern in pixels."""
        return self.cell * self.tiles

    def __call__(self, classes: Tensor, generator: torch.Generator) -> Stimuli:
        """Draw images that show the patterns ``classes`` (n, k), NONE or DECOY, and decoys, without overlap.

        Returns:
            Stimuli with inputs (n, 3, size, size) and masks (n, k, size, size) on the CPU.
        """
        n, k = classes.shape
        images = backgrounds(n, self.size, generator, white=self.scene.white)
        masks = torch.zeros(n, k, self.size, self.size, dtype=torch.bool)
        decoys = torch.randint(len(self.decoys), (n, self.scene.decoys), generator=generator)
        for i in range(n):
            places = self._places(k, self.scene.decoys, generator)
            for j, (row, column) in enumerate(places):
                window = (slice(row, row + self.side), slice(column, column + self.side))
                if j < k and classes[i, j] >= 0:
                    cell = self.cells[int(classes[i, j])]
                    masks[(i, j, *window)] = True
                elif j < k and classes[i, j] != DECOY:
                    continue
                else:
                    cell = self.decoys[int(decoys[i, j - k]) if j >= k else i % len(self.decoys)]
                images[(i, slice(None), *window)] += self.scene.amplitude * self.tiled(cell)
        return Stimuli(inputs=images.to(self.device, self.dtype), masks=masks)

    def tiled(self, cell: Tensor) -> Tensor:
        """Return the pattern (3, side, side) of a cell (3, cell, cell)."""
        return cell.repeat(1, self.tiles, self.tiles)

    def corners(self) -> Tensor:
        """Return all (n, 2) rows and columns at which the corner of a pattern may lie."""
        steps = torch.arange(self.offset, self.size - self.side + 1, self.stride)
        return torch.cartesian_prod(steps, steps)

    def _places(self, patterns: int, decoys: int, generator: torch.Generator) -> list[tuple[int, int]]:
        """Draw corners of patterns, as near to the centre as the scene says, and of decoys; none overlap."""
        free, count = self.corners(), patterns + decoys
        chosen: list[tuple[int, int]] = []
        for j in range(count):
            if not len(free):
                raise PlantingError(
                    f"{count} patterns of {self.side} pixels do not fit into images of {self.size} pixels"
                )
            corner = free[self._draw(free, generator) if j < patterns else _uniform(free, generator)]
            chosen.append((int(corner[0]), int(corner[1])))
            free = free[(free - corner).abs().amax(1) >= self.side]
        return chosen

    def _draw(self, free: Tensor, generator: torch.Generator) -> int:
        """Draw the index of a corner among ``free`` (n, 2), the likelier the nearer to the centre."""
        if math.isinf(self.scene.spread):
            return _uniform(free, generator)
        middle = (self.size - self.side) / 2
        distance = (free - middle).double().square().sum(1) / (self.scene.spread * self.size) ** 2
        likelihood = torch.softmax(-distance / 2, 0)
        return int(torch.multinomial(likelihood, 1, generator=generator))


def _uniform(free: Tensor, generator: torch.Generator) -> int:
    return int(torch.randint(len(free), (), generator=generator))


def backgrounds(n: int, size: int, generator: torch.Generator, *, white: float = WHITE) -> Tensor:
    """Draw ``n`` images (n, 3, size, size) of smooth plus white noise, float32.

    Args:
        n: number of images.
        size: height and width in pixels.
        generator: source of randomness.
        white: standard deviation of the white part.
    """
    knots = torch.randn(n, 3, max(2, size // _BLOB), max(2, size // _BLOB), generator=generator)
    smooth = functional.interpolate(knots, size=(size, size), mode="bilinear", align_corners=False)
    return SMOOTH * smooth + white * torch.randn(n, 3, size, size, generator=generator)


def sign_cells(n: int, cell: int, generator: torch.Generator) -> Tensor:
    """Draw ``n`` cells (n, 3, cell, cell) of +1 and -1, half of each in each colour, or one more."""
    half = torch.ones(cell * cell)
    half[: cell * cell // 2] = -1
    order = torch.rand(n, 3, cell * cell, generator=generator).argsort(-1)
    return half[order].view(n, 3, cell, cell)


def matched_filters(cells: Tensor) -> Tensor:
    """Return the smallest filters with response 1 to their own cell, 0 to the others and to flat colours.

    Raises:
        PlantingError: a cell has too few pixels for that many patterns.
    """
    n, _, cell, _ = cells.shape
    flat = torch.eye(3).repeat_interleave(cell * cell, 1)
    wanted = torch.cat([cells.flatten(1), flat]).double()
    if int(torch.linalg.matrix_rank(wanted)) < n + 3:
        raise PlantingError(f"cells of {cell} x {cell} pixels are too few for {n} patterns")
    filters: Tensor = torch.linalg.pinv(wanted)[:, :n].T.reshape(cells.shape)
    return filters.float()


def make_stamps(
    n: int,
    *,
    size: int,
    cell: int,
    tiles: int,
    stride: int,
    offset: int,
    scene: Scene,
    generator: torch.Generator,
    device: torch.device,
    dtype: torch.dtype,
) -> Stamps:
    """Draw ``n`` patterns, their filters and a pool of decoys; see Stamps for the arguments.

    Raises:
        PlantingError: a cell has too few pixels for that many patterns, or an image for one pattern.
    """
    if cell * tiles > size:
        raise PlantingError(f"patterns of {cell * tiles} pixels do not fit into images of {size} pixels")
    cells = sign_cells(n, cell, generator)
    filters = matched_filters(cells)
    tried = sign_cells(64 * _DECOY_POOL, cell, generator)
    response = (tried.flatten(1) @ filters.flatten(1).T).abs().amax(1)
    quiet = tried[response.argsort()[:_DECOY_POOL]]
    if scene.decoys and float(response.sort().values[_DECOY_POOL - 1]) > _DECOY_RESPONSE:
        raise PlantingError(f"cells of {cell} x {cell} pixels leave no room for decoys beside {n} patterns")
    return Stamps(
        size=size,
        cell=cell,
        tiles=tiles,
        stride=stride,
        offset=offset,
        cells=cells,
        filters=filters,
        decoys=quiet,
        scene=scene,
        device=device,
        dtype=dtype,
    )
