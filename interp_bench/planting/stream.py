"""A reserved subspace of the residual stream, cut into named slots that planted parts write and read.

The host's embeddings, heads and MLPs are projected off the subspace, so that nothing but planted
parts writes there; the host goes on reading it, as polysemantic networks do. Reads go through the
norms, so each read is divided by the norm's scale as measured on calibration inputs.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.model.projection import Projection, matrix, weight_of
from interp_bench.model.transformer import norm_scale, norm_shift
from interp_bench.planting.codes import orthonormal
from interp_bench.planting.passes import read_sites
from interp_bench.planting.removal import remove

Positions = slice | Tensor
"""A slice of positions, or a (batch, position) bool mask over the calibration inputs."""

ALL = slice(None)


@dataclass(frozen=True, slots=True)
class Read:
    """A linear read ``A^T code`` of one slot.

    Attributes:
        slot: name of the slot.
        map: (slot width, r) matrix A; None reads the whole slot.
        positions: positions at which the read is calibrated.
    """

    slot: str
    map: Tensor | None = None
    positions: Positions = field(default_factory=lambda: ALL)


class Stream:
    """The reserved subspace of one transformer.

    Attributes:
        slots: (d_model, width) frame of each slot by name.
        amplitude: norm of a unit code in the residual stream.
        levels: factor on the amplitude in slots that are written at another one.

    Args:
        model: the host; its weights are edited in place.
        slots: width of each slot by name.
        calibration: inputs (tokens or pixels) that norms are measured on.
        generator: source of randomness for the plant.
        rho: norm of a unit code as a fraction of the host's residual norm at layer 0.
        positions: positions at which that norm is measured.
        write_leak: share of what the host writes into the subspace that stays there, as noise on
            the codes; 0 keeps the subspace clean.
        read_leak: share of the subspace that host parts go on reading, as polysemantic networks do.

    Raises:
        PlantingError: the slots do not fit into the residual stream.
    """

    def __init__(
        self,
        model: Model,
        slots: dict[str, int],
        calibration: Tensor,
        generator: torch.Generator,
        *,
        rho: float = 0.25,
        positions: Positions = ALL,
        write_leak: float = 0.0,
        read_leak: float = 1.0,
    ) -> None:
        self.model, self.anatomy = model, model.transformer
        self.calibration, self.generator = calibration, generator
        d, width = self.anatomy.d_model, sum(slots.values())
        room = d - 1 if self.anatomy.centered else d
        if width > room:
            raise PlantingError(
                f"the plant needs {width} dimensions of the residual stream, which has {room}"
            )
        ones = torch.ones(d, 1, dtype=torch.float64) if self.anatomy.centered else None
        frame = orthonormal(d, width, generator, avoid=ones)
        self.frame = frame
        self.slots = dict(zip(slots, frame.split(list(slots.values()), dim=1), strict=True))
        self.levels: dict[str, float] = {}
        self._scales: dict[tuple[int | None, int], Tensor] = {}
        self._residuals: list[Tensor] = []  # what goes into each block, as far as it is known
        self._silence_host(write_leak)
        self._blind_host(read_leak)
        self.amplitude = rho * float(self.scale(0, 1, positions)) * d**0.5

    # ------------------------------------------------------------ reservation
    def off(self, rows: Tensor, leak: float = 0.0) -> Tensor:
        """Take all but a share of the reserved subspace out of the last dimension of rows (..., d_model)."""
        frame = self.frame.to(rows.dtype).to(rows.device)
        return rows - (1 - leak) * (rows @ frame) @ frame.T

    def _silence_host(self, leak: float) -> None:
        """Take the reserved subspace out of what the host writes, up to the leak, and out of its head."""
        for embedding in self._embeddings():
            self._clear(embedding.flatten(0, -2).T, leak)
        self._silence_patch_embedding(leak)
        for block in self.anatomy.blocks:
            for writer in (block.out, block.mlp_out):
                self._clear(matrix(writer.module).T, leak)
                bias = writer.read_bias()
                if bias is not None:
                    writer.write_bias(self.off(bias, leak))
        gamma = norm_scale(self.anatomy.final_norm, self.anatomy.d_model)
        self._clear(matrix(self.anatomy.head.module), 0.0, gamma)

    def _clear(self, weight: Tensor, leak: float, gain: Tensor | None = None) -> None:
        """Take all but a share of the subspace out of a weight (d_model, n), as it is behind a gain."""
        gains = torch.ones(self.anatomy.d_model, dtype=torch.float64) if gain is None else gain
        remove(weight, (1 - leak) * self.frame / gains[:, None], self.frame * gains[:, None])

    def _blind_host(self, leak: float) -> None:
        """Make heads and MLPs of the host read but a share of the reserved subspace."""
        if leak == 1.0:
            return
        for layer in range(len(self.anatomy.blocks)):
            for which in (1, 2):
                gamma = norm_scale(self.anatomy.norm(layer, which), self.anatomy.d_model)
                for reader in self.readers(layer, which):
                    self._clear(matrix(reader.module), leak, gamma)

    def readers(self, layer: int, which: int) -> list[Projection]:
        """Return what reads norm 1 or 2 of a layer, each module once."""
        block = self.anatomy.blocks[layer]
        found = (block.query, block.key, block.value) if which == 1 else (block.mlp_in, block.mlp_gate)
        modules = {id(p.module): p.module for p in found if p is not None}
        return [Projection(module) for module in modules.values()]

    def _embeddings(self) -> list[Tensor]:
        a = self.anatomy
        found = [a.position_embedding, a.class_embedding]
        if isinstance(a.token_embedding, nn.Embedding):
            found.append(a.token_embedding.weight)
        return [t.data for t in found if t is not None]

    def _silence_patch_embedding(self, leak: float) -> None:
        conv = self.anatomy.token_embedding
        if isinstance(conv, nn.Conv2d):
            self._clear(conv.weight.data.flatten(1), leak)
            if conv.bias is not None:
                conv.bias.data.copy_(self.off(conv.bias.data, leak))

    # ------------------------------------------------------------ calibration
    def scale(self, layer: int | None, which: int, positions: Positions = ALL) -> Tensor:
        """Return the median scale that a norm divides by, over calibration inputs at these positions."""
        key = (layer, which)
        if key not in self._scales:
            self._measure(layer)
        scales = self._scales[key]
        chosen = scales[positions] if isinstance(positions, Tensor) else scales[:, positions]
        median: Tensor = chosen.median()
        return median

    def changed(self, layer: int | None = 0, which: int = 0) -> None:
        """Forget what was measured behind a change: all of it, or what comes after a norm of a layer.

        Called whenever a planted part has been written.

        Args:
            layer: layer of a part that was written; None for the head.
            which: the norm that the part reads through; 0 for the embeddings.
        """
        depth = len(self.anatomy.blocks)
        place = (depth if layer is None else layer, which)
        if self.anatomy.parallel and which == 1:
            place = (place[0], 2)
        for key in [k for k in self._scales if (depth if k[0] is None else k[0], k[1]) > place]:
            del self._scales[key]
        del self._residuals[place[0] + 1 if which else 0 :]

    def logits(self) -> Tensor:
        """Return the logits of the calibration inputs; only blocks that changed since are run."""
        with self._resumed(), torch.no_grad():
            return self.model(self.calibration)

    def _resumed(self) -> AbstractContextManager[None]:
        """Let the network start behind the last residual stream that is known."""
        last = len(self._residuals) - 1
        return self.model.starting_at(last, self._residuals[last]) if last > 0 else nullcontext()

    def _measure(self, layer: int | None) -> None:
        """Measure the scale (batch, position) of every norm up to this layer, from the last known one on."""
        depth = len(self.anatomy.blocks)
        first = max(0, len(self._residuals) - 1)
        last = depth if layer is None else layer
        found: dict[tuple[int | None, int], str] = {}
        for i in range(first, min(last, depth - 1) + 1):
            found[i, 1] = f"blocks.{i}.hook_resid_pre"
            if not self.anatomy.parallel:
                found[i, 2] = f"blocks.{i}.hook_resid_mid"
        if last == depth:
            found[None, 1] = f"blocks.{depth - 1}.hook_resid_post"
        size = len(self.calibration)
        with self._resumed():
            values = read_sites(self.model, self.calibration, tuple(found.values()), batch_size=size)
        for key, residual in zip(found, values, strict=True):
            self._scales[key] = self._norm_scale(residual)
            if key[1] == 1:
                at = depth if key[0] is None else key[0]
                self._residuals[at:] = [residual]
            if self.anatomy.parallel and key[0] is not None:
                self._scales[key[0], 2] = self._scales[key]

    def _norm_scale(self, residual: Tensor) -> Tensor:
        x = residual.double()
        variance = x.var(-1, unbiased=False) if self.anatomy.centered else x.pow(2).mean(-1)
        return variance.sqrt()

    # ---------------------------------------------------------------- reading
    def reader(self, layer: int | None, which: int, read: Read) -> Tensor:
        """Return (d_model, r) weights that give ``A^T code`` when applied to the norm's output.

        The norm's shift is not accounted for; subtract ``shift(layer, which) @ weights``.
        """
        gamma = norm_scale(self.anatomy.norm(layer, which), self.anatomy.d_model)
        scale = self.scale(layer, which, read.positions)
        amplitude = self.amplitude * self.levels.get(read.slot, 1.0)
        weights: Tensor = self.slots[read.slot] / gamma[:, None] * (scale.cpu() / amplitude)
        return weights if read.map is None else weights @ read.map.double()

    def shift(self, layer: int | None, which: int, weights: Tensor) -> Tensor:
        """Return what the norm's learned shift adds to a read with these weights (r,)."""
        beta = norm_shift(self.anatomy.norm(layer, which))
        return torch.zeros(weights.shape[1], dtype=torch.float64) if beta is None else beta @ weights

    def unread(self, layer: int, which: int, weight: Tensor) -> Tensor:
        """Return weights (d_model, n) behind a norm, blind to the reserved subspace."""
        gamma = norm_scale(self.anatomy.norm(layer, which), self.anatomy.d_model)[:, None]
        return self.off((weight * gamma).T).T / gamma

    # ---------------------------------------------------------------- writing
    def vectors(self, slot: str, codes: Tensor) -> Tensor:
        """Return residual-stream vectors (n, d_model) of codes (n, slot width), at the plant's amplitude."""
        vectors: Tensor = self.amplitude * codes.double() @ self.slots[slot].T
        return vectors

    def embed(self, slot: str, tokens: Tensor, codes: Tensor) -> None:
        """Write codes (n, slot width) into the embeddings of tokens (n,)."""
        weight = weight_of(self.anatomy.token_embedding)
        weight[tokens] += self.vectors(slot, codes).to(weight.dtype).to(weight.device)
        self.changed()

    def embed_everywhere(self, slot: str) -> None:
        """Write the constant code 1 of a one-dimensional slot into every position."""
        one = self.vectors(slot, torch.ones(1, 1))[0] * self.levels.get(slot, 1.0)
        if self.anatomy.position_embedding is not None and self.anatomy.n_prefix:
            table = self.anatomy.position_embedding.data
            table += one.to(table.dtype).to(table.device)
        else:
            weight = weight_of(self.anatomy.token_embedding)
            weight += one.to(weight.dtype).to(weight.device)
        self.changed()

    def read_out(self, read: Read, outputs: Tensor, codes: Tensor, gain: float) -> None:
        """Let the head raise logit ``outputs[i]`` by ``gain * <code, codes[i]>``.

        Args:
            read: what is read behind the final norm, r coordinates.
            outputs: (n,) logit indices.
            codes: (n, r).
            gain: in logits.
        """
        weights = gain * self.reader(None, 1, read) @ codes.double().T
        head = self.anatomy.head.module
        table = weight_of(head)
        table[outputs] += weights.T.to(table.dtype).to(table.device)
        bias = getattr(head, "bias", None)
        if isinstance(bias, Tensor):
            bias.data[outputs] -= self.shift(None, 1, weights).to(bias.dtype).to(bias.device)
