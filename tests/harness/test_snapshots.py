"""Snapshots hold what a hand-made answer says, beside what was planted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from interp_bench.harness.snapshots import attribution, circuits, concepts, features, triggers
from interp_bench.harness.snapshots.digits import cosine_share, marks_of, rows_of, salient
from interp_bench.model.graph import Destination, Graph
from interp_bench.tracks.attribution import AttributionTruth, Saliency
from interp_bench.tracks.circuits import CircuitTruth, EdgeScores
from interp_bench.tracks.concepts import Subspace
from interp_bench.tracks.features import Dictionary, FeatureTruth
from interp_bench.tracks.triggers import Trigger


def problem(modality: str = "lm", **fields: Any) -> Any:
    return SimpleNamespace(model=SimpleNamespace(modality=modality), **fields)


def test_digits_cut_off_and_round():
    assert rows_of(torch.tensor([[0.0, 1.0, 0.5, 2.0, -1.0]]), 2) == ("00ff80ff00",)
    assert rows_of(torch.tensor([[[0.0, 1.0, 0.4]]]), 1) == ("0f6",)
    assert marks_of(torch.tensor([[True, False], [False, True]])) == ("#.", ".#")


def test_saliency_counts_from_zero_or_from_the_least_where_nothing_speaks_against():
    assert salient(torch.tensor([-4.0, 0.0, 1.0, 2.0])).tolist() == [-2.0, 0.0, 0.5, 1.0]
    assert salient(torch.tensor([5.0, 6.0, 7.0])).tolist() == [0.0, 0.5, 1.0]
    assert salient(torch.tensor([-3.0, -2.0, -1.0])).tolist() == [0.0, 0.5, 1.0]
    assert salient(torch.tensor([2.0, 2.0])).tolist() == [0.0, 0.0]


def test_a_share_is_within_0_and_1_and_never_minus_0():
    assert [cosine_share(x) for x in (1.0000001, -1e-9, 0.12345678)] == [1.0, 0.0, 0.1235]
    assert str(cosine_share(-0.0)) == "0.0"


def test_tokens_stand_beside_their_saliency():
    asked = problem(inputs=torch.tensor([[7, 8, 9, 3]]))
    truth = AttributionTruth(masks=torch.tensor([[False, True, False, False]]))
    taken = attribution.snapshot(asked, truth, Saliency(values=torch.tensor([[0.0, 2.0, -1.0, 1.0]])))
    [text] = taken.examples
    assert (text.tokens, text.planted, text.saliency) == ((7, 8, 9, 3), ".#..", "00ff0080")


def test_an_image_keeps_its_mask_cropped_and_its_brightest_pixel():
    values, masks = torch.zeros(1, 4, 5), torch.zeros(1, 4, 5, dtype=torch.bool)
    masks[0, 1:3, 2:5] = True
    masks[0, 1, 2] = False
    values[0, 2, 4], values[0, 0, 0] = 3.0, 1.0
    inputs = torch.zeros(1, 3, 4, 5)
    inputs[0, 0, 3, 0], inputs[0, 2, 3, 0] = 9.0, -9.0
    taken = attribution.snapshot(
        problem("image", inputs=inputs), AttributionTruth(masks=masks), Saliency(values=values)
    )
    [one] = taken.examples
    assert (one.corner, one.planted) == ((1, 2), (".##", "###"))
    assert one.saliency == ("50000", "00000", "0000f", "00000")
    assert one.peaks == ((2, 4),)
    assert one.image[3] == "f80" + 4 * "888"
    assert one.size == (4, 5)
    assert [(r, c) for r in range(4) for c in range(5) if one.holds(r, c)] == [
        (r, c) for r, c in masks[0].nonzero().tolist()
    ]


def test_an_image_on_which_many_pixels_tie_has_no_brightest():
    masks = torch.ones(1, 2, 2, dtype=torch.bool)
    asked = problem("image", inputs=torch.zeros(1, 3, 2, 2))
    taken = attribution.snapshot(asked, AttributionTruth(masks=masks), Saliency(values=torch.ones(1, 2, 2)))
    assert taken.examples[0].peaks == ()


def _graph(n_shared: int = 2) -> Graph:
    """Return one layer of two heads, with so many heads of keys and values, and the logits."""
    heads = [
        Destination(name=f"a0.h{head}<{letter}>", letter=letter, layer=0, head=head, n_sources=1)
        for letter, count in (("q", 2), ("k", n_shared), ("v", n_shared))
        for head in range(count)
    ]
    end = Destination(name="logits", letter="o", layer=None, head=None, n_sources=4)
    mlp = Destination(name="m0", letter="m", layer=0, head=None, n_sources=3)
    return Graph(sources=("input", "a0.h0", "a0.h1", "m0"), destinations=(*heads, mlp, end))


def _scores(graph: Graph, **edges: float) -> torch.Tensor:
    scores = torch.zeros(graph.shape)
    for edge, score in edges.items():
        scores[graph.index(EDGES[edge])] = score
    return scores


EDGES = {
    "in_q0": ("input", "a0.h0<q>"),
    "in_v1": ("input", "a0.h1<v>"),
    "h0_out": ("a0.h0", "logits"),
    "h1_mlp": ("a0.h1", "m0"),
}


def test_as_many_edges_are_found_as_were_planted_by_absolute_value():
    graph = _graph()
    scores = _scores(graph, in_q0=-3.0, h1_mlp=2.0, h0_out=1.0)
    scores[~graph.valid] = 99.0
    truth = CircuitTruth(edges=(EDGES["in_q0"], EDGES["h0_out"]))
    taken = circuits.snapshot(problem(graph=graph), truth, EdgeScores(scores=scores))
    assert taken.columns == (("input",), ("a0.h0", "a0.h1"), ("m0",), ("logits",))
    assert {(e.source, e.destination, e.port, e.planted, e.found) for e in taken.edges} == {
        ("input", "a0.h0", "q", True, True),
        ("a0.h0", "logits", "", True, False),
        ("a0.h1", "m0", "", False, True),
    }
    assert (taken.n_edges, taken.tied) == (graph.n_edges, 0)


def test_a_signed_ranking_goes_by_the_sign():
    graph = _graph()
    scores = _scores(graph, in_q0=-3.0, in_v1=0.5)
    truth = CircuitTruth(edges=(EDGES["in_q0"],))
    taken = circuits.snapshot(problem(graph=graph), truth, EdgeScores(scores=scores, signed=True))
    assert [(e.port, e.found) for e in taken.edges] == [("q", False), ("v", True)]


def test_edges_that_tie_for_too_few_places_are_counted_and_not_drawn():
    graph = _graph()
    scores = _scores(graph, in_q0=3.0, h1_mlp=1.0, in_v1=-1.0)
    truth = CircuitTruth(edges=(EDGES["in_q0"], EDGES["h0_out"]))
    taken = circuits.snapshot(problem(graph=graph), truth, EdgeScores(scores=scores))
    assert [edge.found for edge in taken.edges if edge.found] == [True]
    assert taken.tied == 2
    found, tied = circuits.first_edges(graph, EdgeScores(scores=scores), 3)
    assert (int(found.sum()), tied) == (3, 0)


def test_shared_keys_and_values_are_nodes_of_their_own():
    graph = _graph(n_shared=1)
    truth = CircuitTruth(edges=(("input", "a0.h0<k>"),))
    taken = circuits.snapshot(problem(graph=graph), truth, EdgeScores(scores=torch.zeros(graph.shape)))
    assert [(edge.destination, edge.port) for edge in taken.edges] == [("a0.kv0", "k")]
    assert taken.columns[1] == ("a0.h0", "a0.h1", "a0.kv0")


def test_a_large_graph_keeps_the_nodes_that_edges_touch(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(circuits, "MOST_NODES", 2)
    graph = _graph()
    truth = CircuitTruth(edges=(EDGES["h0_out"],))
    scores = _scores(graph, h0_out=1.0)
    taken = circuits.snapshot(problem(graph=graph), truth, EdgeScores(scores=scores))
    assert taken.columns == (("a0.h0",), ("logits",))


def test_directions_are_matched_and_ordered_by_their_cosine():
    true = torch.eye(3, dtype=torch.float64)
    found = torch.tensor([[0.0, 0.0, -2.0], [3.0, 4.0, 0.0]], dtype=torch.float64)
    truth = FeatureTruth(directions=true, codes=torch.zeros(1, 3))
    taken = features.snapshot(problem(), truth, Dictionary(directions=found))
    assert taken.matched == (1.0, 0.8, 0.0)
    assert taken.shown == (0, 1, 2)
    # Rows: features 2, 1 and 0; columns: directions 0 and 1, and no partner of feature 0.
    assert taken.matrix == ("ff0000", "00cc00", "009900")
    assert taken.n_directions == 2


def test_of_many_features_some_are_shown_from_the_best_to_the_worst(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(features, "MOST_SHOWN", 3)
    true = torch.eye(7, dtype=torch.float64)
    truth = FeatureTruth(directions=true, codes=torch.zeros(1, 7))
    taken = features.snapshot(problem(), truth, Dictionary(directions=true.flip(0)))
    assert taken.shown == (0, 3, 6)
    assert taken.matrix == ("ff0000", "00ff00", "0000ff")


def test_a_subspace_is_compared_with_what_its_site_carries():
    asked = problem(sites=("early", "late"))
    carried = SimpleNamespace(carriers={"late": torch.eye(4)[:2]})
    basis = torch.tensor([[0.6, 0.0, 0.8, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    taken = concepts.snapshot(asked, carried, Subspace(site="late", basis=basis))
    assert taken.cosines == (1.0, 0.6)
    assert (taken.chosen, taken.n_directions, taken.width) == ("late", 3, 4)
    assert [(site.name, site.planted) for site in taken.sites] == [("early", 0), ("late", 2)]
    assert concepts.snapshot(asked, carried, Subspace(site="early", basis=basis)).cosines == ()


def test_a_found_patch_stands_beside_the_planted_one():
    planted = torch.tensor([1.0, -1.0, 1.0, -1.0]).view(1, 2, 2).expand(3, 2, 2)
    truth: Any = SimpleNamespace(spellings=planted[None])
    taken = triggers.snapshot(problem("image", bound=1.0), truth, Trigger(values=planted * 0))
    assert taken.planted == ("fff000", "fff000")
    assert taken.found == ("888888", "888888")


def test_found_tokens_stand_beside_all_spellings():
    truth: Any = SimpleNamespace(spellings=torch.tensor([[4, 5], [6, 7]]))
    taken = triggers.snapshot(problem(bound=0.0), truth, Trigger(values=torch.tensor([6, 9])))
    assert (taken.planted, taken.found) == (((4, 5), (6, 7)), (6, 9))
