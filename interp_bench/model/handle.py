"""The one handle on a network: forward, sites, recording and patching, the same for LM, ViT and CNN."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn

from interp_bench.errors import SiteError
from interp_bench.model.channel_graph import build_channel_graph
from interp_bench.model.graph import Graph, build_graph
from interp_bench.model.hooks import Edit, hooked
from interp_bench.model.sites import Site, find_site, transformer_sites
from interp_bench.model.transformer import TransformerAnatomy, find_transformer
from interp_bench.model.vision import ConvAnatomy, find_cnn
from interp_bench.registry.spec import ModelSpec

Patch = Tensor | Callable[[Tensor], Tensor]


@dataclass(slots=True)
class Meter:
    """Counts of forward and backward passes through the logits, in samples-independent calls."""

    forwards: int = 0
    backwards: int = 0


class Model:
    """A live network. Only this handle installs hooks, and every exit takes them off.

    Args:
        spec: the row of models.yaml.
        module: the network, in eval mode, no parameter requiring a gradient.

    Attributes:
        last_only: whether an LM of the transformers library computes logits at the last position
            alone; a task that reads no other sets it and saves a vocabulary of logits a position.
    """

    def __init__(self, spec: ModelSpec, module: nn.Module) -> None:
        self.spec = spec
        self.module = module
        self.meter = Meter()
        self.last_only = False
        self.anatomy: TransformerAnatomy | ConvAnatomy | None = find_transformer(module) or find_cnn(module)
        self._sites: dict[str, Site] = {}
        self._widths: dict[str, int] = {}

    def __repr__(self) -> str:
        """Return e.g. ``Model('resnet18', 11,186,772 parameters)``."""
        return f"Model({self.spec.id!r}, {self.spec.params:,} parameters)"

    def __getstate__(self) -> dict[str, Any]:
        """Return what goes to another process; sites are found there anew."""
        return {**self.__dict__, "_sites": {}}

    # ------------------------------------------------------------------ facts
    @property
    def modality(self) -> str:
        """``lm`` or ``image``."""
        return self.spec.modality

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.module.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the weights."""
        return next(self.module.parameters()).dtype

    @property
    def transformer(self) -> TransformerAnatomy:
        """The anatomy of a transformer.

        Raises:
            SiteError: the network is no transformer of a known kind.
        """
        if not isinstance(self.anatomy, TransformerAnatomy):
            raise SiteError(f"model {self.spec.id!r} ({self.spec.kind}) has no attention heads")
        return self.anatomy

    @property
    def cnn(self) -> ConvAnatomy:
        """The anatomy of a convolutional network.

        Raises:
            SiteError: the network is no CNN of a known kind.
        """
        if not isinstance(self.anatomy, ConvAnatomy):
            raise SiteError(f"model {self.spec.id!r} ({self.spec.kind}) is no ResNet or ConvNeXt")
        return self.anatomy

    @property
    def sites(self) -> tuple[str, ...]:
        """Residual-stream sites in order of depth."""
        if isinstance(self.anatomy, TransformerAnatomy):
            return transformer_sites(self.anatomy)
        return tuple(self.anatomy.blocks) if self.anatomy else ()

    @property
    def n_layers(self) -> int:
        """Number of residual blocks."""
        return len(self.sites)

    @property
    def d_model(self) -> int:
        """Width of the residual stream of a transformer."""
        return self.transformer.d_model

    @property
    def n_heads(self) -> int:
        """Attention heads per block of a transformer."""
        return self.transformer.n_heads

    @property
    def n_outputs(self) -> int:
        """Number of logits: vocabulary of an LM, classes of an image model."""
        head = self.transformer.head.module if isinstance(self.anatomy, TransformerAnatomy) else self.cnn.head
        weight = head.weight
        assert isinstance(weight, Tensor)
        return int(weight.shape[0])

    @property
    def image_size(self) -> int:
        """Height and width of the pixels that an image model takes."""
        source = self.spec.source
        assert source.kind == "timm"  # every image model is one
        return source.image_size

    @cached_property
    def graph(self) -> Graph:
        """The circuit graph.

        Edges of a transformer lead into q, k, v, MLPs and logits, those of a ResNet or ConvNeXt from
        the channel groups of one layer to those of the next and to the logits.

        Raises:
            SiteError: the network is of no such kind.
        """
        if isinstance(self.anatomy, ConvAnatomy):
            return build_channel_graph({name: shape[0] for name, shape in self.layer_shapes().items()})
        if self.anatomy is None:
            raise SiteError(
                f"model {self.spec.id!r} ({self.spec.kind}) has no circuit graph: "
                "it is no transformer, ResNet or ConvNeXt"
            )
        return build_graph(self.anatomy)

    def layer_shapes(self) -> dict[str, tuple[int, int, int]]:
        """Return (channels, height, width) of what the stem and each layer of a CNN put out.

        Found by one forward of the smallest input; the stem is called ``stem``.
        """
        shapes: dict[str, tuple[int, int, int]] = {}

        def keep(name: str) -> Edit:
            return lambda raw: shapes.__setitem__(name, (raw.shape[1], raw.shape[2], raw.shape[3]))

        layers = self.cnn.layers
        edits: list[tuple[nn.Module, Literal["in", "out"], Edit]] = [
            (next(iter(layers.values())), "in", keep("stem")),
            *((layer, "out", keep(name)) for name, layer in layers.items()),
        ]
        forwards = self.meter.forwards
        with torch.no_grad(), hooked(edits):
            self(self.example())
        self.meter.forwards = forwards
        return shapes

    def site(self, name: str) -> Site:
        """Resolve a site name.

        Raises:
            SiteError: the network has no such site; the message suggests a near name.
        """
        if name not in self._sites:
            self._sites[name] = find_site(name, self.module, self.anatomy)
        return self._sites[name]

    # ---------------------------------------------------------------- forward
    def __call__(self, inputs: Tensor) -> Tensor:
        """Return logits: tokens (batch, position) -> (batch, position, d_vocab); pixels -> (batch, class).

        With ``last_only`` the logits of an LM may have one position, the last.
        """
        if hasattr(self.module, "config"):
            logits: Tensor = self.module(inputs, use_cache=False, logits_to_keep=int(self.last_only)).logits
        else:
            logits = self.module(inputs)
        self.meter.forwards += 1
        if logits.requires_grad:
            logits.register_hook(self._count_backward)
        return logits

    def _count_backward(self, gradient: Tensor) -> None:
        self.meter.backwards += 1

    def embed(self, tokens: Tensor) -> Tensor:
        """Return token embeddings (batch, position, d_model), positions not added."""
        with torch.no_grad():
            embedded: Tensor = self.transformer.token_embedding(tokens)
        return embedded

    def from_embeddings(self, embeddings: Tensor) -> Tensor:
        """Run an LM on embeddings (batch, position, d_model) in place of tokens; returns logits."""
        tokens = torch.zeros(embeddings.shape[:2], dtype=torch.long, device=embeddings.device)
        with self.patch({"hook_embed": embeddings}):
            return self(tokens)

    # ------------------------------------------------------ recording, patching
    @contextmanager
    def record(self, *names: str, leaf: bool = False) -> Iterator[dict[str, Tensor]]:
        """Record activations (batch, position, width) at sites while the block runs.

        Args:
            names: site names.
            leaf: cut the graph at each site and record leaves that require a gradient.

        Yields:
            A dict that is filled by each forward; the last forward wins.
        """
        cache: dict[str, Tensor] = {}

        def reader(site: Site) -> Edit:
            def edit(raw: Tensor) -> Tensor | None:
                values = site.view(raw)
                if leaf:
                    values = values.detach().requires_grad_()
                cache[site.name] = values
                # The network may go on to change its own tensor in place, so it gets a copy.
                return site.write(raw, values).clone()

            return edit

        sites = [self.site(name) for name in names]
        with hooked([(site.module, site.side, reader(site)) for site in sites]):
            yield cache

    @contextmanager
    def patch(self, patches: Mapping[str, Patch]) -> Iterator[None]:
        """Replace activations at sites while the block runs.

        Args:
            patches: site name -> tensor (batch, position, width), or a function from the
                activation to its replacement of the same shape.
        """

        def writer(site: Site, patch: Patch) -> Edit:
            def edit(raw: Tensor) -> Tensor:
                return site.write(raw, patch(site.view(raw)) if callable(patch) else patch)

            return edit

        resolved = [(self.site(name), patch) for name, patch in patches.items()]
        with hooked([(site.module, site.side, writer(site, patch)) for site, patch in resolved]):
            yield

    @contextmanager
    def starting_at(self, layer: int, residual: Tensor) -> Iterator[None]:
        """Let a transformer start behind some blocks while the block of code runs; they are not computed.

        Args:
            layer: the first block that is run; the number of blocks when only norm and head are.
            residual: (batch, position, d_model), what goes into it. Inputs given meanwhile need the same
                batch and positions, and count for nothing else.
        """
        passed = [block.module for block in self.transformer.blocks[:layer]]
        whole: Any = (residual,) if self.transformer.tuples else residual
        with ExitStack() as stack:
            if not passed:
                stack.enter_context(self.patch({"blocks.0.hook_resid_pre": residual}))
            for module in passed:
                module.forward = lambda *_, **__: whole
                stack.callback(delattr, module, "forward")
            yield

    def activations(self, inputs: Tensor, name: str, *, batch_size: int = 64) -> Tensor:
        """Return activations (n_inputs, position, width) at a site, without gradient."""
        parts = []
        with torch.no_grad(), self.record(name) as cache:
            for batch in inputs.split(batch_size):
                self(batch)
                parts.append(cache[name])
        return torch.cat(parts)

    def logits(self, inputs: Tensor, *, batch_size: int = 64) -> Tensor:
        """Return logits in batches, without gradient."""
        with torch.no_grad():
            return torch.cat([self(batch) for batch in inputs.split(batch_size)])

    def example(self) -> Tensor:
        """Return one smallest possible input: two tokens, or one black image."""
        if self.modality == "lm":
            return torch.zeros(1, 2, dtype=torch.long, device=self.device)
        size = self.image_size
        return torch.zeros(1, 3, size, size, device=self.device, dtype=self.dtype)

    def width(self, name: str) -> int:
        """Return the width of a site, found by one forward of the smallest input."""
        if name not in self._widths:
            forwards = self.meter.forwards
            self._widths[name] = self.activations(self.example(), name).shape[-1]
            self.meter.forwards = forwards
        return self._widths[name]
