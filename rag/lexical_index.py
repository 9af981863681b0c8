"""BM25 over chunks, with bm25s: sparse scores computed when the index is built, memory-mapped when read.

What dense retrieval misses is what is rare and literal: names, error codes, flags. Words are stemmed
(Snowball) and stop words dropped, in the language of the collection's documents.
"""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag.errors import IndexUnusableError

# A word, with what names in code and products hold together: __init__, C++, C#, 3.11, up-to-date.
_WORD = re.compile(r"[^\W_](?:[\w.'\-]*\w)?(?:\+\+|#)?|__\w+__|\w+")
_PARTS = re.compile(r"[^\W_]+")


@functools.lru_cache(maxsize=256)
def _language(language: str, thread: int) -> tuple[Any, frozenset[str]]:  # noqa: ARG001 - a stemmer serves one thread
    import bm25s.stopwords
    import Stemmer

    name = "EN_PLUS" if language == "english" else language.upper()
    listed = getattr(bm25s.stopwords, f"STOPWORDS_{name}", ())
    return Stemmer.Stemmer(language), frozenset(listed)


def words(text: str, language: str = "english") -> list[str]:
    """Split a text into stemmed words without stop words; compound names also give their parts."""
    stemmer, stop = _language(language, threading.get_ident())
    found: list[str] = []
    for word in _WORD.findall(text.lower()):
        found.append(word)
        if not word.isalnum():
            parts = _PARTS.findall(word)
            found += parts if len(parts) > 1 or "_" in word else []
    return list(stemmer.stemWords([word for word in found if word not in stop]))


class LexicalIndex:
    """Chunks by their words."""

    def __init__(self, bm25: Any, ids: Sequence[str], language: str) -> None:
        self._bm25 = bm25
        self.ids = list(ids)
        self._language = language

    @classmethod
    def build(cls, texts: Sequence[str], ids: Sequence[str], language: str = "english") -> LexicalIndex:
        """Index n texts under their ids."""
        import bm25s

        bm25 = bm25s.BM25()
        if texts:
            bm25.index([words(text, language) or [""] for text in texts], show_progress=False)
        return cls(bm25, ids, language)

    def save(self, folder: Path) -> None:
        """Write the index into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.ids:
            self._bm25.save(str(folder), show_progress=False)
        (folder / "ids").write_text("".join(f"{each}\n" for each in self.ids), encoding="utf-8")
        (folder / "language").write_text(f"{self._language}\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> LexicalIndex:
        """Map an index that `save` wrote.

        Raises:
            IndexUnusableError: a file is missing or torn.
        """
        import bm25s

        try:
            *ids, rest = (folder / "ids").read_text(encoding="utf-8").split("\n")
            language, rest_of_language = (folder / "language").read_text(encoding="utf-8").split("\n")
            words("", language)  # an unknown language has no stemmer
            bm25 = bm25s.BM25.load(str(folder), mmap=True, show_progress=False) if ids else bm25s.BM25()
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise IndexUnusableError(f"{folder}: can't be read ({error}); build the release again") from error
        indexed = bm25.scores["num_docs"] if ids else int((folder / "params.index.json").exists())
        if rest or rest_of_language or indexed != len(ids):
            raise IndexUnusableError(f"{folder}: the ids are not those of the index; build the release again")
        return cls(bm25, ids, language)

    def search(self, question: str, k: int) -> list[tuple[str, float]]:
        """Return the at most k best chunks that share a word with the question, as (id, BM25 score)."""
        asked = [word for word in dict.fromkeys(words(question, self._language)) if word in self._vocabulary()]
        if not asked:
            return []
        scores = self._bm25.get_scores(asked)
        found = np.flatnonzero(scores)  # all scores are positive or 0: the Lucene form of BM25
        if len(found) > k:  # sort no more than the best k and what ties with the last of them
            found = found[scores[found] >= np.partition(scores[found], -k)[-k]]
        best = found[np.argsort(-scores[found], kind="stable")][:k]
        return [(self.ids[row], float(scores[row])) for row in best]

    def _vocabulary(self) -> dict[str, int]:
        return getattr(self._bm25, "vocab_dict", None) or {}
