"""One run of a transformer in which edges carry, wholly or in part, what they would carry elsewhere."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from interp_bench.model.edge_writes import Hooks, head_results
from interp_bench.model.graph import Destination
from interp_bench.model.handle import Model


class PatchedRun:
    """The hooks of one run with cut edges.

    ``gaps`` holds, for each layer of sources, replacement minus current output, filled in as sources
    compute; a destination adds to its input those gaps that are cut. Gaps are never joined, so that
    under autograd each of them is kept once and not once a destination.

    Args:
        model: a transformer.
        replacement: (n_sources, batch, position, d_model).
        cut: (n_sources, n_destinations) or (batch, n_sources, n_destinations), zero where there is no
            edge; bool, or the share of each edge that is replaced.
    """

    def __init__(self, model: Model, replacement: Tensor, cut: Tensor) -> None:
        self.model, self.anatomy = model, model.transformer
        self.cut = cut.to(replacement)
        self.replacement = replacement
        self.gaps: list[tuple[slice, Tensor]] = []
        self.rows = {name: row for row, name in enumerate(model.graph.sources)}
        anywhere = model.graph.valid if cut.requires_grad else cut.detach().cpu() != 0
        anywhere = anywhere.any(dim=0) if anywhere.ndim == 3 else anywhere
        self.needed = anywhere.any(dim=1).tolist()
        self.residual: Tensor | None = None
        self.normed: Tensor | None = None
        self.groups: dict[tuple[str, int | None], list[tuple[int, Destination]]] = {}
        for column in anywhere.any(dim=0).nonzero()[:, 0].tolist():
            destination = model.graph.destinations[column]
            self.groups.setdefault((destination.letter, destination.layer), []).append((column, destination))

    def hooks(self) -> Hooks:
        """Return the hooks to install."""
        hooks: Hooks = []
        if self.needed[0]:
            hooks.append((self.anatomy.blocks[0].module, "in", partial(self._write, "input")))
        for layer, block in enumerate(self.anatomy.blocks):
            hooks += self._attention_hooks(layer)
            first = self.rows[f"a{layer}.h0"]
            if any(self.needed[first : first + self.anatomy.n_heads]):
                hooks.append((block.out.module, "in", partial(self._heads, layer)))
            if ("m", layer) in self.groups:
                hooks.append((block.norm2, "in", self._remember))
                hooks.append((block.mlp, "in", partial(self._mlp_input, layer)))
            if self.needed[self.rows[f"m{layer}"]]:
                hooks.append((block.mlp, "out", partial(self._write, f"m{layer}")))
        if ("o", None) in self.groups:
            hooks.append((self.anatomy.final_norm, "in", self._logits_input))
        return hooks

    def _attention_hooks(self, layer: int) -> Hooks:
        block = self.anatomy.blocks[layer]
        hooks: Hooks = []
        for letter, projection in (("q", block.query), ("k", block.key), ("v", block.value)):
            if (letter, layer) in self.groups:
                hooks.append((projection.module, "out", partial(self._project, layer, letter)))
        return [(block.norm1, "in", self._remember), *hooks] if hooks else []

    def _remember(self, x: Tensor) -> None:
        self.residual, self.normed = x, None

    def _write(self, name: str, value: Tensor) -> None:
        row = self.rows[name]
        self.gaps.append((slice(row, row + 1), (self.replacement[row] - value)[None]))

    def _heads(self, layer: int, z: Tensor) -> None:
        first = self.rows[f"a{layer}.h0"]
        rows = slice(first, first + self.anatomy.n_heads)
        self.gaps.append((rows, self.replacement[rows] - head_results(self.anatomy, layer, z)))

    def _shifted(self, group: list[tuple[int, Destination]]) -> Tensor:
        """Return the residual input (n_destinations, batch, position, d_model) of a group."""
        assert self.residual is not None
        read = self.residual.expand(len(group), *self.residual.shape)
        columns = [column for column, _ in group]
        for rows, gap in self.gaps:
            if rows.start >= group[0][1].n_sources:  # the heads beside the MLP of a parallel block
                continue
            shares = self.cut[..., rows, columns]
            terms = "buv,ubpd->vbpd" if shares.ndim == 3 else "uv,ubpd->vbpd"
            read = read + torch.einsum(terms, shares, gap)
        return read

    def _project(self, layer: int, letter: str, out: Tensor) -> Tensor:
        block = self.anatomy.blocks[layer]
        groups = [self.groups.get((kind, layer), []) for kind in "qkv"]
        if self.normed is None:  # queries, keys and values together, by whichever is first
            shifted = self._shifted([member for group in groups for member in group])
            # forward() goes past the hooks, so this inner call is not taken for the model's own.
            self.normed = block.norm1.forward(shifted)
        which = "qkv".index(letter)
        mine = self.normed.split([len(group) for group in groups])[which]
        heads = [destination.head for _, destination in groups[which] if destination.head is not None]
        whole = (block.query, block.key, block.value)[which]
        return whole.replace_heads(out, mine, heads, self.anatomy.d_head)

    def _mlp_input(self, layer: int, x: Tensor) -> Tensor:
        shifted = self._shifted(self.groups["m", layer])[0]
        normed: Tensor = self.anatomy.blocks[layer].norm2.forward(shifted)
        return normed

    def _logits_input(self, x: Tensor) -> Tensor:
        self.residual = x
        return self._shifted(self.groups["o", None])[0]
