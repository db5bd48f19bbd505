"""Compile a program into the heads and neurons of a language model, by weight edit."""

from __future__ import annotations

from dataclasses import dataclass

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
from interp_bench.planting.programs.heads import Frame, head_of
from interp_bench.planting.programs.inputs import Inputs
from interp_bench.planting.programs.instructions import ATTENDING, LETTERS, Program
from interp_bench.planting.programs.interpreter import Arc
from interp_bench.planting.programs.neurons import neurons_of
from interp_bench.planting.programs.schedule import schedule
from interp_bench.planting.stream import Read, Stream
from interp_bench.planting.tokens import N_PREFIX, quiet_tokens

_START, _LAST = slice(N_PREFIX, None), slice(-1, None)
_SHOWN = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramDials:
    """How hard a compiled program is to find.

    Attributes:
        rho: norm of a planted code as a fraction of the host's residual norm.
        anchor: size of the constant that steadies the norms, over that of the host's stream.
        attention_gain: margin in attention logits.
        recency: attention logits by which a later match outweighs an earlier one.
        ramp: width of the slope between off and on of a neuron that combines codes.
        logit_gain: margin of the answer in standard deviations of the host's own logits.
        write_leak: share of the host's own writing that stays in the reserved subspace.
        read_leak: share of the reserved subspace that the host goes on reading.
    """

    rho: float = 0.35
    anchor: float = 6.0
    attention_gain: float = 24.0
    recency: float = 4.0
    ramp: float = 0.6
    logit_gain: float = 8.0
    write_leak: float = 0.0
    read_leak: float = 1.0


def plant_program(
    model: Model, program: Program, *, seed: int, dials: ProgramDials | None = None
) -> PlantedCircuit:
    """Plant a program.

    Args:
        model: a decoder LM; edited in place.
        program: what it is to compute.
        seed: another seed gives other directions, layers, heads, neurons and tokens.
        dials: difficulty.

    Raises:
        PlantingError: the host is too narrow, too shallow, or has too few heads or tokens.
    """
    model.last_only = True
    return _Compiler(model, program, torch.Generator().manual_seed(seed), dials or ProgramDials()).compile()


