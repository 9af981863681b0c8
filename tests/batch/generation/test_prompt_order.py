"""Prompts with a common prefix are adjacent, none is lost, and batches keep the order."""

from __future__ import annotations

from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from batch.generation.prompt_order import batches, order_by_prefix

PASSAGES = st.lists(st.lists(st.sampled_from("abcde"), max_size=3).map(tuple), max_size=30)


@given(PASSAGES)
def test_each_prompt_is_generated_once(passages: list[tuple[str, ...]]) -> None:
    assert sorted(order_by_prefix(passages)) == list(range(len(passages)))


@given(PASSAGES)
def test_prompts_with_the_same_prefix_are_adjacent(passages: list[tuple[str, ...]]) -> None:
    ordered = [passages[place] for place in order_by_prefix(passages)]

    for length in (1, 2, 3):
        beginnings = [each[:length] for each, _ in groupby(each[:length] for each in ordered if len(each) >= length)]
        runs = [beginning for beginning, _ in groupby(beginnings)]
        assert len(runs) == len(set(runs)), "no beginning comes back after another one"


@given(PASSAGES)
def test_the_most_shared_first_passage_comes_first(passages: list[tuple[str, ...]]) -> None:
    ordered = [passages[place] for place in order_by_prefix(passages)]
    sizes = [len(list(group)) for _, group in groupby(each[0] if each else "" for each in ordered)]

    assert sizes == sorted(sizes, reverse=True)


@given(st.lists(st.integers()), st.integers(1, 7))
def test_batches_are_full_but_the_last_and_keep_the_order(items: list[int], size: int) -> None:
    cut = list(batches(items, size))

    assert [item for batch in cut for item in batch] == items
    assert all(len(batch) == size for batch in cut[:-1])
    assert all(1 <= len(batch) <= size for batch in cut)


def test_what_is_worth_most_comes_first_and_prefixes_stay_together():
    passages = [["a", "b"], ["c"], ["a", "d"], ["e"]]
    ordered = [passages[place] for place in order_by_prefix(passages, [1.0, 5.0, 1.0, 0.5])]
    assert ordered == [["c"], ["a", "b"], ["a", "d"], ["e"]]
