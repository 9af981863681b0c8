"""TODO"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Token:
    """One word: as compared, its stem, the marker (preposition) that governs it ("" for none).

    `opens` says whether it is the first of a sentence.
    """

    word: str
    stem: str
    content: bool
    name: bool
    preposition: str
    opens: bool = False


@dataclass(frozen=True, slots=True)
class ParsedQuestion:
    """A question, read. `numbers` are canonical, sorted; `words` holds every word, function words included."""

    tokens: tuple[Token, ...]
    content: tuple[Token, ...]
    words: tuple[str, ...]
    numbers: tuple[str, ...]
    negations: int
    asks: str
    characters: str


@dataclass(frozen=True, slots=True)
class Alignment:
    """Which words of two questions correspond: pairs of positions, and what is left on each side.

    `pairs` are (index in the first's content, index in the second's content). `loose` counts the pairs that
    are synonyms or misspellings rather than the same word.
    """

    pairs: tuple[tuple[int, int], ...]
    loose: int
    left: tuple[Token, ...]
    right: tuple[Token, ...]
    left_words: frozenset[str]
    right_words: frozenset[str]

    def exchanges(self, some: Set[str], others: Set[str]) -> bool:
        """Say whether one question has one of `some` where the other has one of `others`."""
        ours, theirs = self.left_words, self.right_words
        return bool((ours & some and theirs & others) or (ours & others and theirs & some))


def inversions(order: list[int]) -> int:
    """Count the pairs that stand the other way round."""
    return sum(a > b for n, a in enumerate(order) for b in order[n + 1 :])
