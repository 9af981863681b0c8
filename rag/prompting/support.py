"""Measures how far the passages of a prompt support an answer.

Support is lexical: the share of the content words added to the question that occur in the passages, averaged with
that of the worst sentence. It is cheap enough for every answer, and finds answers that come from elsewhere or say
nothing. Words of the question don't count, or "The assert statement does not do anything." would be two thirds
supported; they do in an answer to a yes-or-no question, which has no others. A sentence that says the opposite of a
passage counts as if it came from elsewhere, and sentences of the passages, word for word, are wholly supported. Stop
words and stems are those of the collection's languages.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Container, Sequence
from typing import NamedTuple

from rag.paraphrase.answer_contradiction import denied
from rag.paraphrase.question_parser import parse
from rag.prompting.citations import bare_words, with_blank_references, without_references
from rag.retrieval.lexical_index import stemmed_words
from rag.retrieval.passages import Passage, StoredChunk
from rag.text.sentences import sentences

_NEAR = 0.6  # share of a sentence's words that a passage's sentence must have to be compared with it
_VERDICT = re.compile(r"\s*(?:yes|no)\b", re.IGNORECASE)


def support(
    answer: str, passages: Sequence[Passage], question: str = "", languages: tuple[str, ...] = ("en",)
) -> float:
    """Return how far the passages support what an answer adds to its question, from 0 to 1.

    An empty answer, or one that only repeats the question, has 0. One that adds only yes or no, or answers a
    yes-or-no question in its own words, is judged by all its words.
    """
    if _is_quoted(answer, passages, languages):
        return 1.0
    known = _known(passages, languages)
    bare = with_blank_references(answer)
    said = _VERDICT.sub("", bare, count=1) if (verdict := _VERDICT.match(bare)) else bare
    asked = _words_of(question, languages)
    if asked.issuperset(stemmed_words(said, *languages)) and (verdict or parse(question).asks == "polar"):
        asked = frozenset()
    # line ends don't count: a block of code would be a sentence that no passage supports
    spoken = [_uttered(sentence, passages, languages) for sentence in sentences(" ".join(said.split()))]
    added = [[word for word in found if word not in asked] for found in spoken]
    everything = [word for found in added for word in found]
    if not everything:
        return 0.0
    judged = [new for found, new in zip(spoken, added, strict=True) if len(found) >= 3 and new]
    whole = _share(everything, known)
    return round((whole + min((_share(new, known) for new in judged), default=whole)) / 2, 4)


def _is_quoted(answer: str, passages: Sequence[Passage], languages: tuple[str, ...]) -> bool:
    """Whether every sentence of an answer is one of the passages, word for word; a question is no statement."""
    said = [sentence for sentence in sentences(without_references(answer)) if not sentence.endswith("?")]
    known = {bare for chunk in _shown(passages) for bare in _read(chunk.text, languages).statements}
    return bool(said) and all(bare_words(each) in known for each in said)


def _shown(passages: Sequence[Passage]) -> list[StoredChunk]:
    return [chunk for passage in passages for chunk in passage.shown]


def _known(passages: Sequence[Passage], languages: tuple[str, ...]) -> set[str]:
    """Return the words of what a prompt shows of its passages, titles and headings too."""
    places = {text for passage in passages for text in (passage.chunk.title, passage.chunk.heading)}
    return set[str]().union(
        *(_words_of(place, languages) for place in places),
        *(_read(chunk.text, languages).words for chunk in _shown(passages)),
    )


class _Read(NamedTuple):
    """A chunk's words, as stems, and its sentences that are no questions: their stems, by their bare words."""

    words: frozenset[str]
    statements: dict[str, frozenset[str]]


@functools.lru_cache(maxsize=4096)  # many answers use the same passages
def _read(text: str, languages: tuple[str, ...]) -> _Read:
    found = [(sentence, frozenset(stemmed_words(sentence, *languages))) for sentence in sentences(text)]
    statements = {bare_words(sentence): stems for sentence, stems in found if not sentence.endswith("?")}
    return _Read(frozenset[str]().union(*(stems for _, stems in found)), statements)


def _uttered(sentence: str, passages: Sequence[Passage], languages: tuple[str, ...]) -> list[str]:
    """Return the words of a sentence; those of one that the passages deny are words that no passage has."""
    words = stemmed_words(sentence, *languages)
    stems = frozenset(words)
    near = [
        bare
        for chunk in _shown(passages)
        for bare, others in _read(chunk.text, languages).statements.items()
        if stems and len(stems & others) >= _NEAR * len(stems)
    ]
    return [f"not {word}" for word in words] if near and denied(sentence, near) else words


def _share(found: Sequence[str], known: Container[str]) -> float:
    return sum(word in known for word in found) / len(found)


@functools.lru_cache(maxsize=4096)
def _words_of(text: str, languages: tuple[str, ...]) -> frozenset[str]:
    return frozenset(stemmed_words(text, *languages))
