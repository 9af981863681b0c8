"""The order in which prompts are generated: those with a common prefix run together.

vLLM keeps the keys and values of recent prefixes. Once the contexts no longer fit into that cache, the order decides
the speed: by half again in our measurement (docs/measurements.md). Sorting by the sequence of passages puts prompts
with the same first passages next to each other, which is the greedy form of GGR (arXiv 2403.05821) for fields whose
order is fixed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from rag.identity import stable_hash

Item = TypeVar("Item")


def order_by_prefix(passages: Sequence[Sequence[str]], weights: Sequence[float] | None = None) -> list[int]:
    """Return the indexes of n prompts, given each one's passage ids in prompt order, sorted by shared prefix.

    The passages come first that the prompts beginning with them are worth most, all together: an interrupted run has
    then answered what matters most, and made the best use of the cache. Without `weights` each prompt is worth 1.
    """
    first: dict[str, float] = {}
    for ids, weight in zip(passages, weights or [1.0] * len(passages), strict=True):
        head = ids[0] if ids else ""
        first[head] = first.get(head, 0.0) + weight
    return sorted(
        range(len(passages)),
        key=lambda i: (-first[passages[i][0] if passages[i] else ""], tuple(passages[i]), i),
    )


def batches(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    """Cut a sequence into batches of at most `size` items, in order."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def passages_hash(content_hashes: Sequence[str]) -> str:
    """Return the hash of the passages of a prompt, in order."""
    return stable_hash("passages", list(content_hashes))
