"""Stemmers and stop words of languages.

A language without a stemmer is indexed all the same: its words as they stand, those of scripts without spaces as
pairs of characters (`rag.text.words`). Arabic has a light stemmer here, after Larkey and others (SIGIR 2002): that of
Snowball keeps "and the order" and "the order" apart.
"""

from __future__ import annotations

import functools
import re
import threading
from importlib import resources
from typing import Any

from rag.text.languages import STEMMED
from rag.text.words import words as spelt

# Each leaves a stem of two or three letters.
_AND = re.compile("^\u0648(?=...)")
_ARTICLE = re.compile("^(?:[\u0628\u0643\u0641]?\u0627\u0644|\u0644\u0644)(?=..)")
_ENDING = re.compile(
    "(?<=..)(?:\u0647\u0627|\u0627\u0646|\u0627\u062a|\u0648\u0646|\u064a\u0646|\u064a[\u0647\u0629]|[\u0647\u0629\u064a])$"
    "|(?<=...)(?:\u0647\u0645|\u0643\u0645|\u0646\u0627|\u062a\u064a|\u062a\u0647|\u0643)$"
)


def stop_words(language: str) -> frozenset[str]:
    """Return the stop words of a language; none where they are not known."""
    return _tools(language, threading.get_ident())[1]


def stemmed(words: list[str], language: str) -> list[str]:
    """Return the stems of words; the words themselves where there is no stemmer."""
    if language == "ar":
        return [_arabic_stem(word) for word in words]
    stemmer = _tools(language, threading.get_ident())[0]
    return list(stemmer.stemWords(words)) if stemmer is not None else words


@functools.lru_cache(maxsize=256)
def _tools(language: str, thread: int) -> tuple[Any, frozenset[str]]:  # noqa: ARG001 - a stemmer serves one thread
    import bm25s.stopwords
    import Stemmer

    name = STEMMED.get(language)
    listed = "EN_PLUS" if language == "en" else (name or {"zh": "chinese", "ko": "korean"}.get(language, "")).upper()
    stop = frozenset(getattr(bm25s.stopwords, f"STOPWORDS_{listed}", ())) | _own_stop_words().get(language, frozenset())
    return (Stemmer.Stemmer(name) if name else None), stop


@functools.cache
def _own_stop_words() -> dict[str, frozenset[str]]:
    """Return the stop words of `stop_words.txt`, spelt as `rag.text.words` spells them."""
    lines = resources.files("rag.text").joinpath("stop_words.txt").read_text(encoding="utf-8").splitlines()
    listed = (line.partition(":") for line in lines if not line.startswith("#"))
    return {code: frozenset(spelt(text)) for code, _, text in listed}


def _arabic_stem(word: str) -> str:
    """Return an Arabic word without "and", the article with what is written with it, and common endings."""
    bare = _AND.sub("", word)
    bare = _ARTICLE.sub("", bare)
    return _ENDING.sub("", bare)
