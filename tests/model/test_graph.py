from __future__ import annotations

import pytest
import torch

from interp_bench.errors import SiteError

from .conftest import build


def test_edges_of_a_serial_block_by_hand() -> None:
    """Two heads, one layer: 3 x 2 inputs of heads see the input; the MLP 3 sources; the logits 4."""
    model = build("gpt2")
    graph = model.graph
    per_layer = [3 * 4 * before + (before + 4) for before in (1, 6, 11)]
    assert graph.n_edges == sum(per_layer) + 16
    assert graph.n_edges == len(graph.edges()) == int(graph.valid.sum())


def test_parallel_blocks_have_no_edge_from_attention_to_their_mlp() -> None:
    graph = build("neox").graph
    assert ("a0.h0", "m1") in graph.edges()
    assert ("a0.h0", "m0") not in graph.edges()
    with pytest.raises(SiteError, match="computed after"):
        graph.index(("a0.h0", "m0"))


def test_grouped_keys_and_values_exist_once_per_group() -> None:
    names = [d.name for d in build("llama").graph.destinations]
    assert "a0.h3<q>" in names
    assert "a0.h1<k>" in names
    assert "a0.h3<k>" not in names


def test_masks_and_indices_agree() -> None:
    graph = build("native").graph
    edges = [("input", "a0.h1<q>"), ("m0", "logits")]
    mask = graph.mask(edges)
    assert int(mask.sum()) == 2
    assert bool(mask[graph.index(edges[0])])
    assert not bool((mask & ~graph.valid).any())
    assert torch.equal(mask[:, -1].nonzero().flatten(), torch.tensor([graph.sources.index("m0")]))


def test_unknown_nodes_are_named() -> None:
    graph = build("native").graph
    with pytest.raises(SiteError, match="did you mean"):
        graph.index(("a0.h11", "logits"))
    with pytest.raises(SiteError, match="no destination"):
        graph.index(("input", "logit"))
