"""Aligns the words of two questions, and finds those left over.

Guards and features look at what differs once the common words are taken away. Words are paired in order of
confidence: the same word, an inflection, a listed synonym, a misspelling.
"""

from __future__ import annotations

import functools
from collections import Counter

from rag.paraphrase.lexicon import are_opposites, are_synonyms, english_words, lexicon, shared_kind, stem, word_class
from rag.paraphrase.parsed_question import Alignment, ParsedQuestion, Token

_INFLECTIONS = frozenset(
    ("", "s", "es", "e", "ed", "d", "ing", "ings", "y", "ies", "ied", "ly", "ion", "ions", "ation", "ations",
     "ment", "ments", "al", "als", "er", "ers", "est", "i", "'s", "ning", "ting", "ling", "ping", "ted", "ped")
)  # fmt: skip
_MOST_WORDS = 0.6
_TYPO_LETTERS = 5  # shorter words that differ by one letter are too often two different words


def align(first: ParsedQuestion, second: ParsedQuestion) -> Alignment:
    """Align the content words of two questions: same word, inflection, synonym, misspelling, in that order."""
    pairs: list[tuple[int, int]] = []
    misspelling = _misspelt if _is_english(first, second) else _never
    left, right = list(range(len(first.content))), list(range(len(second.content)))
    for step, same in enumerate((_identical, same_word, _synonymous, misspelling)):
        for i in left[:]:
            j = _nearest(i, [k for k in right if same(first.content[i], second.content[k])])
            if j is not None:
                pairs.append((i, j))
                left.remove(i)
                right.remove(j)
        if step == 1:
            strict = len(pairs)
        if step == 2:
            spelt = len(pairs)
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
        misspelt=len(pairs) - spelt,
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


def _is_english(first: ParsedQuestion, second: ParsedQuestion) -> bool:
    """Whether most words are English ones; the list is read only where the questions differ in a long word."""
    ours, theirs = (
        {token.word for token in each.content if len(token.word) >= _TYPO_LETTERS} for each in (first, second)
    )
    if ours == theirs:
        return False  # nothing to correct
    words = [word for each in (first, second) for word in each.words if word.isalpha()]
    return sum(word in english_words() or len(word) < 3 for word in words) >= _MOST_WORDS * len(words)


def _never(_one: Token, _other: Token) -> bool:
    return False


def _misspelt(one: Token, other: Token) -> bool:
    return not (one.name or other.name) and misspelt(one.word, other.word)


@functools.lru_cache(maxsize=65536)
def misspelt(one: str, other: str) -> bool:
    """Whether one of two long words is no English word, and one letter away from the other, which is.

    One letter added, dropped, changed or transposed: of two words that are both known, or both unknown (names, words of
    other languages), each may mean something of its own.
    """
    if min(len(one), len(other)) < _TYPO_LETTERS or one[0] != other[0] or abs(len(one) - len(other)) > 1:
        return False
    if not (one.isascii() and other.isascii() and one.isalpha() and other.isalpha()) or _known(one) == _known(other):
        return False
    return not (are_opposites(one, other) or shared_kind(one, other)) and _one_letter_apart(one, other)


def _one_letter_apart(one: str, other: str) -> bool:
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    a, b = one[start:], other[start:]
    return a[1:] == b or a == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:]) or a[1:] == b[1:]


def _known(word: str) -> bool:
    words = lexicon()
    return word in words.kinds or word in words.opposites or word in words.synonyms or word in english_words()
