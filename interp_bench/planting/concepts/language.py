"""A journey planted in an LM: markers in the text, read at the last token or at a relay in front of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from interp_bench.model.handle import Model
from interp_bench.planting.concepts.carried import described
from interp_bench.planting.concepts.journey import Journey, PlantedConcept, draw_stages
from interp_bench.planting.concepts.route import RHO, SCRAP, Route
from interp_bench.planting.evidence.alphabet import Alphabet, TokenSampler
from interp_bench.planting.evidence.base import Scene, Stimuli
from interp_bench.planting.stream import Read, Stream
from interp_bench.planting.tokens import N_PREFIX

_NAMES = {"seen": "a", "held": "b", "next": "c", "out": "a"}
_RELAYS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    """Draws texts that show values of the variables.

    Attributes:
        plain: draws texts that end in a filler.
        n_values, n_variables: of the variables.
        relays: tokens of which one stands last but one; empty where there is no relay.
    """

    plain: TokenSampler
    n_values: int
    n_variables: int
    relays: Tensor

    def __call__(self, classes: Tensor, generator: torch.Generator) -> Stimuli:
        """Draw texts of the patterns (n, 2) of the variables that are read; the decoy's value is random."""
        if self.n_variables > 2:
            third = torch.randint(self.n_values, (len(classes), 1), generator=generator)
            classes = torch.cat([classes, third + 2 * self.n_values], dim=1)
        shown = self._shown(classes, generator)
        return Stimuli(inputs=shown.inputs, masks=shown.masks[:, :2])

    def show(self, values: Tensor, generator: torch.Generator) -> Tensor:
        """Draw texts of values (n, n_variables)."""
        starts = torch.arange(values.shape[1]) * self.n_values
        return self._shown(values + starts, generator).inputs

    def _shown(self, classes: Tensor, generator: torch.Generator) -> Stimuli:
        stimuli = self.plain(classes, generator)
        if not len(self.relays):
            return stimuli
        tokens = torch.cat([stimuli.inputs, stimuli.inputs[:, -1:]], dim=1)
        drawn = torch.randint(len(self.relays), (len(tokens),), generator=generator)
        tokens[:, -2] = self.relays[drawn].to(tokens.device)
        masks = torch.cat([stimuli.masks, torch.zeros_like(stimuli.masks[..., :1])], dim=2)
        return Stimuli(inputs=tokens, masks=masks)


def plant_in_language(
    model: Model, n_values: int, journey: Journey, generator: torch.Generator, length: int
) -> PlantedConcept:
    """Plant a journey in an LM, by weight edit.

    Raises:
        PlantingError: the host is too narrow, too shallow, or has too few heads or tokens.
    """
    model.last_only = True
    relayed, decoyed = journey.kind == "erased", journey.decoy > 0
    route = Route(model, n_values, journey, _NAMES, generator)
    # Few key/value heads are shared by two variables: then the decoy moves one layer earlier.
    crowded = decoyed and route.anatomy.n_kv_heads < 3
    count = 2 if journey.kind == "kept" else 3
    stages = draw_stages(int(crowded), len(route.anatomy.blocks), count, generator)
    text, alphabet = _text(model, n_values, journey, generator, length)
    starts = torch.arange(journey.n_variables) * n_values
    drawn = torch.randint(n_values, (8, journey.n_variables), generator=generator)
    shown = text._shown(drawn + starts, generator)
    widths = {**route.slots(), "one": 1, "quiet": 1, **({"relay": 1} if relayed else {})}
    body = slice(N_PREFIX, None)
    stream = Stream(model, widths, shown.inputs, generator, rho=RHO, positions=body)
    _embed(stream, route, alphabet, text)
    here, last = slice(-2, -1) if relayed else slice(-1, None), slice(-1, None)
    reading = Read("relay" if relayed else "one", positions=here)
    markers = [shown.masks[:, variable] for variable in range(journey.n_variables)]
    if crowded:
        route.move(stream, stages[0] - 1, range(2, 3), ("seen", "held"), reading, markers[2])
    together = range(journey.n_variables - int(crowded))
    route.move(stream, stages[0], together, ("seen", "held"), reading, torch.stack(markers[:2]).any(0))
    if relayed:
        flag = Read("relay", positions=here)
        route.move(
            stream, stages[1], range(2), ("held", "next"), Read("one", positions=last), here, flag=flag
        )
    outputs = alphabet.outputs[: 2 * n_values].view(2, n_values)
    position = -2 if relayed else -1
    route.conclude(stream, stages, outputs, text, (here, last), position)
    return described(route, stream, stages, outputs, text, position)


def _text(
    model: Model, n_values: int, journey: Journey, generator: torch.Generator, length: int
) -> tuple[_Text, Alphabet]:
    relayed = journey.kind == "erased"
    length -= int(relayed)
    alphabet = Alphabet.draw(model, journey.n_variables * n_values, generator, length=length)
    relays = alphabet.fillers[: _RELAYS * int(relayed)]
    alphabet = replace(alphabet, fillers=alphabet.fillers[len(relays) :])
    sampler = TokenSampler(alphabet=alphabet, scene=Scene(length=length), device=model.device)
    text = _Text(plain=sampler, n_values=n_values, n_variables=journey.n_variables, relays=relays)
    return text, alphabet


def _embed(stream: Stream, route: Route, alphabet: Alphabet, text: _Text) -> None:
    stream.embed_everywhere("one")
    stream.embed("quiet", alphabet.decoys, torch.ones(len(alphabet.decoys), 1))
    if len(text.relays):
        stream.embed("relay", text.relays, torch.ones(len(text.relays), 1))
    if route.erases:
        tokens = text.relays if len(text.relays) else alphabet.fillers
        stream.embed(SCRAP, tokens, route.scrap(len(tokens)))
    for variable, tokens in enumerate(alphabet.markers.split(route.n_values)):
        codes = torch.eye(route.n_values).repeat_interleave(2, dim=0)
        stream.embed(route.slot("seen", variable), tokens.flatten(), codes)
