"""Compile a program into the heads and neurons of a transformer, by weight edit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import torch
from torch import Generator, Tensor

from interp_bench.errors import PlantingError
from interp_bench.model.graph import Edge
from interp_bench.model.handle import Model
from interp_bench.planting.anchor import Anchor
from interp_bench.planting.circuits.base import PlantedCircuit
from interp_bench.planting.heads import implant_head
from interp_bench.planting.neurons import implant_neurons
from interp_bench.planting.positions import position_codes
from interp_bench.planting.programs.dials import ProgramDials
from interp_bench.planting.programs.heads import Frame, head_of
from interp_bench.planting.programs.inputs import Inputs
from interp_bench.planting.programs.instructions import ATTENDING, LETTERS, Program
from interp_bench.planting.programs.interpreter import Arc
from interp_bench.planting.programs.neurons import neurons_of
from interp_bench.planting.programs.schedule import schedule
from interp_bench.planting.stream import Read, Stream

_SHOWN = 16

Shown = TypeVar("Shown", bound=Inputs)


class Compiler(ABC, Generic[Shown]):
    """One program on its way into one host.

    Args:
        model: the host; edited in place.
        program: what it is to compute.
        generator: source of randomness.
        dials: difficulty.
    """

    reserved_layers = 0

    def __init__(self, model: Model, program: Program, generator: Generator, dials: ProgramDials) -> None:
        self.model, self.program, self.generator, self.dials = model, program, generator, dials
        self.anatomy = model.transformer
        self.nodes = program.instructions
        self.places: dict[int, str] = {}
        self.families: dict[int, list[int]] = {}
        self.reader = ""
        self._anchor: Anchor | None = None

    # ------------------------------------------------- what hosts do differently
    @abstractmethod
    def make_inputs(self) -> Shown:
        """Choose tokens or patterns."""

    @abstractmethod
    def extra_slots(self) -> dict[str, int]:
        """Return the width of each further slot."""

    @abstractmethod
    def embed(self, stream: Stream, inputs: Shown) -> None:
        """Write attributes and flags into the embeddings."""

    @abstractmethod
    def finish(self, stream: Stream, layer: int, frame: Frame) -> tuple[str, slice]:
        """Return the slot and the positions that logits read, after the output's layer."""

    # -------------------------------------------------------------- compilation
    def compile(self) -> PlantedCircuit:
        """Edit the weights.

        Raises:
            PlantingError: the host is too narrow, too shallow, or has too few heads or tokens.
        """
        depth = len(self.anatomy.blocks)
        times = schedule(
            self.program,
            depth - self.reserved_layers,
            self.generator,
            parallel=self.anatomy.parallel,
            n_heads=self.anatomy.n_kv_heads,
        )
        inputs = self.make_inputs()
        own = slice(inputs.n_prefix, None)
        stream = self._stream(inputs, own)
        self._anchor = Anchor(stream, "one", self.dials.anchor, own)
        self.embed(stream, inputs)
        frame = self._frame(stream, inputs, own)
        for index in sorted(times, key=lambda i: times[i]):
            self.settle(times[index] // 2, 1 + times[index] % 2)
            self._implant(stream, index, times[index] // 2, frame)
        slot, positions = self.finish(stream, times[len(self.nodes) - 1] // 2, frame)
        self.settle(None, 1)
        self._read_out(stream, slot, positions, inputs.outputs)
        edges = self._edges()
        return PlantedCircuit(
            edges=tuple(edges),
            candidates=inputs.outputs,
            pairs=inputs.pairs,
            near=inputs.near,
            predict=lambda pairs, edge: inputs.patched(pairs, edges.get(edge, ())),
        )

    def settle(self, layer: int | None, which: int) -> None:
        """Set the gains of all norms up to this one."""
        assert self._anchor is not None
        self._anchor.settle(layer, which)

    @property
    def learned(self) -> bool:
        """Whether the host learns its positions, instead of rotating heads by them."""
        return self.anatomy.rotary is None

    def _stream(self, inputs: Shown, own: slice) -> Stream:
        slots = {f"v{i}": node.width for i, node in enumerate(self.nodes)}
        slots |= {"one": 1, "prefix": 1, "present": 1, **self.extra_slots()}
        if self.learned:
            slots |= {"position": min(16, self.anatomy.d_head // 2 * 2), "ramp": 1}
        return Stream(
            self.model,
            slots,
            inputs.sample(_SHOWN, self.generator)[0].to(self.model.device),
            self.generator,
            rho=self.dials.rho,
            positions=own,
            write_leak=self.dials.write_leak,
            read_leak=self.dials.read_leak,
        )

    def _frame(self, stream: Stream, inputs: Shown, own: slice) -> Frame:
        back, margin = self._embed_positions(stream, inputs.n_prefix) if self.learned else (None, 1.0)
        return Frame(
            positions=own,
            n_prefix=inputs.n_prefix,
            length=self.program.length,
            causal=self.anatomy.causal,
            gain=self.dials.attention_gain,
            step=self.dials.recency,
            back=back,
            margin=margin,
        )

    def _embed_positions(self, stream: Stream, n_prefix: int) -> tuple[Tensor, float]:
        width, length = stream.slots["position"].shape[1], n_prefix + self.program.length
        codes, back, margin = position_codes(length, width, self.generator)
        own = torch.arange(length) - n_prefix + 1
        ramp = (own.clamp(min=0) / self.program.length)[:, None]
        table = self.anatomy.position_embedding
        assert table is not None
        written = stream.vectors("position", codes) + stream.vectors("ramp", ramp)
        table.data.view(-1, self.anatomy.d_model)[:length] += written.to(table)
        stream.changed()
        return back, margin

    # ---------------------------------------------------------------- implants
    def _implant(self, stream: Stream, index: int, layer: int, frame: Frame) -> None:
        node = self.nodes[index]
        slots = [f"v{a}" for a in node.arguments]
        arguments = [self.nodes[a] for a in node.arguments]
        if node.operation in ATTENDING:
            head = self.choose_head(layer)
            plan = head_of(node, slots, [a.width for a in arguments], f"v{index}", frame)
            implant_head(stream, layer, head, plan)
            self.places[index] = f"a{layer}.h{head}"
            return
        neurons = neurons_of(node, slots, arguments, f"v{index}", ramp=self.dials.ramp)
        if len(neurons) > self.anatomy.d_mlp // 2:
            raise PlantingError(f"{node.operation} needs {len(neurons)} neurons, half of an MLP has fewer")
        implant_neurons(stream, layer, neurons, positions=frame.positions)
        self.places[index] = f"m{layer}"

    def choose_head(self, layer: int) -> int:
        """Choose a head whose keys and values no other instruction uses."""
        per_family = self.anatomy.n_heads // self.anatomy.n_kv_heads
        used = self.families.setdefault(layer, [])
        free = [f for f in range(self.anatomy.n_kv_heads) if f not in used]
        if not free:
            raise PlantingError(f"layer {layer} has too few key/value heads for this program")
        family = free[int(torch.randint(len(free), (), generator=self.generator))]
        used.append(family)
        return family * per_family + int(torch.randint(per_family, (), generator=self.generator))

    def _read_out(self, stream: Stream, slot: str, positions: slice, outputs: Tensor) -> None:
        node, own = self.nodes[-1], stream.logits()
        final = (own[:, -1] if own.ndim == 3 else own)[:, outputs]
        gain = self.dials.logit_gain * max(1.0, float(final.std(dim=-1).mean()))
        if node.type == "category":
            eye = torch.eye(node.size, dtype=torch.float64)
            stream.read_out(Read(slot, positions=positions), outputs, eye, gain)
            return
        one = torch.ones(1, 1, dtype=torch.float64)
        stream.read_out(Read("one", positions=positions), outputs[:1], one, gain / 2)
        stream.read_out(Read(slot, positions=positions), outputs[1:], one, gain)

    # ------------------------------------------------------------------- edges
    def _edges(self) -> dict[Edge, tuple[Arc, ...]]:
        """Return the planted edges, and which arcs of the program each carries."""
        found: dict[Edge, tuple[Arc, ...]] = {}
        for index, number in self.program.arcs():
            edge = (self._source(self.nodes[index].arguments[number]), self._destination(index, number))
            found[edge] = (*found.get(edge, ()), (index, number))
        last = self.places[len(self.nodes) - 1]
        if self.reader:
            found[last, self._into(self.reader, "v")] = ()
            last = self.reader
        found[last, "logits"] = ()
        return found

    def _source(self, index: int) -> str:
        return self.places.get(index, "input")

    def _destination(self, index: int, number: int) -> str:
        place, operation = self.places[index], self.nodes[index].operation
        return self._into(place, LETTERS[operation][number]) if operation in ATTENDING else place

    def _into(self, place: str, letter: str) -> str:
        """Return the query, key or value input of a head; the latter two are its key/value head's."""
        layer, head = place[1:].split(".h")
        return f"{place}<q>" if letter == "q" else f"a{layer}.h{self.anatomy.kv_head(int(head))}<{letter}>"
