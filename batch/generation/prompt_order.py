"""The order in which prompts are generated, so that those with a common prefix run together.

vLLM keeps the keys and values of recent prefixes. While all contexts fit into that cache the order does not
matter; once they do not, it decides: 280 prompts of 580 tokens over a cache of 21 thousand gave 44.9 output
tokens a second grouped by document and 28.8 shuffled (67 % against 37 % of the prompt tokens from the cache).
Sorting by the sequence of passages puts prompts with the same first passage, then the same first two, next
to each other: the greedy form of GGR (arXiv 2403.05821) for fields whose order is fixed. Batches are cut from
that order, so a batch shares as much as it can.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from rag.identity import stable_hash

Item = TypeVar("Item")


def order_by_prefix(passages: Sequence[Sequence[str]]) -> list[int]:
    """Return the indexes of n prompts, given each one's passage ids in prompt order, sorted by shared prefix.

    Passages that many prompts begin with come first, so that a run that is cut short has used its cache best.
    """
    first: dict[str, int] = {}
    for ids in passages:
        head = ids[0] if ids else ""
        first[head] = first.get(head, 0) + 1
    return sorted(
        range(len(passages)),
        key=lambda i: (-first[passages[i][0] if passages[i] else ""], tuple(passages[i]), i),
    )


def batches(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    """Cut an ordered sequence into runs of at most `size`."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def passages_hash(content_hashes: Sequence[str]) -> str:
    """Name an ordered set of passages."""
    return stable_hash("passages", list(content_hashes))
