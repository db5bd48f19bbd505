"""A reserved subspace of the residual stream, cut into named slots that planted parts write and read.

The host's embeddings, heads and MLPs are projected off the subspace, so that nothing but planted
parts writes there; the host goes on reading it, as polysemantic networks do. Reads go through the
norms, so each read is divided by the norm's scale as measured on calibration inputs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.model.projection import Projection, weight_of
from interp_bench.model.transformer import norm_scale, norm_shift
from interp_bench.planting.codes import orthonormal

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
            embedding.copy_(self.off(embedding, leak))
        self._silence_patch_embedding(leak)
        for block in self.anatomy.blocks:
            for writer in (block.out, block.mlp_out):
                self._silence_writer(writer, leak)
        gamma = norm_scale(self.anatomy.final_norm, self.anatomy.d_model)
        head = self.anatomy.head
        dtype = torch.float64 if head.n_columns * self.anatomy.d_model < 1e6 else torch.float32
        weight = weight_of(head.module)
        scale = gamma.to(dtype).to(weight.device)
        weight.copy_(self.off(weight.to(dtype) * scale) / scale)

    def _blind_host(self, leak: float) -> None:
        """Make heads and MLPs of the host read but a share of the reserved subspace."""
        if leak == 1.0:
            return
        for layer in range(len(self.anatomy.blocks)):
            for which in (1, 2):
                gamma = norm_scale(self.anatomy.norm(layer, which), self.anatomy.d_model)[:, None]
                for reader in self.readers(layer, which):
                    reader.write(self.off((reader.read() * gamma).T, leak).T / gamma)

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
            weight = conv.weight.data
            weight.copy_(self.off(weight.flatten(1).T, leak).T.reshape(weight.shape))
            if conv.bias is not None:
                conv.bias.data.copy_(self.off(conv.bias.data, leak))

    def _silence_writer(self, writer: Projection, leak: float) -> None:
        dtype = torch.float64 if self.anatomy.d_model < 1024 else torch.float32
        weight = weight_of(writer.module)
        conv1d = type(writer.module).__name__ == "Conv1D"
        rows = weight.to(dtype) if conv1d else weight.to(dtype).T
        new = self.off(rows, leak)
        weight.copy_(new if conv1d else new.T)
        bias = writer.read_bias()
        if bias is not None:
            writer.write_bias(self.off(bias, leak))

    # ------------------------------------------------------------ calibration
    def scale(self, layer: int | None, which: int, positions: Positions = ALL) -> Tensor:
        """Return the median scale that a norm divides by, over calibration inputs at these positions."""
        key = (layer, which)
        if key not in self._scales:
            self._measure()
        scales = self._scales[key]
        chosen = scales[positions] if isinstance(positions, Tensor) else scales[:, positions]
        median: Tensor = chosen.median()
        return median

    def changed(self) -> None:
        """Forget measured scales; called whenever a planted part has been written."""
        self._scales.clear()

    def _measure(self) -> None:
        """Measure the scale (batch, position) of every norm in one forward."""
        points: dict[str, tuple[int | None, int]] = {}
        for layer in range(len(self.anatomy.blocks)):
            points[f"blocks.{layer}.hook_resid_pre"] = (layer, 1)
            middle = "hook_resid_pre" if self.anatomy.parallel else "hook_resid_mid"
            points.setdefault(f"blocks.{layer}.{middle}", (layer, 2))
        last = f"blocks.{len(self.anatomy.blocks) - 1}.hook_resid_post"
        with torch.no_grad(), self.model.record(*points, last) as cache:
            self.model(self.calibration)
        for name, key in points.items():
            self._scales[key] = self._norm_scale(cache[name])
            if self.anatomy.parallel:
                self._scales[key[0], 2] = self._scales[key]
        self._scales[None, 1] = self._norm_scale(cache[last])

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
        """Make weights (d_model, n) behind a norm blind to the reserved subspace."""
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
