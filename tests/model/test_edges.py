from __future__ import annotations

import torch

from interp_bench.model.edges import edge_attributions, patched_logits, source_outputs
from interp_bench.model.handle import Model

from .conftest import sample


def test_sources_sum_to_the_residual_stream_up_to_output_biases(transformer: Model) -> None:
    inputs = sample(transformer, 0)
    total = source_outputs(transformer, inputs).sum(0)
    last = transformer.activations(inputs, transformer.sites[-1])
    bias = sum(
        (b.out.read_bias() for b in transformer.transformer.blocks if b.out.read_bias() is not None),
        start=torch.zeros(transformer.d_model, dtype=torch.float64),
    )
    torch.testing.assert_close(total + bias.float(), last, atol=1e-4, rtol=1e-4)


def test_cutting_nothing_changes_nothing(transformer: Model) -> None:
    base, other = sample(transformer, 0), sample(transformer, 1)
    cut = torch.zeros(transformer.graph.shape, dtype=torch.bool)
    with torch.no_grad():
        logits = patched_logits(transformer, base, source_outputs(transformer, other), cut)
        torch.testing.assert_close(logits, transformer(base))


def test_cutting_every_edge_gives_the_other_run(transformer: Model) -> None:
    base, other = sample(transformer, 0), sample(transformer, 1)
    with torch.no_grad():
        logits = patched_logits(
            transformer, base, source_outputs(transformer, other), transformer.graph.valid
        )
        torch.testing.assert_close(logits, transformer(other), atol=1e-4, rtol=1e-4)


def test_cutting_all_edges_into_the_logits_gives_the_other_run(transformer: Model) -> None:
    base, other = sample(transformer, 0), sample(transformer, 1)
    cut = torch.zeros(transformer.graph.shape, dtype=torch.bool)
    cut[:, -1] = True
    with torch.no_grad():
        logits = patched_logits(transformer, base, source_outputs(transformer, other), cut)
        torch.testing.assert_close(logits, transformer(other), atol=1e-4, rtol=1e-4)
        assert not torch.allclose(logits, transformer(base), atol=1e-2)


def test_attribution_is_the_slope_of_cutting_one_edge(transformer: Model) -> None:
    """The score of edge (u, v) equals the derivative of the metric along deltas[u] into v alone."""
    base = sample(transformer, 0)
    graph = transformer.graph
    outputs = source_outputs(transformer, base)
    generator = torch.Generator().manual_seed(3)
    deltas = torch.randn(outputs.shape, generator=generator)

    def metric(logits: torch.Tensor) -> torch.Tensor:
        return logits.flatten(1)[:, -7:].sum(1)

    scores = edge_attributions(transformer, base, metric, deltas)
    assert bool((scores[~graph.valid] == 0).all())
    step = 1e-3
    edges = [("input", "a0.h1<q>"), ("a0.h1", "m1"), ("m0", "logits"), ("a0.h3", graph.destinations[-3].name)]
    edges.append(("m1", "a2.h0<v>"))
    for edge in edges:
        mask = graph.mask([edge])
        with torch.no_grad():
            up = metric(patched_logits(transformer, base, outputs + step * deltas, mask)).sum()
            down = metric(patched_logits(transformer, base, outputs - step * deltas, mask)).sum()
        slope = float(up - down) / (2 * step)
        assert abs(slope - float(scores[graph.index(edge)])) <= 2e-2 * max(1.0, abs(slope)), edge


def test_runs_leave_no_hooks(transformer: Model) -> None:
    base = sample(transformer, 0)
    edge_attributions(
        transformer, base, lambda logits: logits.flatten(1).sum(1), source_outputs(transformer, base)
    )
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in transformer.module.modules()]
    assert sum(hooks) == 0
