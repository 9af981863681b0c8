"""Aligns the words of two questions, and finds those left over.

Guards and features look at what differs once the common words are taken away. Words are paired in order of
confidence: the same word, an inflection, a listed synonym, a misspelling.
"""

from __future__ import annotations

import functools
from collections import Counter

from rag.paraphrase.lexicon import are_opposites, are_synonyms, lexicon, shared_kind, stem, word_class
from rag.paraphrase.parsed_question import Alignment, ParsedQuestion, Token

_INFLECTIONS = frozenset(
    ("", "s", "es", "e", "ed", "d", "ing", "ings", "y", "ies", "ied", "ly", "ion", "ions", "ation", "ations",
     "ment", "ments", "al", "als", "er", "ers", "est", "i", "'s", "ning", "ting", "ling", "ping", "ted", "ped")
)  # fmt: skip
_TYPO_LETTERS = 6  # shorter words that differ by one letter are too often two different words


def align(first: ParsedQuestion, second: ParsedQuestion) -> Alignment:
    """Align the content words of two questions: same word, inflection, synonym, misspelling, in that order."""
    pairs: list[tuple[int, int]] = []
    left, right = list(range(len(first.content))), list(range(len(second.content)))
    for step, same in enumerate((_identical, same_word, _synonymous, _misspelt)):
        for i in left[:]:
            j = _nearest(i, [k for k in right if same(first.content[i], second.content[k])])
            if j is not None:
                pairs.append((i, j))
                left.remove(i)
                right.remove(j)
        if step == 1:
            strict = len(pairs)
    ours, theirs = Counter(first.words), Counter(second.words)
    left_words, right_words = set(ours - theirs), set(theirs - ours)
    one, other = _open_phrases([first.content[i] for i in left]), _open_phrases([second.content[j] for j in right])
    for token in one[:]:
        twin = next((each for each in other if same_word(token, each)), None)
        if twin is not None:
            one.remove(token)
            other.remove(twin)
    return Alignment(
        pairs=tuple(sorted(pairs)),
        loose=len(pairs) - strict,
        left=tuple(one),
        right=tuple(other),
        left_words=_with_parts(left_words, right_words),
        right_words=_with_parts(right_words, left_words),
    )


def _open_phrases(tokens: list[Token]) -> list[Token]:
    """Split unmatched phrases into content words, to compare "maternity leave" with "paternity leave"."""
    frame, found = word_class("function"), []
    for token in tokens:
        parts = [part for part in token.word.split("_") if part not in frame]
        single = len(parts) == 1 and "_" not in token.word
        found += (
            [token] if single or not parts else [Token(p, stem(p), True, token.name, token.preposition) for p in parts]
        )
    return found


def _with_parts(words: set[str], others: set[str]) -> frozenset[str]:
    parts = {part for word in words if "_" in word for part in word.split("_")}
    return frozenset(words | (parts - {part for other in others for part in other.split("_")}))


def _nearest(i: int, candidates: list[int]) -> int | None:
    return min(candidates, key=lambda k: abs(k - i), default=None)


def _identical(one: Token, other: Token) -> bool:
    return one.word == other.word


def same_word(one: Token, other: Token) -> bool:
    """Whether two words are forms of one word; "important" and "import" share a stem but are not."""
    return (one.stem == other.stem and _inflected(one.word, other.word)) or _superlative(one.word, other.word)


@functools.lru_cache(maxsize=65536)
def _superlative(one: str, other: str) -> bool:
    base, longer = sorted((one, other), key=len)
    return len(base) > 3 and longer in (base + "est", base + "st", base.removesuffix("r") + "st")


@functools.lru_cache(maxsize=65536)
def _inflected(one: str, other: str) -> bool:
    shared = 0
    while shared < min(len(one), len(other)) and one[shared] == other[shared]:
        shared += 1
    rests = {one[shared:], other[shared:]}
    return rests <= _INFLECTIONS


def _synonymous(one: Token, other: Token) -> bool:
    return (
        are_synonyms(one.word, other.word)
        and not are_opposites(one.word, other.word)
        and not shared_kind(one.word, other.word)
    )


def _misspelt(one: Token, other: Token) -> bool:
    return misspelt(one.word, other.word)


@functools.lru_cache(maxsize=65536)
def misspelt(one: str, other: str) -> bool:
    """Whether one long word is a misspelling of the other: one letter added, dropped, changed or transposed."""
    if min(len(one), len(other)) < _TYPO_LETTERS or one[0] != other[0] or abs(len(one) - len(other)) > 1:
        return False
    if one.startswith("#") or are_opposites(one, other) or shared_kind(one, other) or (_known(one) and _known(other)):
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    a, b = one[start:], other[start:]
    return a[1:] == b or a == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:]) or a[1:] == b[1:]


def _known(word: str) -> bool:
    words = lexicon()
    return word in words.kinds or word in words.opposites or word in words.synonyms
