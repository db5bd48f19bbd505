"""The largest block without a gap, by hand."""

from __future__ import annotations

import pytest

from interp_bench.analysis.blocks import Missing, largest_block


def test_a_full_table_is_its_own_block():
    block = largest_block({"b": {1, 2}, "a": {2, 1}})
    assert (block.techniques, block.places, block.share) == (("a", "b"), (1, 2), 1.0)
    assert block.left_out == ()
    assert block.passed_over == 0


def test_one_that_misses_a_place_is_left_out_where_that_keeps_more_cells():
    # Three techniques by three places are nine cells; all four by the two they share are eight.
    block = largest_block({"a": {1, 2, 3}, "b": {1, 2, 3}, "c": {1, 2, 3}, "d": {1, 2}})
    assert block.techniques == ("a", "b", "c")
    assert block.share == 0.75
    assert block.left_out == (Missing(technique="d", places=1),)


def test_a_place_that_few_reach_is_passed_over_where_that_keeps_more_cells():
    # Two techniques by three places are six cells; all four by two places are eight.
    block = largest_block({"a": {1, 2, 3}, "b": {1, 2, 3}, "c": {1, 2}, "d": {1, 2}})
    assert (block.techniques, block.places) == (("a", "b", "c", "d"), (1, 2))
    assert block.passed_over == 1


def test_of_two_of_one_size_the_one_with_more_techniques_wins():
    # Two by two and, with only the place that all have, four by one.
    block = largest_block({"a": {1, 2}, "b": {1, 2}, "c": {1}, "d": {1}})
    assert (block.techniques, block.places) == (("a", "b", "c", "d"), (1,))


def test_a_place_of_fewer_than_a_quarter_is_never_in_it():
    places = set(range(1, 100))
    block = largest_block({"a": places, "b": {1}, "c": {1}, "d": {1}, "e": {1}})
    assert block.places == (1,)
    assert block.share == 1.0


def test_techniques_without_a_place_do_not_count_against_the_others():
    assert largest_block({"a": {1}, "b": set()}).share == 1.0
    empty = largest_block({})
    assert (empty.techniques, empty.places, empty.share) == ((), (), 0.0)


@pytest.mark.parametrize("order", [("a", "b", "c"), ("c", "b", "a")])
def test_order_does_not_matter(order):
    scored = {"a": {"x", "y"}, "b": {"y", "z"}, "c": {"x", "y"}}
    block = largest_block({name: scored[name] for name in order})
    assert (block.techniques, block.places) == (("a", "c"), ("x", "y"))
