"""Programs in the patches of a vision transformer: the last patches of an image are its positions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from interp_bench.errors import PlantingError
from interp_bench.model.projection import weight_of
from interp_bench.planting.evidence.images import backgrounds, matched_filters, sign_cells
from interp_bench.planting.heads import Head, Match, implant_head
from interp_bench.planting.programs.compiler import Compiler
from interp_bench.planting.programs.heads import Frame
from interp_bench.planting.programs.inputs import Inputs
from interp_bench.planting.stream import Read, Stream

_CLASS, _END = slice(0, 1), slice(-1, None)


@dataclass(frozen=True, kw_only=True)
class PatchInputs(Inputs):
    """Images whose last patches show one pattern each; the others show noise alone.

    Attributes:
        cells: (size ** n_attributes, 3, cell, cell) of +1 and -1, one for each combination of attributes.
        filters: of the same shape; each gives 1 on its own cell and 0 on the others.
        side: patches along one side of an image.
        device, dtype: of the images.
    """

    cells: Tensor
    filters: Tensor
    side: int
    device: torch.device
    dtype: torch.dtype

    @property
    def n_prefix(self) -> int:
        """The class token, and the patches without a pattern."""
        return 1 + self.side**2 - self.program.length

    def show(self, attributes: Tensor, generator: Generator) -> Tensor:
        """Return images (n, 3, height, width)."""
        n, cell = len(attributes), self.cells.shape[-1]
        images = backgrounds(n, self.side * cell, generator)
        # The noise is taken out of what detectors see, so that programs hang on patterns alone.
        patches = images.unfold(2, cell, cell).unfold(3, cell, cell).permute(0, 2, 3, 1, 4, 5)
        patches = patches.reshape(n, self.side**2, 3, cell, cell).clone()
        seen = torch.einsum("npchw,kchw->npk", patches, self.filters)
        patches -= torch.einsum("npk,kchw->npchw", seen, self.cells)
        patches[:, self.n_prefix - 1 :] += self.cells[self.index(attributes, generator)]
        rows = patches.view(n, self.side, self.side, 3, cell, cell).permute(0, 3, 1, 4, 2, 5)
        return rows.reshape(images.shape).to(self.device, self.dtype)

    def read(self, inputs: Tensor) -> Tensor:
        """Return the attributes that images show."""
        cell = self.cells.shape[-1]
        patches = inputs.float().cpu().unfold(2, cell, cell).unfold(3, cell, cell).permute(0, 2, 3, 1, 4, 5)
        last = patches.reshape(len(inputs), self.side**2, 3, cell, cell)[:, self.n_prefix - 1 :]
        seen = torch.einsum("npchw,kchw->npk", last, self.filters)
        return self.blank(self.attributes[seen.argmax(-1)])


class PatchCompiler(Compiler[PatchInputs]):
    """A program on its way into a vision transformer; a last head carries its output to the class token."""

    reserved_layers = 1

    def make_inputs(self) -> PatchInputs:
        """Draw the patterns."""
        if self.program.n_blank:
            raise PlantingError("a program with blank tokens needs a language model, this host sees patches")
        cell = weight_of(self.anatomy.token_embedding).shape[-1]
        side = self.model.image_size // cell
        if self.program.length > side**2 - 2:
            raise PlantingError(f"{self.program.length} positions do not fit into {side**2} patches")
        n_outputs = self.nodes[-1].size
        if n_outputs > self.model.n_outputs:
            raise PlantingError(f"{n_outputs} outputs need as many classes, it has {self.model.n_outputs}")
        cells = sign_cells(self.program.size**self.program.n_attributes, cell, self.generator)
        return PatchInputs(
            program=self.program,
            outputs=torch.arange(n_outputs),
            causal=False,
            cells=cells,
            filters=matched_filters(cells),
            side=side,
            device=self.model.device,
            dtype=self.model.dtype,
        )

    def extra_slots(self) -> dict[str, int]:
        """Slots of the class token and the last position, and of what the class token is told."""
        return {"class": 1, "end": 1, "result": self.nodes[-1].width}

    def embed(self, stream: Stream, inputs: PatchInputs) -> None:
        """Write patterns by the patch embedding, and flags by the position embedding."""
        conv = weight_of(self.anatomy.token_embedding)
        for i, node in enumerate(self.nodes):
            if node.operation == "attribute":
                written = (
                    stream.vectors(f"v{i}", inputs.codes(node.index)).T @ inputs.filters.flatten(1).double()
                )
                conv += written.reshape(conv.shape).to(conv)
        flags = {"prefix": slice(0, inputs.n_prefix), "present": slice(inputs.n_prefix, None)}
        table = self.anatomy.position_embedding
        assert table is not None
        for slot, positions in {**flags, "class": _CLASS, "end": _END}.items():
            one = stream.vectors(slot, torch.ones(1, 1))[0]
            table.data.view(-1, self.anatomy.d_model)[positions] += one.to(table)
        stream.changed()

    def finish(self, stream: Stream, layer: int, frame: Frame) -> tuple[str, slice]:
        """Implant the head that reads the last position; return the slot and the position of the result."""
        output = f"v{len(self.nodes) - 1}"
        first = 1 + layer
        depth = len(self.anatomy.blocks)
        place = first + int(torch.randint(depth - first, (), generator=self.generator))
        head = self.choose_head(place)
        self.settle(place, 1)
        width = self.nodes[-1].width
        match = Match(query=Read("class", None, _CLASS), key=Read("end", None, _END), gain=frame.gain)
        plan = Head(
            matches=(match,),
            value=Read(output, None, _END),
            slot="result",
            map=torch.eye(width, dtype=torch.float64),
        )
        implant_head(stream, place, head, plan)
        stream.changed()
        self.reader = f"a{place}.h{head}"
        return "result", _CLASS
