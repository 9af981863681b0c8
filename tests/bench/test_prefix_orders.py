"""The simulated prefix cache and the orders that it compares, on prompts that can be counted by hand."""

from bench.fleet import whole_answers
from bench.prefix_orders import _hits, look_ahead, prefix_tree

A, B = [1, 2, 3], [7, 8, 9]


def test_prompts_that_share_blocks_save_them_as_long_as_the_cache_holds_them():
    alternating, grouped = [[*A, 10], [*B, 11], [*A, 12], [*B, 13]], [[*A, 10], [*A, 12], [*B, 11], [*B, 13]]

    assert _hits(grouped, cache=8, sequences=1) == (6 / 16, 256)
    assert _hits(alternating, cache=8, sequences=1)[0] == 2 / 16, "the first blocks of a prompt stay longest"
    assert _hits(alternating, cache=100, sequences=1)[0] == 6 / 16


def test_looking_ahead_groups_what_waits():
    alternating = [[*A, 10], [*B, 11], [*A, 12], [*B, 13]]

    assert look_ahead(alternating, cache=8, window=4) == [[*A, 10], [*A, 12], [*B, 11], [*B, 13]]


def test_a_prefix_tree_puts_first_what_most_prompts_share():
    found = [("a", "b", "c"), ("d", "b", "a"), ("c", "b"), ("e",)]

    made = prefix_tree(found)

    assert [order[0] for order in made] == ["b", "b", "b", "e"]
    assert [sorted(order) for order in made] == [sorted(order) for order in found]


def test_the_ideal_of_a_fleet_counts_whole_answers():
    assert whole_answers([0.01, 0.1, 1.0], 8, 200) == 0.23
