"""Cuts a text into the words that the lexical index counts, in any script.

Where words are not written apart (Chinese, Japanese, Thai, and Korean with its endings) pairs of characters stand for
them, and single Chinese characters besides: a segmenter would find better words, but it needs a dictionary of some
megabytes for each language, and question and passage must be cut alike. Combining marks belong to their letter. What
people write one way or the other becomes one: the vowel signs of Arabic and Hebrew, which are mostly left out, the
forms of alef, the dots below Devanagari letters, the digits of each script.
"""

from __future__ import annotations

import functools
import re
import sys
import unicodedata

from rag.text.characters import HAN, UNSPACED, combining_marks, fold_width, without_format

# A word, including names from code and products: __init__, C++, C#, 3.11, up-to-date.
_ASCII_WORD = re.compile(r"[^\W_](?:[\w.'\-]*\w)?(?:\+\+|#)?|__\w+__|\w+")
_JOINTS = re.compile(r"[.'\-_+#]+")
_UNSPACED_RUN = re.compile(f"([{UNSPACED}]+)")
_OPTIONAL = re.compile("[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0640\u064b-\u0652\u0670]")
# Hamza and madda of alef, alef without dots; the dot of a Turkish capital; nukta and nasal signs of Devanagari.
_SPELT = {"\u0623": "\u0627", "\u0625": "\u0627", "\u0622": "\u0627", "\u0671": "\u0627", "\u0649": "\u064a"}
_SPELT |= {"\u0307": "", "\u093c": "", "\u0901": "\u0902"}


def words(text: str) -> list[str]:
    """Return the words of a text in lower case; compound names also give their parts."""
    lower = text.lower()
    if lower.isascii():
        return _with_parts(_ASCII_WORD.findall(lower))
    found: list[str] = []
    for word in _any_word().findall(_tidy(lower)):
        for piece in _UNSPACED_RUN.split(word):
            if _UNSPACED_RUN.match(piece):
                found += _pairs(piece)
            elif bare := piece.strip(".'-") if piece != word else piece:
                found += _with_parts([bare])
    return found


def _tidy(text: str) -> str:
    return _OPTIONAL.sub("", unicodedata.normalize("NFC", fold_width(without_format(text)))).translate(_spellings())


@functools.cache
def _spellings() -> dict[int, str]:
    """Return what characters become, for `str.translate`."""
    digits = (chr(code) for code in range(0x80, sys.maxunicode) if unicodedata.category(chr(code)) == "Nd")
    one = {"\u2019": "'"} | _SPELT | {digit: str(unicodedata.digit(digit)) for digit in digits}
    return {ord(character): usual for character, usual in one.items()}


@functools.cache
def _any_word() -> re.Pattern[str]:
    mark = f"[{combining_marks()}]"
    return re.compile(rf"[^\W_]{mark}*(?:(?:[\w.'\-]|{mark})*(?:\w|{mark}))?(?:\+\+|#)?|__\w+__|\w+")


def _with_parts(found: list[str]) -> list[str]:
    every: list[str] = []
    for word in found:
        every.append(word)
        if not word.isalnum():
            parts = [part for part in _JOINTS.split(word) if part]
            every += parts if len(parts) > 1 or "_" in word else []
    return every


def _pairs(run: str) -> list[str]:
    """Return the pairs of neighbouring characters, and the Chinese ones alone; a character alone stands for itself."""
    if len(run) == 1:
        return [run]
    return [run[n : n + 2] for n in range(len(run) - 1)] + HAN.findall(run)
