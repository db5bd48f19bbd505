"""Searches over edges on a chain that is known, masks and heuristics by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from interp_bench.errors import Inapplicable
from interp_bench.techniques.circuits import hard_concrete
from interp_bench.techniques.circuits.acdc import acdc
from interp_bench.techniques.circuits.attention_weights import attention_weights
from interp_bench.techniques.circuits.importance import between_nodes, hisp, node_rows
from interp_bench.techniques.circuits.information_flow import information_flow_routes, shares
from interp_bench.techniques.circuits.masks import (
    edge_pruning,
    sample_uniform,
    subnetwork_probing,
    ugs,
)
from interp_bench.techniques.circuits.patching import activation_patching
from interp_bench.techniques.circuits.path_patching import path_patching
from interp_bench.techniques.circuits.weights import weight_norm
from tests.circuit_toys import CHAIN, chain_problem, linear_problem, small_problem
from tests.model.conftest import build


@pytest.mark.parametrize("technique", [acdc, path_patching, activation_patching])
def test_exact_searches_find_the_chain_and_nothing_else(technique: object) -> None:
    assert callable(technique)
    problem = chain_problem()
    scores, chain = technique(problem).scores, problem.graph.mask(CHAIN)
    assert float(scores[chain].abs().min()) > 0.01
    assert float(scores[~chain].abs().max()) < 1e-5


@pytest.mark.parametrize("technique", [subnetwork_probing, edge_pruning, ugs])
def test_masks_rank_the_chain_first(technique: object) -> None:
    assert callable(technique)
    problem = chain_problem()
    scores, chain = technique(problem).scores, problem.graph.mask(CHAIN)
    others = problem.graph.valid & ~chain
    assert float(scores[chain].min()) > float(scores[others].max())


def test_hisp_by_hand_on_the_chain() -> None:
    """Group 0 alone has a gradient: in its layer its normalised importance is one, that of group 1 zero."""
    problem = chain_problem()
    torch.testing.assert_close(hisp(problem).scores[problem.graph.mask(CHAIN)], torch.ones(3))
    assert float(hisp(problem).scores[problem.graph.valid].sum()) == pytest.approx(3.0)


@pytest.mark.parametrize("kind", ["llama", "neox"])
def test_acdc_looking_ahead_is_acdc_one_at_a_time(kind: str) -> None:
    problem = small_problem(kind)
    ahead, single = (acdc(problem, ahead=n, threshold=0.003).scores for n in (16, 1))
    torch.testing.assert_close(ahead, single, rtol=1e-3, atol=2e-5)
    kept = int((single >= 0.003).sum())
    assert 3 < kept < problem.graph.n_edges - 3


def test_acdc_by_its_definition() -> None:
    """A plain loop over the edges, the last destination and source first."""
    problem = small_problem("linear", 2)
    replacement = problem.source_outputs(problem.corrupted)
    graph = problem.graph

    def divergence(cut: torch.Tensor) -> float:
        logits = problem.patched_logits(replacement, cut)
        clean = problem.model.logits(problem.clean).softmax(-1)
        return float((clean * (clean.log() - logits.log_softmax(-1))).sum(-1).mean())

    cut, wanted = torch.zeros(graph.shape, dtype=torch.bool), torch.zeros(graph.shape)
    for column in reversed(range(graph.shape[1])):
        for row in reversed(range(graph.shape[0])):
            if graph.valid[row, column]:
                tried = cut.clone()
                tried[row, column] = True
                wanted[row, column] = divergence(tried) - divergence(cut)
                cut = cut if wanted[row, column] >= 0.01 else tried
    torch.testing.assert_close(acdc(problem).scores, wanted, rtol=1e-3, atol=1e-6)
    assert cut.any()


def test_path_patching_freezes_what_was_not_found() -> None:
    """Found edges score what they do along found paths; with every edge found that is activation patching."""
    problem = small_problem("gpt2")
    frozen = path_patching(problem, threshold=1e9).scores
    assert not frozen[:, :-1].any()  # nothing was found: only senders to the logits were tried
    exact = activation_patching(problem).scores
    torch.testing.assert_close(path_patching(problem, threshold=0.0).scores, exact, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(frozen[:, -1], exact[:, -1], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("technique", [acdc, path_patching])
def test_searches_say_when_there_are_too_many_edges(technique: object) -> None:
    assert callable(technique)
    with pytest.raises(Inapplicable, match="raise max_edges"):
        technique(small_problem("gpt2"), max_edges=10)


def test_expected_l0_of_the_hard_concrete_distribution() -> None:
    """P(z > 0) = sigmoid(log alpha - 2/3 log(.1 / 1.1)), against draws; by hand at log alpha = 0: .832."""
    log_alpha = torch.tensor([-2.0, 0.0, 1.0])
    drawn = hard_concrete.sample(log_alpha.expand(40_000, 3), torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        (drawn > 0).float().mean(0), hard_concrete.expected_l0(log_alpha), atol=0.01, rtol=0
    )
    assert float(hard_concrete.expected_l0(torch.tensor(0.0))) == pytest.approx(0.8318, abs=1e-4)
    assert float((drawn == 1).float().mean()) > 0.05
    begun = hard_concrete.start((2,), 0.9, torch.device("cpu"))
    torch.testing.assert_close(hard_concrete.expected_l0(begun).detach(), torch.full((2,), 0.9))


def test_uniform_gradient_sampling_by_hand() -> None:
    """At p = 1/2: a quarter of the masks is uniform, and their mean slope of m^2 is what m = 1 adds."""
    keep, partly = sample_uniform(torch.full((1,), 0.5), 100_000, torch.Generator().manual_seed(0))
    assert float(partly.float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(keep.mean()) == pytest.approx(0.5, abs=0.01)
    assert set(keep[~partly].unique().tolist()) == {0.0, 1.0}
    slope = 2 * keep[partly]
    assert float(slope.mean()) == pytest.approx(1.0, abs=0.02)


def test_shares_of_a_sum_by_hand() -> None:
    """(3, 0) + (0, 1): the sum has norm 4, and 1 and 3 are left without them; a term against it gets none."""
    terms = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    torch.testing.assert_close(shares(terms), torch.tensor([0.75, 0.25]))
    torch.testing.assert_close(shares(torch.tensor([[4.0], [-1.0]])), torch.tensor([1.0, 0.0]))


def test_routes_by_hand_through_one_head() -> None:
    """Two tokens; one head of layer 0 writes three times what the input is at the last position.

    Uniform attention over (1, 1): the head writes the mean of the values. What it writes is 3/4 of the
    final sum, the input 1/4; half of that comes from each position, the weakest link of the way there.
    """
    model = build("gpt2")
    problem = small_problem("gpt2", 1)
    for block in problem.model.transformer.blocks:
        for projection in (block.query, block.key, block.value, block.out, block.mlp_out):
            projection.zero()
        block.norm1.forward = torch.clone
    a = problem.model.transformer
    stream = torch.zeros(1, 2, a.d_model)
    stream[..., 0] = 1.0
    value, out = torch.zeros(a.d_model, a.d_head), torch.zeros(a.d_head, a.d_model)
    value[0, 0], out[0, 0] = 1.0, 3.0
    a.projection(0, "v", 0).write(value)
    a.blocks[0].out.write_rows(0, out)
    a.token_embedding.weight.data[0] = stream[0, 0]  # type: ignore[union-attr, operator, index]
    assert a.position_embedding is not None
    a.position_embedding.data.zero_()
    problem = replace(problem, clean=torch.zeros(1, 2, dtype=torch.long))
    scores = information_flow_routes(problem).scores
    graph = problem.graph
    assert model.graph == graph
    for edge, wanted in {
        ("a0.h0", "logits"): 0.75,
        ("input", "logits"): 0.25,
        ("input", "a0.h0<q>"): 0.75,
        ("input", "a0.h0<v>"): 0.5,
        ("a0.h1", "logits"): 0.0,
    }.items():
        assert float(scores[graph.index(edge)]) == pytest.approx(wanted, abs=1e-6), edge


def test_confidence_of_uniform_attention() -> None:
    """Over 9 positions the largest weight is 1, 1/2, ... 1/9; edges without a head score zero."""
    problem = linear_problem()
    scores = attention_weights(problem).scores
    mean = sum(1 / n for n in range(1, 10)) / 9
    assert float(scores[problem.graph.index(("input", "a0.h1<q>"))]) == pytest.approx(mean, rel=1e-4)
    assert float(scores[problem.graph.index(("input", "m0"))]) == 0.0


def test_weight_norms_by_hand() -> None:
    problem = small_problem("gpt2")
    a = problem.model.transformer
    wanted = a.out_rows(0, 1).norm() * a.projection(1, "k", 2).read().norm()
    found = weight_norm(problem).scores[problem.graph.index(("a0.h1", "a1.h2<k>"))]
    assert float(found) == pytest.approx(float(wanted), rel=1e-4)


def test_nodes_of_destinations_under_grouped_queries() -> None:
    model = build("llama")
    rows, graph = node_rows(model), model.graph
    by_name = {d.name: [graph.sources[i] for i in r] for d, r in zip(graph.destinations, rows, strict=True)}
    assert by_name["a1.h1<k>"] == ["a1.h2", "a1.h3"]
    assert by_name["a1.h1<q>"] == ["a1.h1"]
    assert by_name["logits"] == []
    lifted = between_nodes(model, torch.arange(len(graph.sources)).float())
    assert float(lifted[graph.index(("input", "m0"))]) == 0.0
    assert float(lifted[graph.index(("a0.h1", "a1.h1<k>"))]) == 2.0
