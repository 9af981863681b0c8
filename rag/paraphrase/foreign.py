"""Is a text in Latin letters English at all? The guards know English words only.

In German "Zahlung" and "Zählung" are two words and "an" turns "melde ich mich an" into another question, which English
rules can't tell. A text counts as foreign if it has more function words of another language than English ones, or if
too few of its words are English ones. Names, numbers and code say nothing, so that English questions about foreign
names stay English.
"""

from __future__ import annotations

import functools
import re

from rag.paraphrase.lexicon import english_words, lexicon, other_names, word_class

_LANGUAGES = (
    "DANISH",
    "DUTCH",
    "FRENCH",
    "GERMAN",
    "ITALIAN",
    "NORWEGIAN",
    "PORTUGUESE",
    "SPANISH",
    "SWEDISH",
    "TURKISH",
)
_WORD = re.compile(r"(?<![\w./@#`])([^\W\d_]+(?:['\u2019][^\W\d_]+)*)(?![\w/@`(]|\.\w)")
_CONTRACTED = re.compile(r"(?:['\u2019](?:s|re|ll|ve|d|m)|(?:(?<=ca)|(?<=\w)n)['\u2019]t)\b", re.IGNORECASE)
_INSIDE_NAMES = re.compile(
    r"\b([A-Z]\w+)(?: (?:de|del|della|da|do|dos|das|des|du|di|la|le|les|el|al|van|von|der|den|zu|y|e))+(?= [A-Z])"
)
_FEWEST_WORDS = 2
# Share of the words: with English function words, without, and where one is a function word of another language too.
_FEWEST_ENGLISH, _FEWEST_WITHOUT_FRAME, _FEWEST_WITH_SHARED = 0.5, 0.6, 0.75


@functools.lru_cache(maxsize=65536)
def is_foreign(text: str) -> bool:
    """Whether a text in Latin letters is in another language than English, by its words."""
    words = _telling_words(text)
    if len(words) < _FEWEST_WORDS:
        return False
    frame = word_class("function")
    known = sum(word in _english() for word in words) / len(words)
    for listed in _function_words().values():
        theirs = [word for word in words if word in listed]
        ours = sum(word in frame and word not in listed for word in words)
        if sum(word not in _english() for word in theirs) > ours:
            return True
        if (
            not ours and theirs and known < (_FEWEST_WITH_SHARED if len(theirs) > 1 else _FEWEST_WITHOUT_FRAME)
        ):  # "die", "me" are English, too
            return True
    framed = len(words) == _FEWEST_WORDS or any(word in frame for word in words)
    return known < (_FEWEST_ENGLISH if framed else _FEWEST_WITHOUT_FRAME)


def _telling_words(text: str) -> list[str]:
    """Return the words in lower case, without names: capitals that open no sentence, and all in capitals."""
    found = list(_WORD.finditer(_INSIDE_NAMES.sub(r"\1", _CONTRACTED.sub("", text))))
    small = [each.group(1) for each in found if each.group(1).islower()]
    if len(small) < len(found) / 2:  # a title, or shouted
        return [each.group(1).lower() for each in found]
    opens = found[0].group(1) if found else ""
    return [opens.lower(), *small] if opens and not opens.islower() and not opens.isupper() else small


@functools.cache
def _english() -> frozenset[str]:
    words = lexicon()
    named = {part for name, usual in other_names().items() for part in (*name.split(), *usual.split())}
    return frozenset(
        {*word_class("function"), *english_words(), *words.kinds, *words.synonyms, *words.opposites, *named}
    )


@functools.cache
def _function_words() -> dict[str, frozenset[str]]:
    import bm25s.stopwords

    return {language: frozenset(getattr(bm25s.stopwords, f"STOPWORDS_{language}")) for language in _LANGUAGES}
