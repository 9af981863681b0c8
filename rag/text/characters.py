"""Characters: which are written without spaces between words, which belong to the letter before them, which look alike.

Compatibility forms are folded with care: a full-width letter is the letter, but a raised 8 is not an 8 (2⁸ is not 28).
"""

from __future__ import annotations

import functools
import re
import unicodedata

# Thai, Lao, Myanmar, Khmer, Kana, Han and Hangul; the last has spaces, but its words carry their endings.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U000323af"  # noqa: E501 - one class
HAN = re.compile("[\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]")
_NAMED_OTHERWISE = {"CJK": "Han", "HIRAGANA": "Kana", "KATAKANA": "Kana", "KATAKANA-HIRAGANA": "Kana"}
_NO_SCRIPTS = frozenset(
    ("MODIFIER", "SUPERSCRIPT", "SUBSCRIPT", "MATHEMATICAL", "FULLWIDTH", "HALFWIDTH", "FEMININE", "MASCULINE", "MICRO",
     "SCRIPT", "DOUBLE-STRUCK", "BLACK-LETTER", "KELVIN", "ANGSTROM", "OHM", "PLANCK", "ALEF", "IDEOGRAPHIC", "TURNED")
)  # fmt: skip
_LINE_ENDS = re.compile(r"[\t\n\r\x0b\x0c]+")
_WIDE = re.compile("[\uff01-\uffef\u3000]+")


def fold_width(text: str) -> str:
    """Replace full-width and half-width forms by the usual ones."""
    return _WIDE.sub(lambda found: unicodedata.normalize("NFKC", found.group()), text)


_MEANT = ("<super>", "<sub>", "<fraction>", "<circle>")


def fold_form(character: str) -> str:
    """Replace a compatibility form by the usual character; raised, lowered and circled ones mean something else."""
    form = unicodedata.decomposition(character)
    return (
        character if not form.startswith("<") or form.startswith(_MEANT) else unicodedata.normalize("NFKC", character)
    )


def without_format(text: str) -> str:
    """Drop control and format characters but white space; printable lines, the usual case, have none."""
    if all(line.isprintable() for line in _LINE_ENDS.split(text)):
        return text
    return "".join(c for c in text if c in "\t\n\r\x0b\x0c" or unicodedata.category(c)[0] != "C")


@functools.cache
def combining_marks() -> str:
    """Return the marks that belong to the letter before them, as the inside of a character class."""
    marks = [c for c in range(0x300, 0x1E950) if unicodedata.category(chr(c)) in ("Mn", "Mc")]
    ranges, start = [], marks[0]
    for before, mark in zip(marks, [*marks[1:], 0], strict=True):
        if mark != before + 1:
            ranges.append(f"{chr(start)}-{chr(before)}")
            start = mark
    return "".join(ranges)


def script_of(character: str) -> str:
    """Return the script of a letter, or "" for what is no letter or common to several scripts.

    It is told by the first word of the character's Unicode name, which is enough to tell Latin from Cyrillic.
    """
    if character.isascii():
        return "Latin" if character.isalpha() else ""
    if not character.isalpha():
        return ""
    name = unicodedata.name(character, "").partition(" ")[0]
    return "" if not name or name in _NO_SCRIPTS else _NAMED_OTHERWISE.get(name, name.title())
