"""Edges cut row by row: each input of a batch with a set of its own."""

from __future__ import annotations

import torch

from interp_bench.model.edges import patched_logits, source_outputs
from tests.model.conftest import build


def test_a_cut_of_its_own_in_each_row_equals_separate_runs() -> None:
    model = build("gpt2")
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, model.n_outputs, (2, 4, 6), generator=generator)
    replacement = source_outputs(model, tokens[1])
    cuts = torch.rand(4, *model.graph.shape, generator=generator) < 0.2
    with torch.no_grad():
        together = patched_logits(model, tokens[0], replacement, cuts)
        apart = torch.cat(
            [
                patched_logits(model, tokens[0, i : i + 1], replacement[:, i : i + 1], cuts[i])
                for i in range(4)
            ]
        )
    torch.testing.assert_close(together, apart, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(
        together[0], together[0] * 0 + patched_logits(model, tokens[0], replacement, cuts[1])[0]
    )
