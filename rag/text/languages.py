"""Languages by their short codes (BCP 47): names, scripts, direction, and the stemmer that knows them."""

from __future__ import annotations

import functools
import re

STEMMED = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "eo": "esperanto", "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish",
    "fr": "french",
    "ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian",
    "lt": "lithuanian", "nb": "norwegian", "ne": "nepali", "nl": "dutch", "nn": "norwegian", "no": "norwegian",
    "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian", "st": "sesotho",
    "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip
_CODES = {name: code for code, name in STEMMED.items()} | {
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
