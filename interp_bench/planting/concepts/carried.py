"""What a journey leaves behind: which subspace carries each variable at which site, and which ones do not."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from interp_bench.planting.concepts.causal import CausalModel, Variable
from interp_bench.planting.concepts.journey import NearNegative, PlantedConcept
from interp_bench.planting.concepts.route import N_COPIES, Inputs, Route, site_behind
from interp_bench.planting.evidence.base import Evidence
from interp_bench.planting.stream import Stream

_NAMES = ("variable", "other_variable", "decoy")


def described(
    route: Route, stream: Stream, stages: tuple[int, ...], outputs: Tensor, inputs: Inputs, position: int
) -> PlantedConcept:
    """Say what was planted.

    Args:
        route: the planted route.
        stream: the reserved subspace.
        stages: as in PlantedConcept.
        outputs: (2, n_values) logit that each value raises.
        inputs: draws inputs.
        position: the position at which variables are held.
    """
    # Behind the decision, what is read is a row of the head: asking there would be trivial.
    sites = route.model.sites if route.journey.kind == "erased" else route.model.sites[: stages[-1]]
    evidence = Evidence(
        groups=(route.n_values,) * 2,
        outputs=outputs.flatten(),
        carriers={},
        position=position,
        sample=inputs,
        parts=tuple(route.parts),
    )
    return PlantedConcept(
        causal=_causal(route, stream, stages, outputs, position),
        evidence=evidence,
        show=inputs.show,
        stages=stages,
        sites=sites,
        near=tuple(
            negative
            for layer, site in enumerate(sites)
            if layer >= stages[0]
            for negative in _near(route, stream, site, changed=layer >= stages[1])
        ),
    )


def _causal(
    route: Route, stream: Stream, stages: tuple[int, ...], outputs: Tensor, position: int
) -> CausalModel:
    arrival, change, decision = stages[0], stages[1], stages[-1]
    gone = change if route.journey.kind == "erased" else decision
    variables = tuple(
        Variable(
            name=_NAMES[index],
            outputs=None if index == 2 else outputs[index],
            carriers={
                site_behind(layer): _carrier(route, stream, index, late=index < 2 and layer >= change)
                for layer in range(arrival, gone)
            },
        )
        for index in range(route.journey.n_variables)
    )
    return CausalModel(variables=variables, position=position)


def _carrier(route: Route, stream: Stream, variable: int, *, late: bool) -> Tensor:
    held = _frame(route, stream, "held", variable)
    if late and route.journey.kind == "rotated":
        return _frame(route, stream, "next", variable)
    if late and route.redundant:
        copies = (held, *_frame(route, stream, "next", variable).split(route.n_values))
        together: Tensor = torch.stack(copies).sum(0) / N_COPIES**0.5
        return together
    return held


def _near(route: Route, stream: Stream, site: str, *, changed: bool) -> Iterator[NearNegative]:
    """Yield what must not pass for the labelled variable at a site, before or after the change."""
    journey, held = route.journey, _frame(route, stream, "held", 0)
    if journey.decoy:
        yield NearNegative(name="decoy", site=site, basis=_frame(route, stream, "held", 2))
    if route.erases and changed:
        yield NearNegative(name="erased", site=site, basis=held, empty=True)
    if journey.kind == "rotated" and not changed:
        yield NearNegative(name="not_yet", site=site, basis=_frame(route, stream, "next", 0), empty=True)
    if journey.kind == "copied" and changed:
        further = _frame(route, stream, "next", 0)
        copies = (further,) if journey.idle else (held, *further.split(route.n_values))
        for i, copy in enumerate(copies):
            yield NearNegative(name=f"copy{i}", site=site, basis=copy)


def _frame(route: Route, stream: Stream, purpose: str, variable: int) -> Tensor:
    frame: Tensor = stream.slots[route.slot(purpose, variable)].T.float()
    return frame
