"""Aligns the words of two questions, and finds those left over.

Guards and features look at what differs once the common words are taken away. Words are paired in order of
confidence: the same word, an inflection, a listed synonym, a misspelling.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

from rag.paraphrase.lexicon import are_opposites, english_words, lexicon, meanings, shared_kind, stem, word_class
from rag.paraphrase.parsed_question import Alignment, ParsedQuestion, Token

_INFLECTIONS = frozenset(
    ("", "s", "es", "e", "ed", "d", "ing", "ings", "y", "ies", "ied", "ly", "ion", "ions", "ation", "ations",
     "ment", "ments", "al", "als", "er", "ers", "est", "i", "'s", "ning", "ting", "ling", "ping", "ted", "ped")
)  # fmt: skip
_MOST_WORDS = 0.6
_TYPO_LETTERS = 4  # shorter words that differ by one letter are too often two different words
_SURE_LETTERS = 5  # a word of four may have lost one of five, or two may have changed places

Words = dict[int, Token]
"""Content words by their place in a question."""


def align(first: ParsedQuestion, second: ParsedQuestion) -> Alignment:
    """Align the content words of two questions: same word, inflection, synonym, misspelling, in that order."""
    pairs: list[tuple[int, int]] = []
    left, right = dict(enumerate(first.content)), dict(enumerate(second.content))
    _pair(left, right, _identical, pairs)
    _pair(left, right, _inflections, pairs)
    strict = len(pairs)
    _pair(left, right, _synonyms, pairs)
    if any(_misspellings(token, right) for token in left.values()) and _is_english(first, second):
        _pair(left, right, _misspellings, pairs)
    left_words, right_words = _surplus(first.words, second.words), _surplus(second.words, first.words)
    one, other = _open_phrases(left.values()), _open_phrases(right.values())
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
        misspelt=sum(misspelt(first.content[i].word, second.content[j].word) for i, j in pairs),
    )


def _pair(left: Words, right: Words, alike: Callable[[Token, Words], list[int]], pairs: list[tuple[int, int]]) -> None:
    """Pair words with the nearest that is alike, and take both away."""
    for i, token in list(left.items()):
        if places := alike(token, right):
            j = _nearest(i, places)
            pairs.append((i, j))
            del left[i], right[j]


def _nearest(place: int, places: list[int]) -> int:
    return min(places, key=lambda each: abs(each - place))


def _surplus(words: tuple[str, ...], others: tuple[str, ...]) -> set[str]:
    """Return the words that are there more often than in the other question."""
    return {word for word in words if words.count(word) > others.count(word)}


def _open_phrases(tokens: Iterable[Token]) -> list[Token]:
    """Split unmatched phrases into content words, to compare "maternity leave" with "paternity leave"."""
    frame, found = word_class("function"), list[Token]()
    for token in tokens:
        parts = [part for part in token.word.split("_") if part not in frame] if "_" in token.word else []
        found += [Token(p, stem(p), True, token.name, token.preposition) for p in parts] or [token]
    return found


def _with_parts(words: set[str], others: set[str]) -> frozenset[str]:
    if not any("_" in word for word in words):
        return frozenset(words)
    parts = {part for word in words if "_" in word for part in word.split("_")}
    return frozenset(words | (parts - {part for other in others for part in other.split("_")}))


def _identical(token: Token, others: Words) -> list[int]:
    word = token.word
    return [place for place, other in others.items() if other.word == word]


def _inflections(token: Token, others: Words) -> list[int]:
    initial = token.word[0]
    return [place for place, other in others.items() if other.word[0] == initial and same_word(token, other)]


def _synonyms(token: Token, others: Words) -> list[int]:
    word, meant = token.word, meanings(token.word)
    if not meant:
        return []
    return [
        place
        for place, other in others.items()
        if not meant.isdisjoint(meanings(other.word))
        and not are_opposites(word, other.word)
        and not shared_kind(word, other.word)
    ]


def _misspellings(token: Token, others: Words) -> list[int]:
    word = token.word
    if token.name or len(word) < _TYPO_LETTERS:
        return []
    return [
        place
        for place, other in others.items()
        if other.word[0] == word[0] and not other.name and misspelt(word, other.word)
    ]


def same_word(one: Token, other: Token) -> bool:
    """Whether two words are forms of one word; "important" and "import" share a stem but are not."""
    return (one.stem == other.stem and _inflected(one.word, other.word)) or _superlative(one.word, other.word)


def same_meaning(one: Token, other: Token) -> bool:
    """Whether two words are one, forms of one, or listed synonyms."""
    return one.word == other.word or same_word(one, other) or not meanings(one.word).isdisjoint(meanings(other.word))


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


def _is_english(first: ParsedQuestion, second: ParsedQuestion) -> bool:
    """Whether most words are English ones; the list is read only where the questions differ in a long word."""
    ours, theirs = (
        {token.word for token in each.content if len(token.word) >= _TYPO_LETTERS} for each in (first, second)
    )
    if ours == theirs:
        return False  # nothing to correct
    words = [word for each in (first, second) for word in each.words if word.isalpha()]
    return sum(word in english_words() or len(word) < 3 for word in words) >= _MOST_WORDS * len(words)


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
    if len(one) == len(other) < _SURE_LETTERS and sorted(one) != sorted(other):
        return False
    return not (are_opposites(one, other) or shared_kind(one, other)) and _one_letter_apart(one, other)


def _one_letter_apart(one: str, other: str) -> bool:
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    a, b = one[start:], other[start:]
    return a[1:] == b or a == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:]) or a[1:] == b[1:]


def _known(word: str) -> bool:
    if word in english_words():
        return True
    words = lexicon()
    listed = word in words.kinds or word in words.opposites or word in words.synonyms
    return listed and word + "e" not in english_words()  # the lists hold stems, too: "freez"
