"""A parsed question, and the alignment of two: the data that guards and features work on.

`question_parser` makes the first, `alignment` the second. They share this module so that reading their fields loads
neither the parser nor its word lists.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Token:
    """One word in its canonical form, with its stem and the preposition that governs it ("" for none).

    `content` is False for function words, `name` True for proper names, `opens` True for the first word of a sentence.
    """

    word: str
    stem: str
    content: bool
    name: bool
    preposition: str
    opens: bool = False


@dataclass(frozen=True, slots=True)
class ParsedQuestion:
    """A question split into tokens.

    `content` are its content words, `words` all its words, `numbers` its numbers in canonical form, sorted.
    `asks` is what it asks for ("who", "how many", "polar" for yes or no, "" for none), `written` the question itself.
    """

    tokens: tuple[Token, ...]
    content: tuple[Token, ...]
    words: tuple[str, ...]
    numbers: tuple[str, ...]
    negations: int
    asks: str
    characters: str
    written: str


@dataclass(frozen=True, slots=True)
class Alignment:
    """Which words of two questions correspond: pairs of positions, and what is left on each side.

    `pairs` are (index in the first's content, index in the second's content); `loose` counts those that are
    synonyms or misspellings rather than the same word, `misspelt` the latter. `left` and `right` are the content words
    without a counterpart, `left_words` and `right_words` the differing words of every kind.
    """

    pairs: tuple[tuple[int, int], ...]
    loose: int
    left: tuple[Token, ...]
    right: tuple[Token, ...]
    left_words: frozenset[str]
    right_words: frozenset[str]
    misspelt: int = 0

    def exchanges(self, some: Set[str], others: Set[str]) -> bool:
        """Whether one question has a word of `some` where the other has a word of `others`."""
        ours, theirs = self.left_words, self.right_words
        return bool((ours & some and theirs & others) or (ours & others and theirs & some))


def inversions(order: list[int]) -> int:
    """Count the pairs that are out of order."""
    return sum(a > b for n, a in enumerate(order) for b in order[n + 1 :])
