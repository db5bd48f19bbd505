"""The parts of a journey that LMs and ViTs share: heads that move, neurons that rewrite and decide.

Each variable has slots of the reserved subspace, by what they are for: the input writes ``seen``; heads
move it into ``held`` where it is read; ``next`` takes what neurons rewrite, or what a further head moves
on; ``out`` is what was decided, and read by the head of the network. Slots that are never in use at one
position at the same time share a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.planting.codes import orthonormal
from interp_bench.planting.concepts.journey import Journey
from interp_bench.planting.evidence.base import Stimuli
from interp_bench.planting.heads import Head, Match, implant_head
from interp_bench.planting.neurons import Neuron, Reads, implant_neurons, linear, step
from interp_bench.planting.stream import Positions, Read, Stream

RHO = 0.25
_ATTENTION, _LOGIT = 30.0, 10.0
_DECIDE = 0.1  # nothing else reaches the deciding neurons
_LARGE = 50_000_000
_MANY, _FEW = 256, 48  # inputs that erasing is balanced on
_COPY = 0.4
_DETECT = 0.45  # noise in patches excites detectors up to 0.2
_MAJORITY, _RAMP = 0.5, 0.2  # of three copies: two decide in full, and one does nothing
N_COPIES = 3
SCRAP, SCRAP_SIZE = "scrap", 0.2  # about twice the remainder, which is the jitter of norms
_OF_DECOY = {"seen", "found", "held"}


class Inputs(Protocol):
    """Draws inputs, by patterns of the variables that are read or by values of all variables."""

    def __call__(self, classes: Tensor, generator: torch.Generator) -> Stimuli:
        """Draw inputs of the patterns (n, 2); a decoy's value is random."""
        ...

    def show(self, values: Tensor, generator: torch.Generator) -> Tensor:
        """Draw inputs of values (n, n_variables)."""
        ...


