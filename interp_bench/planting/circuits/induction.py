"""Induction (Olsson et al. 2022) planted in any decoder LM: a previous-token head feeds a matching head."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Generator, Tensor

from interp_bench.errors import PlantingError
from interp_bench.model.graph import Edge
from interp_bench.model.handle import Model
from interp_bench.planting.circuits.base import Pairs, PlantedCircuit
from interp_bench.planting.codes import spread_codes
from interp_bench.planting.heads import Head, Match, Offset, implant_head
from interp_bench.planting.positions import position_codes
from interp_bench.planting.stream import Read, Stream
from interp_bench.planting.tokens import N_PREFIX, quiet_tokens

_START = slice(N_PREFIX, None)
# Right behind the prefix, pretrained networks still treat tokens as sinks.
_UNASKED = 2
_LAST = slice(-1, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class InductionDials:
    """How hard the planted induction is to find.

    Attributes:
        rho: norm of a planted code as a fraction of the host's residual norm.
        attention_gain: margin in attention logits.
        logit_gain: margin of the answer in standard deviations of the host's own logits.
        max_tokens: size of the task's alphabet, smaller in narrow hosts.
        write_leak: share of the host's own writing that stays in the reserved subspace.
        read_leak: share of the reserved subspace that the host goes on reading.
    """

    rho: float = 0.35
    attention_gain: float = 30.0
    logit_gain: float = 12.0
    max_tokens: int = 12
    write_leak: float = 0.0
    read_leak: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Induction:
    """A planted induction circuit.

    Attributes:
        edges: the planted edges.
        prefix: the tokens that stand in front of every input.
        alphabet: (n,) tokens that inputs are made of.
    """

    edges: tuple[Edge, ...]
    prefix: Tensor
    alphabet: Tensor

    @property
    def length(self) -> int:
        """Number of tokens of an input."""
        return len(self.prefix) + len(self.alphabet) + 1

    def sample(self, count: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Draw inputs ``prefix x1 .. xn xj`` and their answers ``x(j+1)``, with j at least 3.

        Returns:
            Tokens (count, n_prefix + n + 1) and the index of the answer in the alphabet (count,).
        """
        n = len(self.alphabet)
        order = torch.rand(count, n, generator=generator).argsort(1)
        chosen = torch.randint(_UNASKED, n - 1, (count, 1), generator=generator)
        rows = torch.cat([order, order.gather(1, chosen)], dim=1)
        tokens = torch.cat([self.prefix.expand(count, -1), self.alphabet[rows]], dim=1)
        return tokens, order.gather(1, chosen + 1)[:, 0]

    def pairs(self, count: int, generator: Generator) -> Pairs:
        """Draw pairs of unrelated inputs with different answers."""
        clean, answers = self.sample(8 * count, generator)
        corrupted, others = self.sample(8 * count, generator)
        differ = torch.nonzero(answers != others).flatten()[:count]
        outcomes = self.alphabet[torch.stack([answers, others], dim=1)]
        return Pairs(clean=clean, corrupted=corrupted, outcomes=outcomes).at(differ)

    def near(self, count: int, generator: Generator) -> Pairs:
        """Draw pairs that differ in the last token, which repeats another one."""
        clean, answers = self.sample(count, generator)
        changed, n = clean.clone(), len(self.alphabet)
        body = clean[:, len(self.prefix) : -1]
        place = (body == clean[:, -1:]).int().argmax(1)
        asked = n - 1 - _UNASKED
        steps = torch.randint(1, asked, (count,), generator=generator)
        other = (_UNASKED + (place - _UNASKED + steps) % asked)[:, None]
        changed[:, -1] = body.gather(1, other)[:, 0]
        followed = body.gather(1, other + 1)[:, 0]
        outcomes = torch.stack([self.alphabet[answers], followed], dim=1)
        return Pairs(clean=clean, corrupted=changed, outcomes=outcomes)

    @property
    def circuit(self) -> PlantedCircuit:
        """The circuit with its samplers."""
        return PlantedCircuit(edges=self.edges, candidates=self.alphabet, pairs=self.pairs, near=self.near)


def plant_induction(model: Model, *, seed: int, dials: InductionDials | None = None) -> Induction:
    """Plant induction by weight edit.

    A head copies each token's code one position on; a later head looks for the position whose
    previous token equals the current one, and moves that position's code to the logits.

    Args:
        model: a decoder LM of at least two layers; edited in place.
        seed: another seed gives other directions, layers, heads and tokens.
        dials: difficulty.

    Raises:
        PlantingError: the host is too narrow or too shallow.
    """
    dials = dials or InductionDials()
    model.last_only = True
    return _Plan(model, torch.Generator().manual_seed(seed), dials).plant()


