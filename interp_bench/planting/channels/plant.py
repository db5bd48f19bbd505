"""Plant a conjunction of two patterns in the channel groups of a CNN by editing its weights."""

from __future__ import annotations

import torch
from torch import Tensor

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.planting.channels.convnext import convnext_patches, convnext_stops, wire_convnext
from interp_bench.planting.channels.dials import ChannelDials
from interp_bench.planting.channels.resnet import resnet_patches, resnet_stops, wire_resnet
from interp_bench.planting.channels.route import Route, draw_route, pick_meeting
from interp_bench.planting.channels.scenes import Scenes, find_corners
from interp_bench.planting.circuits.base import Pairs, PlantedCircuit
from interp_bench.planting.evidence.images import matched_filters, sign_cells
from interp_bench.planting.evidence.wiring import connect

_FAMILIES = {
    "resnet": (resnet_stops, resnet_patches, wire_resnet),
    "convnext": (convnext_stops, convnext_patches, wire_convnext),
}
_CALIBRATION = 48  # images that scales are measured on


def plant_conjunction(model: Model, *, seed: int, dials: ChannelDials | None = None) -> PlantedCircuit:
    """Make pairs of superimposed patterns decide logits of a timm ResNet or ConvNeXt.

    The stem detects patterns of two kinds. Channel groups carry either kind, separately, to a block that
    responds only where a pattern of each lies at the same place, and says which class that pair has:
    a Latin square, so that one pattern alone tells nothing about the class. Other groups carry the class
    to the logits.

    Args:
        model: the network; its weights are edited in place.
        seed: decides patterns, groups, channels, mixtures and classes.
        dials: how hard the circuit is to find.

    Returns:
        The planted circuit.

    Raises:
        PlantingError: it does not fit into this network.
    """
    dials = dials or ChannelDials()
    generator = torch.Generator().manual_seed(seed)
    n = dials.n_values
    if n > model.n_outputs:
        raise PlantingError(f"{n} classes need as many logits; {model.spec.id} has {model.n_outputs}")
    find_stops, _, wire = _FAMILIES[model.cnn.family]
    stops = find_stops(model)
    meeting = pick_meeting(stops, dials.depth, generator)
    convnext = model.cnn.family == "convnext"
    route = draw_route(
        stops, meeting, shares=dials.shares, moves=dials.moves, constant=convnext, generator=generator
    )
    with torch.no_grad():
        scenes, filters = _scenes(model, route, dials, generator)
        table = _latin_square(n, generator)
        outputs = torch.randperm(model.n_outputs, generator=generator)[:n]
        values = torch.cartesian_prod(torch.arange(n), torch.arange(n))
        values = values[torch.arange(max(_CALIBRATION, 2 * n * n)) % (n * n)]
        images = scenes.draw(scenes.layout(len(values), generator), values)
        wiring = wire(model, route, filters, table, dials, images, generator)
        classes = table[values[:, 0], values[:, 1]]
        connect(model, wiring, outputs, torch.eye(n), (images, classes[:, None]), dials.host_logit)
    return _circuit(route, scenes, table, outputs)


def _scenes(
    model: Model, route: Route, dials: ChannelDials, generator: torch.Generator
) -> tuple[Scenes, Tensor]:
    """Draw the patterns, and return them with their filters (2, n_values, 3, cell, cell)."""
    cell, tiles, origin = _FAMILIES[model.cnn.family][1](model)
    stem, joined = route.stops[0].side, route.stops[route.meeting].side
    if model.image_size % stem or stem % joined:
        raise PlantingError(f"{model.spec.id} sees {model.image_size} pixels at uneven steps")
    cells = sign_cells(2 * dials.n_values, cell, generator)
    filters = matched_filters(cells) / dials.amplitude
    pitch = model.image_size // stem
    corners = find_corners(model.image_size, cell * tiles, pitch, origin, stem // joined)
    if 1 + 2 * dials.lures > len(corners):
        raise PlantingError(
            f"{2 * dials.lures} lures and a pair need {1 + 2 * dials.lures} places; there are {len(corners)}"
        )
    scenes = Scenes(
        size=model.image_size,
        cells=cells.unflatten(0, (2, -1)),
        tiles=tiles,
        amplitude=dials.amplitude,
        lures=dials.lures,
        corners=corners,
        device=model.device,
        dtype=model.dtype,
    )
    return scenes, filters.unflatten(0, (2, -1))


def _latin_square(n: int, generator: torch.Generator) -> Tensor:
    """Draw an (n, n) table in which every row and every column holds each class once."""
    rows, columns, classes = (torch.randperm(n, generator=generator) for _ in range(3))
    return classes[(rows[:, None] + columns) % n]


def _circuit(route: Route, scenes: Scenes, table: Tensor, outputs: Tensor) -> PlantedCircuit:
    n = len(table)

    def outcomes(clean: Tensor, corrupted: Tensor) -> Tensor:
        classes = [table[values[:, 0], values[:, 1]] for values in (clean, corrupted)]
        return outputs[torch.stack(classes, dim=1)]

    def pairs(count: int, generator: torch.Generator) -> Pairs:
        """Unrelated images of different classes."""
        clean = torch.randint(n, (count, 2), generator=generator)
        first = torch.randint(n, (count,), generator=generator)
        # In a Latin square every class but one is left for the second pattern, given the first.
        others = table[first] != table[clean[:, 0], clean[:, 1]][:, None]
        second = (torch.rand(count, n, generator=generator) * others).argmax(1)
        corrupted = torch.stack([first, second], dim=1)
        return Pairs(
            clean=scenes.draw(scenes.layout(count, generator), clean),
            corrupted=scenes.draw(scenes.layout(count, generator), corrupted),
            outcomes=outcomes(clean, corrupted),
        )

    def near(count: int, generator: torch.Generator) -> Pairs:
        """The same image with one of the two patterns replaced."""
        clean = torch.randint(n, (count, 2), generator=generator)
        changed = clean.clone()
        kind = torch.randint(2, (count,), generator=generator)
        step = torch.randint(1, n, (count,), generator=generator)
        changed[torch.arange(count), kind] = (changed[torch.arange(count), kind] + step) % n
        layout = scenes.layout(count, generator)
        return Pairs(
            clean=scenes.draw(layout, clean),
            corrupted=scenes.draw(layout, changed),
            outcomes=outcomes(clean, changed),
        )

    return PlantedCircuit(edges=route.edges, candidates=outputs, pairs=pairs, near=near)
