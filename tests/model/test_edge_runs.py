"""Runs for certificates give what the run with every source's output as one tensor gives."""

from __future__ import annotations

import pytest
import torch

from interp_bench.model.edge_runs import EdgeRuns
from interp_bench.model.edges import patched_logits, source_outputs
from interp_bench.model.opening import open_model
from interp_bench.registry import load_registry

MODELS = ("native-30k", "native-rope-200k", "gpt2-random-6m", "llama-random-6m", "neox-random-5m",
          "vit-slim-50k", "convnext-slim-20k")  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_any_cut_gives_what_the_dense_run_gives(name: str) -> None:
    model = open_model(load_registry().get(name))
    generator = torch.Generator().manual_seed(0)
    if model.modality == "lm":
        inputs, others = torch.randint(50, (2, 3, 7), generator=generator)
    else:
        inputs, others = torch.randn(2, 3, 3, model.image_size, model.image_size, generator=generator)
    runs, replacement = EdgeRuns(model, inputs, others), source_outputs(model, others)
    valid = model.graph.valid
    late = torch.zeros_like(valid)
    late[:, -1] = True
    whole = model.logits(inputs)
    spread = whole.std()
    for share in (0.01, 0.5, 0.97):
        each = torch.rand(3, *valid.shape, generator=generator) < share
        for cut in (each, each[0] & valid, valid, late, torch.zeros_like(valid)):
            wanted = patched_logits(model, inputs, replacement, cut & valid)
            assert float((runs.logits(cut) - wanted).abs().max() / spread) < 1e-3
    torch.testing.assert_close(runs.logits(valid), model.logits(others), rtol=1e-3, atol=1e-3)
    assert float((runs.logits(each) - whole).abs().max() / spread) > 1e-2


def test_rows_choose_inputs() -> None:
    model = open_model(load_registry().get("native-30k"))
    generator = torch.Generator().manual_seed(0)
    inputs, others = torch.randint(50, (2, 3, 7), generator=generator)
    cut = torch.rand(3, *model.graph.shape, generator=generator) < 0.3
    rows = torch.tensor([2, 0, 2])
    runs = EdgeRuns(model, inputs, others)
    picked = runs.logits(cut, rows)
    for i, row in enumerate(rows.tolist()):
        torch.testing.assert_close(picked[i], runs.logits(cut[i])[row], rtol=1e-4, atol=1e-4)
