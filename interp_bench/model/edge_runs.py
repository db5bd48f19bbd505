"""Many runs of the same inputs with edges cut, each about as dear as a forward, whatever the size.

``edges.patched_logits`` takes what every source wrote as one tensor, which is what techniques compute
with. A certificate needs a few dozen runs on networks of billions of parameters, where that tensor would
be as large as the weights. Here heads are kept as what goes into their output weights, only the terms of
edges that are cut are formed (or of those that are not, where these are fewer), and a run starts at the
first layer that a cut edge leads into.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from interp_bench.model.edge_writes import Hooks
from interp_bench.model.edges import patched_logits, source_outputs
from interp_bench.model.handle import Model
from interp_bench.model.hooks import hooked
from interp_bench.model.transformer import TransformerAnatomy
from interp_bench.model.vision import ConvAnatomy

_Group = tuple[str, int]


@dataclass(slots=True)
class _Writes:
    """What the sources of a transformer wrote in one run, layer by layer.

    Attributes:
        stream: layer -> (n, position, d_model), what goes into a block; after the last, into the norm.
        middle: the same in front of norm 2 of a block.
        heads: layer -> (n, position, n_heads * d_head), what goes into the output weights.
        mlps: layer -> (n, position, d_model).
        passing: whether streams are forgotten as soon as the next one is there.
    """

    stream: dict[int, Tensor] = field(default_factory=dict)
    middle: dict[int, Tensor] = field(default_factory=dict)
    heads: dict[int, Tensor] = field(default_factory=dict)
    mlps: dict[int, Tensor] = field(default_factory=dict)
    passing: bool = False

    def hooks(self, anatomy: TransformerAnatomy) -> Hooks:
        """Return hooks that fill this in."""
        found: Hooks = []
        for layer, block in enumerate(anatomy.blocks):
            found.append((block.module, "in", partial(self._keep, self.stream, layer)))
            found.append((block.norm2, "in", partial(self._keep, self.middle, layer)))
            found.append((block.out.module, "in", partial(self._keep, self.heads, layer)))
            found.append((block.mlp, "out", partial(self._keep, self.mlps, layer)))
        return [*found, (anatomy.final_norm, "in", partial(self._keep, self.stream, len(anatomy.blocks)))]

    def _keep(self, where: dict[int, Tensor], layer: int, value: Tensor) -> None:
        if self.passing and (where is self.stream or where is self.middle):
            where.clear()
        where[layer] = value

    def at(self, rows: slice) -> _Writes:
        """Return views of some rows."""

        def taken(values: dict[int, Tensor]) -> dict[int, Tensor]:
            return {layer: value[rows] for layer, value in values.items()}

        return _Writes(
            stream=taken(self.stream),
            middle=taken(self.middle),
            heads=taken(self.heads),
            mlps=taken(self.mlps),
        )

    def before(self, group: _Group) -> Tensor:
        """Return the residual stream that a group of destinations reads."""
        return (self.middle if group[0] == "m" else self.stream)[group[1]]


class EdgeRuns:
    """Runs of some inputs in which cut edges carry what they carry on other inputs.

    Args:
        model: a network with a circuit graph.
        inputs: (n, ...) what is run.
        others: (n, ...) what a cut edge takes its value from, input by input.
    """

    def __init__(self, model: Model, inputs: Tensor, others: Tensor) -> None:
        self.model, self.inputs = model, inputs
        self._rows = torch.arange(len(inputs))
        if isinstance(model.anatomy, ConvAnatomy):
            self._replacement = source_outputs(model, others)
            return
        both, n = _Writes(), len(inputs)
        # In one forward, since reading the weights of a large network takes as long as using them.
        with torch.no_grad(), hooked(both.hooks(model.transformer)):
            model(torch.cat([inputs, others]))
        self.own, self.theirs = both.at(slice(n)), both.at(slice(n, None))

    def logits(self, cut: Tensor, rows: Tensor | None = None) -> Tensor:
        """Return the logits with edges cut.

        Args:
            cut: (n_sources, n_destinations) bool, which edges are cut; or (n, n_sources,
                n_destinations), for each input its own.
            rows: (n,) which of the inputs are run; all when None.
        """
        rows = self._rows if rows is None else rows
        inputs = self.inputs[rows.to(self.inputs.device)]
        with torch.no_grad():
            if isinstance(self.model.anatomy, ConvAnatomy):
                replacement = self._replacement[:, rows.to(self._replacement.device)]
                return patched_logits(self.model, inputs, replacement, cut)
            run = _Run(self, (cut & self.model.graph.valid).expand(len(rows), -1, -1), rows)
            return run.logits(inputs)


class _Run:
    """One run: terms of cut edges are added to what their destinations read."""

    def __init__(self, runs: EdgeRuns, cut: Tensor, rows: Tensor) -> None:
        self.runs, self.model, self.anatomy = runs, runs.model, runs.model.transformer
        self.rows = rows.to(self.model.device)
        self.live = _Writes(passing=True)
        self.depth = len(self.anatomy.blocks)
        self.groups: dict[_Group, list[int]] = {}
        for column in cut.any(0).any(0).nonzero()[:, 0].tolist():
            destination = self.model.graph.destinations[column]
            layer = self.depth if destination.layer is None else destination.layer
            self.groups.setdefault((destination.letter, layer), []).append(column)
        self.cut = cut
        self.start = min((layer for _, layer in self.groups), default=self.depth)
        self._changes: dict[tuple[str, int], Tensor] = {}

    def logits(self, inputs: Tensor) -> Tensor:
        stream = self.runs.own.stream[self.start][self.rows]
        resumed = self.model.starting_at(self.start, stream) if self.start else nullcontext()
        with resumed, hooked(self._hooks()):
            return self.model(inputs)

    def _hooks(self) -> Hooks:
        hooks = self.live.hooks(self.anatomy)
        for layer, block in enumerate(self.anatomy.blocks):
            for letter, projection in (("q", block.query), ("k", block.key), ("v", block.value)):
                if (letter, layer) in self.groups:
                    hooks.append((projection.module, "out", partial(self._project, (letter, layer))))
            if ("m", layer) in self.groups:
                hooks.append((block.mlp, "in", partial(self._mlp_input, ("m", layer))))
        if ("o", self.depth) in self.groups:
            hooks.append((self.anatomy.final_norm, "in", partial(self._logits_input, ("o", self.depth))))
        return hooks

    # ---------------------------------------------------------- destinations
    def _project(self, group: _Group, out: Tensor) -> Tensor:
        letter, layer = group
        columns, samples, read = self._shifted(group)
        # forward() goes past the hooks, so this inner call is not taken for the model's own.
        normed = self.anatomy.blocks[layer].norm1.forward(read)
        out = out.clone()
        for column in columns.unique().tolist():
            destination, mine = self.model.graph.destinations[column], columns == column
            assert destination.head is not None
            projection = self.anatomy.projection(layer, letter, destination.head)
            every = torch.arange(out.shape[-1]) if projection.columns is None else projection.columns
            here, there = samples[mine][:, None], every.to(out.device)
            out[here, :, there] = projection.apply(normed[mine]).transpose(1, 2)
        return out

    def _mlp_input(self, group: _Group, x: Tensor) -> Tensor:
        _, samples, read = self._shifted(group)
        x = x.clone()
        x[samples] = self.anatomy.blocks[group[1]].norm2.forward(read)
        return x

    def _logits_input(self, group: _Group, x: Tensor) -> Tensor:
        _, samples, read = self._shifted(group)
        x = x.clone()
        x[samples] = read
        return x

    def _shifted(self, group: _Group) -> tuple[Tensor, Tensor, Tensor]:
        """Return what the destinations of a group read, where edges into them are cut.

        Returns:
            Columns of the graph (k,), inputs (k,) and residual streams (k, position, d_model).
        """
        columns = torch.tensor(self.groups[group])
        n_sources = self.model.graph.destinations[columns[0]].n_sources
        cut = self.cut[:, :n_sources, columns].permute(0, 2, 1)
        samples, places = cut.any(2).nonzero(as_tuple=True)
        mine = cut[samples, places]
        # Where most edges are cut, what is left of the other run's stream are the few that are not.
        most = mine.sum(1) > n_sources // 2
        terms, sources = (mine ^ most[:, None]).nonzero(as_tuple=True)
        on = samples.to(self.rows.device)
        live, theirs = self.live.before(group), self.runs.theirs.before(group)[self.rows]
        read = torch.where(most.to(on.device)[:, None, None], theirs[on], live[on]).float()
        sign = torch.where(most, -1.0, 1.0)
        for source in sources.unique().tolist():
            mine = terms[sources == source]
            written = self._written(source, samples[mine].to(on.device)).float()
            read.index_add_(0, mine.to(on.device), written * sign[mine].to(on.device)[:, None, None])
        return columns[places], on, read.to(live.dtype)

    # --------------------------------------------------------------- sources
    def _written(self, source: int, samples: Tensor) -> Tensor:
        """Return what a source writes in the other run less what it writes here, (k, position, d_model)."""
        name = self.model.graph.sources[source]
        if name == "input":
            return self._change("stream", 0)[samples]
        if name[0] == "m":
            return self._change("mlps", int(name[1:]))[samples]
        layer, head = (int(part) for part in name[1:].split(".h"))
        columns = slice(head * self.anatomy.d_head, (head + 1) * self.anatomy.d_head)
        change: Tensor = self._change("heads", layer)[samples, :, columns]
        return change @ self.anatomy.blocks[layer].out.view()[columns]

    def _change(self, kind: str, layer: int) -> Tensor:
        """Return the other run's value at a place less this one's, (n, position, width)."""
        if (kind, layer) not in self._changes:
            known = getattr(self.live, kind)
            mine = known[layer] if layer in known else getattr(self.runs.own, kind)[layer][self.rows]
            self._changes[kind, layer] = getattr(self.runs.theirs, kind)[layer][self.rows] - mine
        return self._changes[kind, layer]
