"""Evidence planted in a transformer: seen in a token or patch, moved by a head, decided by neurons.

Each group of patterns has two slots of the reserved subspace. In an LM the first is written by
marker tokens; a head moves it from the marker to later positions, into the second slot; threshold
neurons decide, and write the first slot there, which the head of the network reads at the last
position. In a ViT detector neurons come first: the patch embedding writes the first slot, neurons
the second, a head moves it to the class token, into the first, and neurons decide, into the second.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.model.projection import weight_of
from interp_bench.planting.evidence.alphabet import Alphabet, TokenSampler
from interp_bench.planting.evidence.base import Evidence, Scene, Stimuli, draw_classes
from interp_bench.planting.evidence.images import Stamps, make_stamps
from interp_bench.planting.heads import Head, Match, implant_head
from interp_bench.planting.neurons import Neuron, Reads, implant_neurons, step
from interp_bench.planting.stream import Positions, Read, Stream
from interp_bench.planting.tokens import N_PREFIX

# Noise in patches excites detectors up to 0.2; nothing but evidence reaches the deciding neurons.
_DETECT, _DECIDE = 0.45, 0.25
_FULL = 0.75  # where saturated evidence counts in full


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceDials:
    """How hard the planted evidence is to find.

    Attributes:
        rho: norm of a planted code as a fraction of the host's residual norm.
        attention_gain: attention logits by which evidence stands out.
        logit_gain: how far decided evidence raises its output, in standard deviations of the host's own
            logits over the outputs, and at least that many logits.
        host_logit: factor on the host's own weights of the outputs that are read.
        saturated: whether decided evidence counts alike however strong it is.
        open_groups: groups of patterns that pass no threshold, so that even traces of them count (ViT).
        turned: whether what decides gives each pattern the code that the embedding gives the next one of its
            group, so that the embedding alone does not raise the logit that the network raises (LMs).
        scene: what else is in an input, and how patterns stand.
    """

    rho: float = 0.25
    attention_gain: float = 30.0
    logit_gain: float = 8.0
    host_logit: float = 1.0
    saturated: bool = False
    open_groups: tuple[int, ...] = ()
    turned: bool = False
    scene: Scene = field(default_factory=Scene)


def plant_evidence_transformer(
    model: Model,
    groups: tuple[int, ...],
    *,
    seed: int,
    dials: EvidenceDials | None = None,
    effects: Tensor | None = None,
) -> Evidence:
    """Plant groups of patterns in an LM or a ViT, by weight edit.

    Args:
        model: the host; edited in place.
        groups: number of patterns in each group.
        seed: seed of the plant; another seed gives other directions, layers, heads and markers.
        dials: difficulty.
        effects: (n_patterns, n_outputs) how far each pattern raises each output, in units of what a
            pattern usually adds; when None each raises its own, by one.

    Returns:
        The evidence, with carriers at every site between the moving head and the logits.

    Raises:
        PlantingError: the host is too narrow, too shallow or has too few heads.
    """
    dials = dials or EvidenceDials()
    effects = torch.eye(sum(groups)) if effects is None else effects
    generator = torch.Generator().manual_seed(seed)
    anatomy = model.transformer
    if len(groups) > anatomy.n_kv_heads:
        raise PlantingError(f"{len(groups)} groups need as many key/value heads; {anatomy.n_kv_heads} exist")
    if anatomy.n_prefix:
        return _Vision(model, groups, generator, dials, effects).plant()
    model.last_only = True
    return _Language(model, groups, generator, dials, effects).plant()


def _pick(low: int, high: int, generator: torch.Generator) -> int:
    """Draw an integer between low and high, both included."""
    return low + int(torch.randint(max(1, high - low + 1), (), generator=generator))


class _Plant:
    """What LM and ViT share: slots, deciding neurons, read-out, carriers."""

    last: str  # the slots that the head of the network reads
    turn = 0  # how many codes further the code of each pattern is in these, within its group

    def __init__(
        self,
        model: Model,
        groups: tuple[int, ...],
        generator: torch.Generator,
        dials: EvidenceDials,
        effects: Tensor,
    ) -> None:
        self.model, self.groups, self.generator, self.dials = model, groups, generator, dials
        self.effects = effects
        self.anatomy = model.transformer
        self.parts: list[str] = []
        self.gap = 1 if self.anatomy.parallel else 0

    def slots(self) -> dict[str, int]:
        slots = {f"{name}{g}": size for g, size in enumerate(self.groups) for name in "ab"}
        return {**slots, "one": 1}

    def decide(
        self, stream: Stream, layer: int, source: str, into: str, positions: Positions, *, threshold: float
    ) -> None:
        """Implant neurons that copy each code of a slot into another when it exceeds a threshold."""
        neurons = []
        for g, size in enumerate(self.groups):
            if g in self.dials.open_groups:
                continue
            for unit in torch.eye(size, dtype=torch.float64):
                code = unit.roll(self.turn if into == self.last else 0)
                neurons += self._decider(((f"{source}{g}", unit),), threshold, f"{into}{g}", code)
        implant_neurons(stream, layer, neurons, positions=positions)
        self.parts.append(f"m{layer}")

    def _decider(self, reads: Reads, threshold: float, slot: str, code: Tensor) -> list[Neuron]:
        """Return neurons that write a code where a sum exceeds a threshold, all of it where the sum is 1."""
        if self.dials.saturated:
            return step(reads, (threshold + _FULL) / 2, _FULL - threshold, slot, code)
        slope = 1 / (1 - threshold)
        return [Neuron(reads=reads, threshold=threshold, slot=slot, code=code, slope=slope)]

    def move(self, stream: Stream, layer: int, query: Read, source: str, into: str, keys: Positions) -> None:
        """Implant one head a group that moves its slot to where the query is.

        Args:
            stream: the reserved subspace.
            layer: layer of the heads.
            query: what marks the position that reads.
            source: slot that is moved; of open groups the one that the input wrote.
            into: slot that it is moved into; of open groups the one that is read out.
            keys: positions of evidence.
        """
        families = torch.randperm(self.anatomy.n_kv_heads, generator=self.generator).tolist()
        per_family = self.anatomy.n_heads // self.anatomy.n_kv_heads
        for g, size in enumerate(self.groups):
            head = families[g] * per_family + _pick(0, per_family - 1, self.generator)
            here, there = ("a", self.last) if g in self.dials.open_groups else (source, into)
            key = Read(f"{here}{g}", torch.ones(size, 1), keys)
            plan = Head(
                matches=(Match(query=query, key=key, gain=self.dials.attention_gain),),
                value=Read(f"{here}{g}", positions=keys),
                slot=f"{there}{g}",
                map=torch.eye(size, dtype=torch.float64),
            )
            implant_head(stream, layer, head, plan)
            self.parts.append(f"a{layer}.h{head}")

    def read_out(self, stream: Stream, slot: str, outputs: Tensor, positions: Positions) -> None:
        head = self.anatomy.head.module
        weight_of(head)[outputs] *= self.dials.host_logit
        own = stream.logits()
        spread = float((own[:, -1] if own.ndim == 3 else own)[:, outputs].std(dim=-1).mean())
        gain = self.dials.logit_gain * max(1.0, spread)
        for g, effects in enumerate(self.effects.split(self.groups)):
            mine = effects if g in self.dials.open_groups else effects.roll(self.turn, 0)
            moved = mine.abs().amax(0) > 0
            read = Read(f"{slot}{g}", positions=positions)
            stream.read_out(read, outputs[moved], mine[:, moved].T, gain)

    def carriers(self, stream: Stream, moved: tuple[int, str], decided: tuple[int, str]) -> dict[str, Tensor]:
        """Return, for each site, the slot that the next part reads."""
        found = {}
        for layer in range(moved[0], len(self.anatomy.blocks)):
            name, turn = (moved[1], 0) if layer < decided[0] else (decided[1], self.turn)
            frames = [
                stream.slots[f"{self.last}{g}"].T
                if g in self.dials.open_groups
                else stream.slots[f"{name}{g}"].T.roll(-turn, 0)
                for g in range(len(self.groups))
            ]
            found[f"blocks.{layer}.hook_resid_post"] = torch.cat(frames).to(self.model.dtype)
        return found


class _Language(_Plant):
    """Evidence in the tokens of an LM."""

    last = "a"

    def plant(self) -> Evidence:
        depth, last = len(self.anatomy.blocks), slice(-1, None)
        if depth < 2 + self.gap:
            raise PlantingError(
                f"evidence in an LM needs at least {2 + self.gap} layers, the host has {depth}"
            )
        dials, n = self.dials, sum(self.groups)
        self.turn = int(dials.turned)
        alphabet = Alphabet.draw(self.model, n, self.generator, length=dials.scene.length)
        sampler = TokenSampler(alphabet=alphabet, scene=dials.scene, device=self.model.device)
        outputs = alphabet.outputs[: self.effects.shape[1]]
        shown = sampler(draw_classes(8, self.groups, self.generator), self.generator)
        markers = shown.masks.any(1)
        stream = Stream(
            self.model,
            {**self.slots(), "decoy": 1},
            shown.inputs,
            self.generator,
            rho=self.dials.rho,
            positions=slice(N_PREFIX, None),
        )
        self._embed(stream, alphabet)
        if dials.scene.even_norms:
            self._even_norms(
                stream, torch.cat([alphabet.markers.flatten(), alphabet.decoys, alphabet.fillers])
            )
        first = _pick(depth // 4, (depth - 1) // 2, self.generator)
        second = _pick(first + 1, max(first + 1, 3 * depth // 4), self.generator)
        self.move(stream, first, Read("one", positions=last), "a", "b", markers)
        self.decide(stream, second, "b", "a", last, threshold=_DECIDE)
        self.read_out(stream, "a", outputs, last)
        return Evidence(
            groups=self.groups,
            outputs=outputs,
            carriers=self.carriers(stream, (first, "b"), (second, "a")),
            position=-1,
            sample=sampler,
            parts=tuple(self.parts),
        )

    def _embed(self, stream: Stream, alphabet: Alphabet) -> None:
        stream.embed_everywhere("one")
        stream.embed("decoy", alphabet.decoys, torch.ones(len(alphabet.decoys), 1))
        start = 0
        for g, size in enumerate(self.groups):
            tokens = alphabet.markers[start : start + size]
            stream.embed(f"a{g}", tokens.flatten(), torch.eye(size).repeat_interleave(2, dim=0))
            start += size

    def _even_norms(self, stream: Stream, tokens: Tensor) -> None:
        """Give the embeddings of these tokens their median norm, by scaling the host's part of each."""
        table = weight_of(self.anatomy.token_embedding)
        rows = table[tokens].double()
        host = stream.off(rows)
        wanted = rows.norm(dim=1).median()
        share = (wanted.square() - (rows - host).norm(dim=1).square()).clamp_min(0).sqrt()
        table[tokens] = (rows + (share / host.norm(dim=1) - 1)[:, None] * host).to(table)
        stream.changed()


