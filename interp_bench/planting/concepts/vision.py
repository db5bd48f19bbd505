"""A journey planted in a ViT: patterns in the image, read at the class token or at a relay patch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.model.projection import weight_of
from interp_bench.planting.concepts.carried import described
from interp_bench.planting.concepts.journey import Journey, PlantedConcept, draw_stages
from interp_bench.planting.concepts.route import RHO, SCRAP, SCRAP_SIZE, Route
from interp_bench.planting.evidence.base import Scene, Stimuli
from interp_bench.planting.evidence.images import Stamps, make_stamps
from interp_bench.planting.stream import Read, Stream

_NAMES = {"seen": "a", "found": "b", "held": "a", "next": "c", "out": "b"}
_RELAYED = {"seen": "a", "found": "b", "held": "c", "next": "a", "out": "b"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pictures:
    """Draws images that show values of the variables.

    Attributes:
        stamps: draws images.
        n_values, n_variables: of the variables.
    """

    stamps: Stamps
    n_values: int
    n_variables: int

    def __call__(self, classes: Tensor, generator: torch.Generator) -> Stimuli:
        """Draw images of the patterns (n, 2) of the variables that are read; the decoy's value is random."""
        if self.n_variables > 2:
            third = torch.randint(self.n_values, (len(classes), 1), generator=generator)
            classes = torch.cat([classes, third + 2 * self.n_values], dim=1)
        shown = self.stamps(classes, generator)
        return Stimuli(inputs=shown.inputs, masks=shown.masks[:, :2])

    def show(self, values: Tensor, generator: torch.Generator) -> Tensor:
        """Draw images of values (n, n_variables)."""
        starts = torch.arange(values.shape[1]) * self.n_values
        return self.stamps(values + starts, generator).inputs


def plant_in_vision(
    model: Model, n_values: int, journey: Journey, generator: torch.Generator
) -> PlantedConcept:
    """Plant a journey in a ViT, by weight edit.

    Raises:
        PlantingError: the host is too narrow, too shallow, or has too few heads or classes.
    """
    relayed = journey.kind == "erased"
    if 2 * n_values > model.n_outputs:
        raise PlantingError(f"{2 * n_values} values need as many classes, it has {model.n_outputs}")
    route = Route(model, n_values, journey, _RELAYED if relayed else _NAMES, generator)
    count = 3 if journey.kind == "kept" else 4
    layers = draw_stages(0, len(route.anatomy.blocks), count, generator)
    detection, stages = layers[0], layers[1:]
    pictures = _pictures(model, n_values, journey.n_variables, generator)
    starts = torch.arange(journey.n_variables) * n_values
    drawn = torch.randint(n_values, (8, journey.n_variables), generator=generator)
    shown = pictures.stamps(drawn + starts, generator)
    patches, token = _stamped(shown, pictures.stamps.cell, route.anatomy.n_prefix), slice(0, 1)
    widths = {**route.slots(), "one": 1, "class": 1, **({"relay": 1} if route.erases else {})}
    body = slice(route.anatomy.n_prefix, None)
    stream = Stream(model, widths, shown.inputs, generator, rho=RHO, positions=body)
    _embed(stream, route, pictures.stamps)
    if route.erases:
        _embed_scrap(stream, route, shown.inputs)
    here = slice(-1, None) if relayed else token
    route.detect(stream, detection, patches)
    reading = Read("relay" if relayed else "class", positions=here)
    route.move(stream, stages[0], range(journey.n_variables), ("found", "held"), reading, patches)
    flag = Read("relay", positions=slice(-1, None))
    if route.erases and not relayed:
        route.move_scrap(stream, stages[0], reading, flag)
    if relayed:
        route.move(stream, stages[1], range(2), ("held", "next"), Read("class", None, token), here, flag=flag)
    outputs = torch.arange(2 * n_values).view(2, n_values)
    position = -1 if relayed else 0
    route.conclude(stream, stages, outputs, pictures, (here, token), position)
    return described(route, stream, stages, outputs, pictures, position)


def _pictures(model: Model, n_values: int, n_variables: int, generator: torch.Generator) -> _Pictures:
    cell = weight_of(model.transformer.token_embedding).shape[-1]
    stamps = make_stamps(
        n_variables * n_values,
        size=model.image_size,
        cell=cell,
        tiles=1,
        stride=cell,
        offset=0,
        scene=Scene(),
        generator=generator,
        device=model.device,
        dtype=model.dtype,
    )
    return _Pictures(stamps=stamps, n_values=n_values, n_variables=n_variables)


def _stamped(shown: Stimuli, cell: int, n_prefix: int) -> Tensor:
    """Return a (batch, position) mask of the patches that show a pattern."""
    pixels = shown.masks.any(1)[:, ::cell, ::cell].flatten(1)
    return torch.cat([torch.zeros(len(pixels), n_prefix, dtype=torch.bool), pixels], dim=1)


def _embed(stream: Stream, route: Route, stamps: Stamps) -> None:
    anatomy = route.anatomy
    weight = anatomy.token_embedding.weight
    assert isinstance(weight, Tensor)
    for variable, filters in enumerate(stamps.filters.split(route.n_values)):
        reads = filters.flatten(1).double() / stamps.scene.amplitude
        written = stream.vectors(route.slot("seen", variable), torch.eye(route.n_values)).T @ reads
        weight.data += written.reshape(weight.shape).to(weight)
    stream.embed_everywhere("one")
    assert anatomy.class_embedding is not None
    flag = stream.vectors("class", torch.ones(1, 1))[0]
    anatomy.class_embedding.data += flag.to(anatomy.class_embedding)
    stream.changed()


def _embed_scrap(stream: Stream, route: Route, images: Tensor) -> None:
    """Flag the last patch, and let the patch embedding write random linear reads of its pixels."""
    anatomy = route.anatomy
    assert anatomy.position_embedding is not None
    places = anatomy.position_embedding.data.view(-1, anatomy.d_model)
    places[-1] += stream.vectors("relay", torch.ones(1, 1))[0].to(places)
    conv = anatomy.token_embedding
    weight = conv.weight
    assert isinstance(weight, Tensor)
    reads = route.scrap(weight[0].numel()).T
    reads -= reads.mean(1, keepdim=True)
    corner = images[..., -weight.shape[-1] :, -weight.shape[-1] :].double().cpu().flatten(1)
    reads *= SCRAP_SIZE / (corner @ reads.T).std()
    written = stream.vectors(SCRAP, torch.eye(2 * route.n_values)).T @ reads
    weight.data += written.reshape(weight.shape).to(weight)
    stream.changed()
