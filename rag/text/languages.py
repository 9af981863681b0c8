"""Languages by their short codes (BCP 47): their stemmers, their stop words, and the scripts they are written in.

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

from rag.text.words import words as spelt

_STEMMED = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "eo": "esperanto", "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish",
    "fr": "french",
    "ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian",
    "lt": "lithuanian", "nb": "norwegian", "ne": "nepali", "nl": "dutch", "nn": "norwegian", "no": "norwegian",
    "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian", "st": "sesotho",
    "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip
_CODES = {name: code for code, name in _STEMMED.items()} | {
    "norwegian": "no", "porter": "en", "dutch_porter": "nl", "chinese": "zh", "japanese": "ja", "korean": "ko",
    "thai": "th",
}  # fmt: skip
_KNOWN = frozenset(
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee "
    "el en eo es et eu fa ff fi fil fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io "
    "is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr "
    "ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si "
    "sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh "
    "yi yo yue za zh zu".split()
)
_SCRIPTS = {
    "am": ("Ethiopic",), "ar": ("Arabic",), "be": ("Cyrillic",), "bg": ("Cyrillic",), "bn": ("Bengali",),
    "el": ("Greek",), "fa": ("Arabic",), "gu": ("Gujarati",), "he": ("Hebrew",), "hi": ("Devanagari",),
    "hy": ("Armenian",), "ja": ("Han", "Kana"), "ka": ("Georgian",), "kk": ("Cyrillic",), "km": ("Khmer",),
    "kn": ("Kannada",), "ko": ("Hangul", "Han"), "ky": ("Cyrillic",), "lo": ("Lao",), "mk": ("Cyrillic",),
    "ml": ("Malayalam",), "mn": ("Cyrillic", "Mongolian"), "mr": ("Devanagari",), "my": ("Myanmar",),
    "ne": ("Devanagari",), "pa": ("Gurmukhi",), "ps": ("Arabic",), "ru": ("Cyrillic",), "si": ("Sinhala",),
    "sr": ("Cyrillic", "Latin"), "ta": ("Tamil",), "te": ("Telugu",), "tg": ("Cyrillic",), "th": ("Thai",),
    "ug": ("Arabic",), "uk": ("Cyrillic",), "ur": ("Arabic",), "yi": ("Hebrew",), "yue": ("Han",), "zh": ("Han",),
}  # fmt: skip
_RIGHT_TO_LEFT = frozenset(("ar", "dv", "fa", "he", "ks", "ps", "sd", "ug", "ur", "yi"))
# Each leaves a stem of two or three letters.
_AND = re.compile("^\u0648(?=...)")
_ARTICLE = re.compile("^(?:[\u0628\u0643\u0641]?\u0627\u0644|\u0644\u0644)(?=..)")
_ENDING = re.compile(
    "(?<=..)(?:\u0647\u0627|\u0627\u0646|\u0627\u062a|\u0648\u0646|\u064a\u0646|\u064a[\u0647\u0629]|[\u0647\u0629\u064a])$"
    "|(?<=...)(?:\u0647\u0645|\u0643\u0645|\u0646\u0627|\u062a\u064a|\u062a\u0647|\u0643)$"
)
_GUARDED = frozenset(("en",))


@functools.lru_cache(maxsize=1024)
def language_code(name: str) -> str:
    """Return the short code of a language: "de" of "de", "de-AT", "de_DE" and "german".

    Raises:
        ValueError: no such language is known.
    """
    found = name.strip().casefold()
    code = _CODES.get(found) or re.split("[-_]", found, maxsplit=1)[0]
    if code not in _KNOWN:
        raise ValueError(f"{name!r} is no language; name its code as in en, de, zh or pt-BR")
    return code


def known_languages() -> list[str]:
    """Return the codes and names that `language_code` understands."""
    return sorted({*_KNOWN, *_CODES})


def is_guarded(language: str) -> bool:
    """Whether the guards that keep different questions apart know a language (`rag.paraphrase.guards`)."""
    return language in _GUARDED


def scripts(language: str) -> tuple[str, ...]:
    """Return the scripts in which a language is written."""
    return _SCRIPTS.get(language, ("Latin",))


def is_right_to_left(language: str) -> bool:
    """Whether a language is written from right to left."""
    return language in _RIGHT_TO_LEFT


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

    name = _STEMMED.get(language)
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