class _Vision(_Plant):
    """Evidence in the patches of a ViT."""

    last = "b"

    def plant(self) -> Evidence:
        depth, prefix = len(self.anatomy.blocks), self.anatomy.n_prefix
        if depth < 3:
            raise PlantingError(f"evidence in a ViT needs at least 3 layers, the host has {depth}")
        outputs = torch.arange(self.effects.shape[1])
        if len(outputs) > self.model.n_outputs:
            raise PlantingError(
                f"{len(outputs)} patterns need as many classes, it has {self.model.n_outputs}"
            )
        stamps = self._stamps()
        shown = stamps(draw_classes(8, self.groups, self.generator), self.generator)
        patches, token = self._stamped_patches(shown, stamps.cell), slice(0, 1)
        stream = Stream(
            self.model,
            {**self.slots(), "class": 1},
            shown.inputs,
            self.generator,
            rho=self.dials.rho,
            positions=slice(prefix, None),
        )
        self._embed(stream, stamps)
        detect = _pick(0, depth // 4, self.generator)
        first = _pick(detect + 1, max(detect + 1, depth // 2), self.generator)
        second = _pick(first + 1, max(first + 1, 3 * depth // 4), self.generator)
        self.decide(stream, detect, "a", "b", patches, threshold=_DETECT)
        self.move(stream, first, Read("class", positions=token), "b", "a", patches)
        self.decide(stream, second, "a", "b", token, threshold=_DECIDE)
        self.read_out(stream, "b", outputs, token)
        return Evidence(
            groups=self.groups,
            outputs=outputs,
            carriers=self.carriers(stream, (first, "a"), (second, "b")),
            position=0,
            sample=stamps,
            parts=tuple(self.parts),
        )

    def _stamped_patches(self, shown: Stimuli, cell: int) -> Tensor:
        """Return a (batch, position) mask of the patches that show a pattern."""
        pixels = shown.masks.any(1)[:, ::cell, ::cell].flatten(1)
        return torch.cat([torch.zeros(len(pixels), self.anatomy.n_prefix, dtype=torch.bool), pixels], dim=1)

    def _stamps(self) -> Stamps:
        cell = weight_of(self.anatomy.token_embedding).shape[-1]
        return make_stamps(
            sum(self.groups),
            size=self.model.image_size,
            cell=cell,
            tiles=1,
            stride=cell,
            offset=0,
            scene=self.dials.scene,
            generator=self.generator,
            device=self.model.device,
            dtype=self.model.dtype,
        )

    def _embed(self, stream: Stream, stamps: Stamps) -> None:
        conv = self.anatomy.token_embedding
        weight = conv.weight
        assert isinstance(weight, Tensor)
        start = 0
        for g, size in enumerate(self.groups):
            filters = stamps.filters[start : start + size].flatten(1).double() / stamps.scene.amplitude
            written = stream.vectors(f"a{g}", torch.eye(size)).T @ filters
            weight.data += written.reshape(weight.shape).to(weight)
            start += size
        stream.embed_everywhere("one")
        assert self.anatomy.class_embedding is not None
        flag = stream.vectors("class", torch.ones(1, 1))[0]
        self.anatomy.class_embedding.data += flag.to(self.anatomy.class_embedding)
        stream.changed()