class _Compiler:
    """One program on its way into one host."""

    def __init__(self, model: Model, program: Program, generator: Generator, dials: ProgramDials) -> None:
        self.model, self.program, self.generator, self.dials = model, program, generator, dials
        self.anatomy = model.transformer
        self.nodes = program.instructions
        self.places: dict[int, str] = {}
        self.families: dict[int, list[int]] = {}

    def compile(self) -> PlantedCircuit:
        times = schedule(
            self.program,
            len(self.anatomy.blocks),
            self.generator,
            parallel=self.anatomy.parallel,
            n_heads=self.anatomy.n_kv_heads,
        )
        inputs = self._inputs()
        stream = self._stream(inputs)
        anchor = Anchor(stream, "one", self.dials.anchor, _START)
        frame = self._embed(stream, inputs)
        for index in sorted(times, key=lambda i: times[i]):
            anchor.settle(times[index] // 2, 1 + times[index] % 2)
            self._implant(stream, index, times[index] // 2, frame)
        anchor.settle(None, 1)
        self._read_out(stream, inputs.outputs)
        edges = self._edges()
        return PlantedCircuit(
            edges=tuple(edges),
            candidates=inputs.outputs,
            pairs=inputs.pairs,
            near=inputs.near,
            predict=lambda pairs, edge: inputs.patched(pairs, edges.get(edge, ())),
        )

    # ------------------------------------------------------------------ inputs
    def _inputs(self) -> Inputs:
        """Choose tokens: a prefix, one for each combination of attributes, one for each output."""
        n_tokens = self.program.size**self.program.n_attributes
        n_outputs = self.nodes[-1].size
        needed = N_PREFIX + n_tokens + n_outputs
        tokens = quiet_tokens(self.model, needed, self.generator)
        if len(tokens) < needed:
            raise PlantingError(f"the program needs {needed} tokens, the host has {len(tokens)} quiet ones")
        prefix, alphabet, outputs = tokens.split([N_PREFIX, n_tokens, n_outputs])
        return Inputs(
            program=self.program,
            prefix=prefix,
            alphabet=alphabet,
            outputs=outputs,
            causal=self.anatomy.causal,
        )

    @property
    def learned(self) -> bool:
        return self.anatomy.rotary is None

    def _stream(self, inputs: Inputs) -> Stream:
        slots = {f"v{i}": node.width for i, node in enumerate(self.nodes)}
        slots |= {"one": 1, "prefix": 1, "present": 1}
        if self.learned:
            slots |= {"position": min(16, self.anatomy.d_head // 2 * 2), "ramp": 1}
        shown = inputs.sample(_SHOWN, self.generator)[0].to(self.model.device)
        return Stream(
            self.model,
            slots,
            shown,
            self.generator,
            rho=self.dials.rho,
            positions=_START,
            write_leak=self.dials.write_leak,
            read_leak=self.dials.read_leak,
        )

    def _embed(self, stream: Stream, inputs: Inputs) -> Frame:
        """Write what the program starts from: flags, positions and attributes."""
        stream.embed("prefix", inputs.prefix, torch.ones(N_PREFIX, 1))
        stream.embed("present", inputs.alphabet, torch.ones(len(inputs.alphabet), 1))
        for i, node in enumerate(self.nodes):
            if node.operation == "attribute":
                codes = torch.eye(self.program.size, dtype=torch.float64)[inputs.attributes[:, node.index]]
                stream.embed(f"v{i}", inputs.alphabet, codes)
        back, margin = self._embed_positions(stream, inputs.length) if self.learned else (None, 1.0)
        return Frame(
            positions=_START,
            length=inputs.length,
            gain=self.dials.attention_gain,
            step=self.dials.recency,
            back=back,
            margin=margin,
        )

    def _embed_positions(self, stream: Stream, length: int) -> tuple[Tensor, float]:
        width = stream.slots["position"].shape[1]
        codes, back, margin = position_codes(length, width, self.generator)
        place = torch.arange(length)
        ramp = torch.where(place >= N_PREFIX, place / length, 0.0)[:, None]
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
            head = self._head(layer)
            plan = head_of(node, slots, [a.width for a in arguments], f"v{index}", frame)
            implant_head(stream, layer, head, plan)
            stream.changed()
            self.places[index] = f"a{layer}.h{head}"
            return
        neurons = neurons_of(node, slots, arguments, f"v{index}", ramp=self.dials.ramp)
        if len(neurons) > self.anatomy.d_mlp // 2:
            raise PlantingError(f"{node.operation} needs {len(neurons)} neurons, half of an MLP has fewer")
        implant_neurons(stream, layer, neurons, positions=frame.positions)
        self.places[index] = f"m{layer}"

    def _head(self, layer: int) -> int:
        """Choose a head whose keys and values no other instruction uses."""
        per_family = self.anatomy.n_heads // self.anatomy.n_kv_heads
        used = self.families.setdefault(layer, [])
        free = [f for f in range(self.anatomy.n_kv_heads) if f not in used]
        if not free:
            raise PlantingError(f"layer {layer} has too few key/value heads for this program")
        family = free[int(torch.randint(len(free), (), generator=self.generator))]
        used.append(family)
        return family * per_family + int(torch.randint(per_family, (), generator=self.generator))

    def _read_out(self, stream: Stream, outputs: Tensor) -> None:
        slot, node = f"v{len(self.nodes) - 1}", self.nodes[-1]
        own = self.model.logits(stream.calibration)[:, -1, outputs]
        gain = self.dials.logit_gain * max(1.0, float(own.std(dim=-1).mean()))
        if node.type == "category":
            eye = torch.eye(node.size, dtype=torch.float64)
            stream.read_out(Read(slot, positions=_LAST), outputs, eye, gain)
            return
        one = torch.ones(1, 1, dtype=torch.float64)
        stream.read_out(Read("one", positions=_LAST), outputs[:1], one, gain / 2)
        stream.read_out(Read(slot, positions=_LAST), outputs[1:], one, gain)

    # ------------------------------------------------------------------- edges
    def _edges(self) -> dict[Edge, tuple[Arc, ...]]:
        """Return the planted edges, and which arcs of the program each carries."""
        found: dict[Edge, tuple[Arc, ...]] = {}
        for index, number in self.program.arcs():
            edge = (self._source(self.nodes[index].arguments[number]), self._destination(index, number))
            found[edge] = (*found.get(edge, ()), (index, number))
        found[self.places[len(self.nodes) - 1], "logits"] = ()
        return found

    def _source(self, index: int) -> str:
        return self.places.get(index, "input")

    def _destination(self, index: int, number: int) -> str:
        place, operation = self.places[index], self.nodes[index].operation
        if operation not in ATTENDING:
            return place
        letter = LETTERS[operation][number]
        layer, head = place[1:].split(".h")
        if letter == "q":
            return f"{place}<q>"
        return f"a{layer}.h{self.anatomy.kv_head(int(head))}<{letter}>"
