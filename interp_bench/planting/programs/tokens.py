"""Programs over the tokens of a language model, read at the last one."""

from __future__ import annotations

import torch

from interp_bench.errors import PlantingError
from interp_bench.planting.programs.compiler import Compiler
from interp_bench.planting.programs.heads import Frame
from interp_bench.planting.programs.inputs import TokenInputs
from interp_bench.planting.stream import Stream
from interp_bench.planting.tokens import N_PREFIX, quiet_tokens


class TokenCompiler(Compiler[TokenInputs]):
    """A program on its way into a language model."""

    def make_inputs(self) -> TokenInputs:
        """Choose tokens: a prefix, one for each combination of attributes, one for each output."""
        n_tokens = self.program.size**self.program.n_attributes + self.program.n_blank
        n_outputs = self.nodes[-1].size
        needed = N_PREFIX + n_tokens + n_outputs
        tokens = quiet_tokens(self.model, needed, self.generator)
        if len(tokens) < needed:
            raise PlantingError(f"the program needs {needed} tokens, the host has {len(tokens)} quiet ones")
        prefix, alphabet, outputs = tokens.split([N_PREFIX, n_tokens, n_outputs])
        return TokenInputs(
            program=self.program, prefix=prefix, alphabet=alphabet, outputs=outputs, causal=True
        )

    def extra_slots(self) -> dict[str, int]:
        """Need none."""
        return {}

    def embed(self, stream: Stream, inputs: TokenInputs) -> None:
        """Write flags and attributes by the token embedding."""
        stream.embed("prefix", inputs.prefix, torch.ones(N_PREFIX, 1))
        stream.embed("present", inputs.alphabet, torch.ones(len(inputs.alphabet), 1))
        for i, node in enumerate(self.nodes):
            if node.operation == "attribute":
                stream.embed(f"v{i}", inputs.alphabet, inputs.codes(node.index))

    def finish(self, stream: Stream, layer: int, frame: Frame) -> tuple[str, slice]:
        """The output is at the last position already."""
        return f"v{len(self.nodes) - 1}", slice(-1, None)