class _Plan:
    """Sizes and places of one induction plant."""

    def __init__(self, model: Model, generator: Generator, dials: InductionDials) -> None:
        self.model, self.generator, self.dials = model, generator, dials
        a = self.anatomy = model.transformer
        if len(a.blocks) < 2:
            raise PlantingError("induction needs at least two layers")
        self.learned = a.rotary is None
        self.d_position = min(8 if a.d_model < 128 else 16, a.d_head // 2 * 2) if self.learned else 0
        # Half of the stream stays with the host, whose norm would otherwise hang on single tokens.
        room = max(a.d_model // 2, 24) - 1 - self.d_position
        self.width = min(dials.max_tokens - 1, a.d_head, room // 3)
        if self.width < 5 or (self.learned and self.d_position < 8):
            raise PlantingError(
                f"induction needs a wider host than d_model {a.d_model}, d_head {a.d_head}: "
                "five dimensions for each of three codes, and eight for positions"
            )

    def plant(self) -> Induction:
        # n + 1 codes in n dimensions can stand further apart than orthogonal ones.
        tokens = quiet_tokens(self.model, N_PREFIX + self.width + 1, self.generator)
        prefix, alphabet = tokens[:N_PREFIX], tokens[N_PREFIX:]
        codes = spread_codes(len(alphabet), self.width, self.generator)
        overlap = float((codes @ codes.T - 2 * torch.eye(len(codes))).max())
        self.places()
        stream = self.stream(prefix, alphabet)
        stream.embed_everywhere("one")
        stream.embed("token", alphabet, codes)
        self.previous_token_head(stream, len(alphabet) + N_PREFIX + 1)
        self.induction_head(stream, overlap)
        induction = Induction(edges=self.edges(), prefix=prefix, alphabet=alphabet)
        spread = float(stream.logits()[:, -1, alphabet].std(dim=-1).mean())
        gain = self.dials.logit_gain * max(1.0, spread) / (1 - max(0.0, overlap))
        stream.read_out(Read("out", positions=_LAST), alphabet, codes, gain)
        return induction

    def places(self) -> None:
        """Choose a layer and a head for each part."""
        a = self.anatomy
        depth = len(a.blocks)

        def draw(low: int, high: int) -> int:
            return low + int(torch.randint(max(1, high - low + 1), (), generator=self.generator))

        self.layer1 = draw(0, (depth - 2) // 2)
        self.layer2 = draw(self.layer1 + 1, max(self.layer1 + 1, 3 * depth // 4))
        self.head1, self.head2 = draw(0, a.n_heads - 1), draw(0, a.n_heads - 1)

    def stream(self, prefix: Tensor, alphabet: Tensor) -> Stream:
        """Reserve the slots; calibrate on inputs like those of the task."""
        slots = {"token": self.width, "previous": self.width, "out": self.width, "one": 1}
        if self.learned:
            slots["position"] = self.d_position
        shown = Induction(edges=(), prefix=prefix, alphabet=alphabet).sample(8, self.generator)[0]
        inputs = shown.to(self.model.device)
        return Stream(
            self.model,
            slots,
            inputs,
            self.generator,
            rho=self.dials.rho,
            positions=_START,
            write_leak=self.dials.write_leak,
            read_leak=self.dials.read_leak,
        )

    def previous_token_head(self, stream: Stream, length: int) -> None:
        gain = self.dials.attention_gain
        value = Read("token", positions=_START)
        copy = partial(Head, value=value, slot="previous", map=torch.eye(self.width, dtype=torch.float64))
        if not self.learned:
            constant = Read("one", positions=_START)
            offset = Offset(steps=1, gain=gain, constant=constant, length=length)
            plan = copy(offset=offset)
        else:
            codes, back, margin = position_codes(length, self.d_position, self.generator)
            table = self.anatomy.position_embedding
            assert table is not None
            written = stream.vectors("position", codes)
            table.data.view(-1, self.anatomy.d_model)[:length] += written.to(table)
            stream.changed()
            query = Read("position", back, _START)
            match = Match(query=query, key=Read("position", positions=_START), gain=gain / margin)
            plan = copy(matches=(match,))
        implant_head(stream, self.layer1, self.head1, plan)

    def induction_head(self, stream: Stream, overlap: float) -> None:
        gain = self.dials.attention_gain / (1 - max(0.0, overlap))
        query, key = Read("token", positions=_LAST), Read("previous", positions=_START)
        plan = Head(
            matches=(Match(query=query, key=key, gain=gain),),
            value=Read("token", positions=_START),
            slot="out",
            map=torch.eye(self.width, dtype=torch.float64),
        )
        implant_head(stream, self.layer2, self.head2, plan)

    def edges(self) -> tuple[Edge, ...]:
        a = self.anatomy
        kv1, kv2 = a.kv_head(self.head1), a.kv_head(self.head2)
        first, second = f"a{self.layer1}.h{self.head1}", f"a{self.layer2}.h{self.head2}"
        return (
            ("input", f"a{self.layer1}.h{kv1}<v>"),
            (first, f"a{self.layer2}.h{kv2}<k>"),
            ("input", f"{second}<q>"),
            ("input", f"a{self.layer2}.h{kv2}<v>"),
            (second, "logits"),
        )
