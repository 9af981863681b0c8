"""BM25 over chunks, with bm25s: scores are computed when the index is built, and memory-mapped when it is read.

It finds what dense retrieval misses, the rare and literal: names, error codes, flags. Words are stemmed (Snowball)
and stop words dropped, in the language of the collection's documents; those that stand in code marks of their own
somewhere in the collection (`while`, `with`) are terms of its field, and kept.
"""

from __future__ import annotations

import bisect
import functools
import re
import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag.errors import IndexUnusableError
from rag.retrieval.mapped_lines import MappedLines, save_lines
from rag.retrieval.row_groups import Mask

# A word, including names from code and products: __init__, C++, C#, 3.11, up-to-date.
_WORD = re.compile(r"[^\W_](?:[\w.'\-]*\w)?(?:\+\+|#)?|__\w+__|\w+")
_PARTS = re.compile(r"[^\W_]+")
_IN_CODE_MARKS = re.compile(r"`(\w+)`")


@functools.lru_cache(maxsize=256)
def _language(language: str, thread: int) -> tuple[Any, frozenset[str]]:  # noqa: ARG001 - a stemmer serves one thread
    import bm25s.stopwords
    import Stemmer

    name = "EN_PLUS" if language == "english" else language.upper()
    listed = getattr(bm25s.stopwords, f"STOPWORDS_{name}", ())
    return Stemmer.Stemmer(language), frozenset(listed)


def stop_words(language: str) -> frozenset[str]:
    """Return the stop words of a language; none where they are not known."""
    return _language(language, threading.get_ident())[1]


def stemmed_words(text: str, language: str = "english", terms: Collection[str] = ()) -> list[str]:
    """Return the stemmed words of a text without stop words; compound names also give their parts.

    `terms` are stop words that are kept.
    """
    stemmer, stop = _language(language, threading.get_ident())
    found: list[str] = []
    for word in _WORD.findall(text.lower()):
        found.append(word)
        if not word.isalnum():
            parts = _PARTS.findall(word)
            found += parts if len(parts) > 1 or "_" in word else []
    return list(stemmer.stemWords([word for word in found if word not in stop or word in terms]))


class LexicalIndex:
    """A BM25 index of chunks. Word n of the sorted `vocabulary` is term n of the index."""

    def __init__(self, bm25: Any, ids: Sequence[str], vocabulary: Sequence[str], language: str) -> None:
        self._bm25 = bm25
        self.ids = ids
        self._vocabulary = vocabulary
        self._language = language

    @classmethod
    def build(cls, texts: Sequence[str], ids: Sequence[str], language: str = "english") -> LexicalIndex:
        """Index n texts under their ids."""
        import bm25s

        bm25 = bm25s.BM25()
        marked = {word for text in texts for word in _IN_CODE_MARKS.findall(text.lower())}
        terms = marked & stop_words(language)
        texts_words = [stemmed_words(text, language, terms) or [""] for text in texts]
        vocabulary = sorted({word for each in texts_words for word in each})
        if texts:
            term = {word: number for number, word in enumerate(vocabulary)}
            bm25.index(([[term[word] for word in each] for each in texts_words], term), show_progress=False)
            bm25.vocab_dict = {}  # else saved as JSON and parsed whole before the first search
        return cls(bm25, list(ids), vocabulary, language)

    def save(self, folder: Path) -> None:
        """Write the index into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.ids:
            self._bm25.save(str(folder), show_progress=False)
        save_lines(self.ids, folder / "ids")
        save_lines(self._vocabulary, folder / "vocabulary")
        save_lines([self._language], folder / "language")

    @classmethod
    def load(cls, folder: Path) -> LexicalIndex:
        """Memory-map an index written by `save`.

        Raises:
            IndexUnusableError: a file is missing or torn.
        """
        import bm25s

        try:
            ids, vocabulary = MappedLines.load(folder / "ids"), MappedLines.load(folder / "vocabulary")
            (language,) = MappedLines.load(folder / "language")
            stemmed_words("", language)  # raises for an unknown language
            bm25 = bm25s.BM25.load(str(folder), mmap=True, show_progress=False) if ids else bm25s.BM25()
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise IndexUnusableError(f"{folder}: can't be read ({error}); build the release again") from error
        indexed = bm25.scores["num_docs"] if ids else int((folder / "params.index.json").exists())
        terms = len(bm25.scores["indptr"]) - 1 if ids else 0
        if indexed != len(ids) or terms != len(vocabulary):
            raise IndexUnusableError(f"{folder}: the ids are not those of this index; build the release again")
        return cls(bm25, ids, vocabulary, language)

    def search(self, question: str, k: int, only: Mask | None = None) -> list[tuple[str, float]]:
        """Return the at most k best chunks that share a word with the question, as (id, BM25 score).

        With `only`, among those rows.
        """
        kept = stop_words(self._language)  # those that are no terms of the field are not in the vocabulary
        terms = (self._term(word) for word in dict.fromkeys(stemmed_words(question, self._language, kept)))
        asked = [term for term in terms if term is not None]
        if not asked:
            return []
        scores = self._bm25.get_scores(asked)
        found = np.flatnonzero(scores)  # all scores are positive or 0: the Lucene form of BM25
        if only is not None:
            found = found[only[found]]
        if len(found) > k:  # sort only the best k and those tied with the last of them
            found = found[scores[found] >= np.partition(scores[found], -k)[-k]]
        best = found[np.argsort(-scores[found], kind="stable")][:k]
        return [(self.ids[row], float(scores[row])) for row in best]

    def _term(self, word: str) -> int | None:
        place = bisect.bisect_left(self._vocabulary, word)
        return place if place < len(self._vocabulary) and self._vocabulary[place] == word else None
