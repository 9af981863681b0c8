"""BM25 over chunks, with bm25s: scores are computed when the index is built, and memory-mapped when it is read.

It finds what dense retrieval misses, the rare and literal: names, error codes, flags. Words are cut and stemmed by the
language of their document (`rag.text`); a question is stemmed by each language that the index has. Of a question, stop
words are dropped, but not those that stand in code marks of their own somewhere in the collection (`while`, `with`):
they are terms of its field. A question of stop words alone keeps those that few chunks have (docs/measurements.md).
"""

from __future__ import annotations

import bisect
import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag.errors import IndexUnusableError
from rag.retrieval.mapped_lines import MappedLines, save_lines
from rag.retrieval.row_groups import Mask
from rag.retrieval.term_scores import as_bm25s, term_scores
from rag.text.languages import language_code
from rag.text.stemming import stemmed, stop_words
from rag.text.words import words

_IN_CODE_MARKS = re.compile(r"`(\w+)`")
_RARE = 0.2  # share of the chunks
_KNOWN = 1 << 14  # ids and words that were looked up before: a search among mapped lines takes 10 µs


def stemmed_words(text: str, *languages: str) -> list[str]:
    """Return the stemmed words of a text without stop words, English ones by default; names also give their parts.

    Of several languages all stop words are dropped, and all stemmers are used.
    """
    codes, stops = _codes_and_stop_words(languages or ("en",))
    found = [word for word in words(text) if word not in stops]
    for code in codes:
        found = stemmed(found, code)
    return found


@functools.cache
def _codes_and_stop_words(languages: tuple[str, ...]) -> tuple[tuple[str, ...], frozenset[str]]:
    codes = tuple(language_code(each) for each in languages)
    return codes, frozenset[str]().union(*(stop_words(code) for code in codes))


def read_languages(folder: Path) -> tuple[str, ...]:
    """Return the languages of the index in a folder, by their short codes."""
    first, *others = MappedLines.load(folder / "language")
    return tuple(language_code(each) for each in (first, *others))


class LexicalIndex:
    """A BM25 index of chunks. Word n of the sorted `vocabulary` is term n of the index.

    `terms` are the stop words that are terms of the field; None in an older index, whose vocabulary has no others.
    """

    def __init__(
        self,
        bm25: Any,
        ids: Sequence[str],
        vocabulary: Sequence[str],
        languages: Sequence[str],
        terms: frozenset[str] | None,
    ) -> None:
        self._bm25 = bm25
        self.ids = ids
        self._vocabulary = vocabulary
        self.languages = tuple(languages)
        self._terms = terms
        self._id_of = functools.lru_cache(_KNOWN)(ids.__getitem__)
        self._term = functools.lru_cache(_KNOWN)(self._find)
        self._dropped = functools.cache(self._dropped_words)

    @classmethod
    def build(
        cls, texts: Iterable[str], ids: Sequence[str], language: str = "en", languages: Sequence[str] | None = None
    ) -> LexicalIndex:
        """Index n texts under their ids; `languages` are those of the texts where they are not all in `language`.

        Texts are read once, and no more than a few thousand are in memory.
        """
        of_texts = [language_code(each) for each in languages or [language] * len(ids)]
        spoken = sorted({language_code(language), *of_texts})
        stop = {word for each in spoken for word in stop_words(each)}
        terms: set[str] = set()

        def stems() -> Iterator[list[str]]:
            for text, each in zip(texts, of_texts, strict=True):
                terms.update(stop.intersection(_IN_CODE_MARKS.findall(text.lower())))
                yield stemmed(words(text), each) or [""]

        scores = term_scores(stems())
        return cls(as_bm25s(scores), list(ids), scores.vocabulary, spoken, frozenset(terms))

    def save(self, folder: Path) -> None:
        """Write the index into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.ids:
            self._bm25.save(str(folder), show_progress=False)
        save_lines(self.ids, folder / "ids")
        save_lines(self._vocabulary, folder / "vocabulary")
        save_lines(self.languages, folder / "language")
        if self._terms is not None:
            save_lines(sorted(self._terms), folder / "terms")

    @classmethod
    def load(cls, folder: Path) -> LexicalIndex:
        """Memory-map an index written by `save`.

        Raises:
            IndexUnusableError: a file is missing or torn.
        """
        import bm25s

        try:
            ids, vocabulary = MappedLines.load(folder / "ids"), MappedLines.load(folder / "vocabulary")
            languages = read_languages(folder)
            kept = frozenset(MappedLines.load(folder / "terms")) if (folder / "terms").exists() else None
            bm25 = bm25s.BM25.load(str(folder), mmap=True, show_progress=False) if ids else bm25s.BM25()
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise IndexUnusableError(f"{folder}: can't be read ({error}); build the release again") from error
        indexed = bm25.scores["num_docs"] if ids else int((folder / "params.index.json").exists())
        terms = len(bm25.scores["indptr"]) - 1 if ids else 0
        if indexed != len(ids) or terms != len(vocabulary):
            raise IndexUnusableError(f"{folder}: the ids are not those of this index; build the release again")
        return cls(bm25, ids, vocabulary, languages, kept)

    def search(self, question: str, k: int, only: Mask | None = None) -> list[tuple[str, float]]:
        """Return the at most k best chunks that share a word with the question, as (id, BM25 score).

        With `only`, among those rows.
        """
        asked = self._asked(question)
        if not asked:
            return []
        scores = self._bm25.get_scores(asked)
        found = np.flatnonzero(scores)  # all scores are positive or 0: the Lucene form of BM25
        if only is not None:
            found = found[only[found]]
        if len(found) > k:  # sort only the best k and those tied with the last of them
            found = found[scores[found] >= np.partition(scores[found], -k)[-k]]
        best = found[np.argsort(-scores[found], kind="stable")][:k]
        return [(self._id_of(row), score) for row, score in zip(best.tolist(), scores[best].tolist(), strict=True)]

    def _asked(self, question: str) -> list[int]:
        """Return the terms of a question: without its stop words, unless they are all that it has."""
        said, found = words(question), dict[int, bool]()
        for language in self.languages:
            stop = self._dropped(language)
            for word, stem in zip(said, stemmed(said, language), strict=True):
                if (term := self._term(stem)) is not None:
                    found[term] = found.get(term, False) or word not in stop
        return [term for term, kept in found.items() if kept] or [term for term in found if self._is_rare(term)]

    def _dropped_words(self, language: str) -> frozenset[str]:
        """Return the stop words of a language that are no terms of the field."""
        return frozenset() if self._terms is None else stop_words(language) - self._terms

    def _is_rare(self, term: int) -> bool:
        starts = self._bm25.scores["indptr"]
        return int(starts[term + 1] - starts[term]) <= _RARE * len(self.ids)

    def _find(self, word: str) -> int | None:
        place = bisect.bisect_left(self._vocabulary, word)
        return place if place < len(self._vocabulary) and self._vocabulary[place] == word else None