class Route:
    """Implants one journey into a transformer, stage by stage, and says what became of it.

    Args:
        model: the host.
        n_values: values of each variable.
        journey: what happens along depth.
        names: purpose -> prefix of the slots that serve it.
        generator: source of randomness.
    """

    def __init__(
        self,
        model: Model,
        n_values: int,
        journey: Journey,
        names: Mapping[str, str],
        generator: torch.Generator,
    ) -> None:
        self.model, self.anatomy = model, model.transformer
        self.n_values, self.journey, self.names, self.generator = n_values, journey, names, generator
        self.parts: list[str] = []
        self.turn = [orthonormal(n_values, n_values, generator) for _ in range(2)]

    # ------------------------------------------------------------------ slots
    def slots(self) -> dict[str, int]:
        """Return the width of each slot."""
        n = self.n_values
        widths = {}
        for variable in range(self.journey.n_variables):
            purposes = set(self.names)
            if self.journey.kind == "kept":
                purposes.discard("next")
            if variable == 2:
                purposes &= _OF_DECOY
            used = {name: n for purpose, name in self.names.items() if purpose in purposes}
            if self.journey.kind == "copied" and variable < 2:
                used[self.names["next"]] = (N_COPIES - 1) * n
            widths.update({f"{name}{variable}": width for name, width in used.items()})
        if self.erases:
            widths[SCRAP] = 2 * n
        return widths

    @property
    def erases(self) -> bool:
        """Whether codes are taken out of the slot that held them."""
        return self.journey.kind in ("rotated", "erased")

    def scrap(self, count: int) -> Tensor:
        """Draw codes (count, 2 * n_values) of the scrap that fills what was erased."""
        drawn = torch.randn(count, 2 * self.n_values, generator=self.generator, dtype=torch.float64)
        return SCRAP_SIZE * drawn

    def slot(self, purpose: str, variable: int) -> str:
        """Return the name of a variable's slot."""
        return f"{self.names[purpose]}{variable}"

    # ------------------------------------------------------------------ heads
    def move(
        self,
        stream: Stream,
        layer: int,
        variables: range,
        path: tuple[str, str],
        query: Read,
        keys: Positions,
        *,
        flag: Read | None = None,
    ) -> None:
        """Implant a head for each variable that moves it to where the query is.

        Args:
            stream: the reserved subspace.
            layer: layer of the heads.
            variables: which variables.
            path: purposes of the slots that are read and written.
            query: what marks the position that moves it to itself.
            keys: positions that it is moved from.
            flag: what marks those positions; the variable's own code when None.

        Raises:
            PlantingError: there are fewer key/value heads than variables.
        """
        n = self.n_values
        for head, variable in zip(self._heads(len(variables)), variables, strict=True):
            source = self.slot(path[0], variable)
            key = flag or Read(source, torch.ones(n, 1), keys)
            size = self.journey.decoy if variable == 2 else 1.0
            plan = Head(
                matches=(Match(query=query, key=key, gain=_ATTENTION),),
                value=Read(source, positions=keys),
                slot=self.slot(path[1], variable),
                map=size * torch.eye(n, dtype=torch.float64),
            )
            implant_head(stream, layer, head, plan)
            self.parts.append(f"a{layer}.h{head}")

    def _heads(self, count: int) -> list[int]:
        """Draw heads that share no keys and values."""
        n_families = self.anatomy.n_kv_heads
        if count > n_families:
            raise PlantingError(f"{count} variables need as many key/value heads in one layer")
        per_family = self.anatomy.n_heads // n_families
        families = torch.randperm(n_families, generator=self.generator)[:count].tolist()
        members = torch.randint(per_family, (count,), generator=self.generator).tolist()
        return [family * per_family + member for family, member in zip(families, members, strict=True)]

    def move_scrap(self, stream: Stream, layer: int, query: Read, flag: Read) -> None:
        """Implant a head that moves the scrap of a flagged position to where the query is.

        Raises:
            PlantingError: there is no key/value head beside those that move the variables.
        """
        taken = {part for part in self.parts if part.startswith(f"a{layer}.")}
        free = [
            head
            for head in range(0, self.anatomy.n_heads, self.anatomy.n_heads // self.anatomy.n_kv_heads)
            if f"a{layer}.h{head}" not in taken
        ]
        if not free:
            raise PlantingError("filling what was erased needs a third head in the layer")
        width = 2 * self.n_values
        plan = Head(
            matches=(Match(query=query, key=flag, gain=_ATTENTION),),
            value=Read(SCRAP, positions=flag.positions),
            slot=SCRAP,
            map=torch.eye(width, dtype=torch.float64),
        )
        implant_head(stream, layer, free[0], plan)
        self.parts.append(f"a{layer}.h{free[0]}")

    # ---------------------------------------------------------------- neurons
    def detect(self, stream: Stream, layer: int, positions: Positions) -> None:
        """Implant neurons that write into ``found`` what the input shows, whole and however clearly."""
        neurons = []
        for variable in range(self.journey.n_variables):
            seen, found = self.slot("seen", variable), self.slot("found", variable)
            for unit in torch.eye(self.n_values, dtype=torch.float64):
                neurons += step(((seen, unit),), _DETECT, _RAMP, found, unit)
        self._implant(stream, layer, neurons, positions)

    def rewrite(
        self, stream: Stream, layer: int, positions: Positions, tried: tuple[Tensor, Tensor], position: int
    ) -> None:
        """Implant neurons that write further copies, or turned codes, and take out the old ones.

        Nothing else writes into the reserved subspace, so that the faintest remainder of an erased code
        would stand alone there for any probe to read. The same neurons therefore fill the slot with
        scrap: a random code of the token or patch itself.

        Args:
            stream: the reserved subspace.
            layer: layer of the neurons.
            positions: positions at which reads are calibrated.
            tried: inputs and their values (n, n_variables), for balancing what is left of the old codes.
            position: the position that is read.
        """
        writes, erasers = [], []
        for variable in range(2):
            held, after = self.slot("held", variable), self.slot("next", variable)
            for value, unit in enumerate(torch.eye(self.n_values, dtype=torch.float64)):
                if self.journey.kind == "copied":
                    code = unit.repeat(N_COPIES - 1)
                    writes += step(((held, unit),), _COPY, _RAMP, after, code)
                if self.journey.kind == "rotated":
                    writes += linear(held, unit, after, self.turn[variable][value])
                if self.erases:
                    erasers += linear(held, unit, held, -unit)
                    scrap = torch.eye(2 * self.n_values, dtype=torch.float64)
                    writes += linear(SCRAP, scrap[variable * self.n_values + value], held, unit)
        before = self._held(stream, layer, tried, position)
        chosen = self._implant(stream, layer, [*writes, *erasers], positions)
        if erasers:
            left = self._held(stream, layer, tried, position)
            self._strengthen(layer, chosen[len(writes) :], before / (before - left))

    def _held(self, stream: Stream, layer: int, tried: tuple[Tensor, Tensor], position: int) -> Tensor:
        """Return (2 * n_values,) the mean code of each value of each variable in ``held`` behind a layer."""
        inputs, values = tried
        x = self.model.activations(inputs, site_behind(layer))[:, position].double().cpu()
        means = []
        for variable in range(2):
            codes = x @ stream.slots[self.slot("held", variable)] / stream.amplitude
            means += [codes[values[:, variable] == v, v].mean() for v in range(self.n_values)]
        return torch.stack(means)

    def _strengthen(self, layer: int, neurons: tuple[int, ...], factors: Tensor) -> None:
        """Multiply what neurons write, two neurons by each of the factors (n,).

        What remains of an erased code is the jitter of a norm. Balanced to zero on average over inputs
        of each value, it has no sign that a linear probe could read.
        """
        out = self.anatomy.blocks[layer].mlp_out
        for index, factor in zip(neurons, factors.repeat_interleave(2).tolist(), strict=True):
            out.write_rows(index, factor * out.read_rows(index, 1))

    def decide(self, stream: Stream, layer: int, positions: Positions) -> None:
        """Implant neurons that write a value into ``out`` where what carries it exceeds a threshold."""
        neurons = []
        for variable in range(2):
            out = self.slot("out", variable)
            for value, code in enumerate(torch.eye(self.n_values, dtype=torch.float64)):
                reads = self._reads(variable, value)
                if self.redundant:
                    neurons += step(reads, _MAJORITY, _RAMP, out, code)
                else:
                    slope = 1 / (1 - _DECIDE)
                    neurons.append(Neuron(reads=reads, threshold=_DECIDE, slot=out, code=code, slope=slope))
        self._implant(stream, layer, neurons, positions)

    def read_out(self, stream: Stream, outputs: Tensor, positions: Positions) -> None:
        """Let the head of the network raise the logits of decided values; outputs (2, n_values)."""
        own = self.model.logits(stream.calibration)
        spread = float((own[:, -1] if own.ndim == 3 else own)[:, outputs.flatten()].std(dim=-1).mean())
        for variable in range(2):
            read = Read(self.slot("out", variable), positions=positions)
            stream.read_out(read, outputs[variable], torch.eye(self.n_values), _LOGIT * max(1.0, spread))

    @property
    def redundant(self) -> bool:
        """Whether two of three copies decide."""
        return self.journey.kind == "copied" and not self.journey.idle

    def _reads(self, variable: int, value: int) -> Reads:
        unit = torch.eye(self.n_values, dtype=torch.float64)[value]
        held, after = self.slot("held", variable), self.slot("next", variable)
        if self.redundant:
            return ((held, unit / N_COPIES), (after, unit.repeat(N_COPIES - 1) / N_COPIES))
        if self.journey.kind == "rotated":
            return ((after, self.turn[variable][value]),)
        return ((after if self.journey.kind == "erased" else held, unit),)

    def _implant(
        self, stream: Stream, layer: int, neurons: list[Neuron], positions: Positions
    ) -> tuple[int, ...]:
        self.parts.append(f"m{layer}")
        return implant_neurons(stream, layer, neurons, positions=positions)

    def conclude(
        self,
        stream: Stream,
        stages: tuple[int, ...],
        outputs: Tensor,
        inputs: Inputs,
        positions: tuple[Positions, Positions],
        position: int,
    ) -> None:
        """Implant all that follows the heads.

        Args:
            stream: the reserved subspace.
            stages: as in PlantedConcept.
            outputs: (2, n_values) logit that each value raises.
            inputs: draws inputs.
            positions: where variables are held, and where they are decided.
            position: the same as the first, as an index.
        """
        if self.journey.kind != "kept":
            count = _FEW if self.model.spec.params >= _LARGE else _MANY
            shape = (count, self.journey.n_variables)
            values = torch.randint(self.n_values, shape, generator=self.generator)
            tried = inputs.show(values, self.generator), values
            self.rewrite(stream, stages[1], positions[0], tried, position)
        self.decide(stream, stages[-1], positions[1])
        self.read_out(stream, outputs, positions[1])


def site_behind(layer: int) -> str:
    """Return the site behind a layer."""
    return f"blocks.{layer}.hook_resid_post"
