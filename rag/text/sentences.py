"""Splits text into sentences. Rules for technical prose, small rather than perfect: in doubt, don't split.

A full stop ends a sentence if white space and a possible beginning follow, and if the word before it is not an
abbreviation, an initial or a list number ("2. Install").
"""

from __future__ import annotations

import re

_END = re.compile(
    r"(?:[.!?\u2026\u061f\u0964\u0965\u06d4]+[)\]\"'\u201d\u2019\u00bb*_`]*(?=\s)"
    r"|[\u3002\uff01\uff1f\uff61]+[\u300d\u300f\uff09\u201d\u2019\u300b\u3011]*|\n[ \t]*(?=\n))"
)
_FULL_STOPS = "\u3002\uff01\uff1f\uff61\u061f\u0964\u0965\u06d4"  # of scripts that have no capitals
_ITEM = re.compile(r"\n(?=[ \t]*(?:[-*+\u2022]|\d{1,3}[.)])[ \t]+\S)")
_BEGINNING = re.compile(r"\s+[(\[\"'\u201c\u2018\u00ab*_`\u00bf\u00a1]*([^\W_]|[<$@#~/\\-])")
_NOTHING_MORE = re.compile(r"\s*\Z")
_COUNTER = re.compile(r"\s*[0-9]{1,3}[.]\Z")
_ABBREVIATIONS = frozenset(
    ("e.g", "i.e", "etc", "cf", "vs", "dr", "mr", "mrs", "ms", "prof", "st", "jr", "sr", "no", "nos", "fig",
     "figs", "eq", "sec", "ch", "chap", "vol", "pp", "p", "ed", "eds", "al", "approx", "resp", "incl", "excl",
     "min", "max", "dept", "est", "viz", "ca", "bzw", "z.b", "d.h", "u.a", "a.k.a", "w.r.t", "u.s", "u.k")
)  # fmt: skip
# These often end a sentence too; they don't only before a lower-case letter or a digit.
_AMBIGUOUS = frozenset(("etc", "no", "min", "max", "ed", "est", "p", "u.s", "u.k", "al"))


def sentences(text: str) -> list[str]:
    """Split a text into its sentences, without the white space around them."""
    return [text[start:end] for start, end in sentence_spans(text)]


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return the start and end of each sentence; between the spans there is only white space."""
    ends = {match.end() for match in _END.finditer(text) if _ends_here(text, match)}
    ends |= {match.start() for match in _ITEM.finditer(text)} | {len(text)}
    spans, start = [], 0
    for end in sorted(ends):
        piece = text[start:end]
        if piece.strip():
            left = len(piece) - len(piece.lstrip())
            spans.append((start + left, start + len(piece.rstrip())))
        start = end
    return spans


def _ends_here(text: str, match: re.Match[str]) -> bool:
    mark = match.group()
    if mark.isspace() or mark[0] in _FULL_STOPS:
        return True
    beginning = _BEGINNING.match(text, match.end())
    if not beginning:
        return bool(_NOTHING_MORE.match(text, match.end()))
    first = beginning.group(1)
    if first.islower():
        return False
    if mark[0] != "." or mark.startswith(".."):
        return True
    line = text.rfind("\n", 0, match.start()) + 1
    if _COUNTER.match(text, line, match.start() + 1):
        return False
    word = re.search(r"[\w.]*\Z", text[max(line, match.start() - 24) : match.start()])
    return not _is_abbreviation(word.group() if word else "", first)


def _is_abbreviation(word: str, following: str) -> bool:
    bare = word.strip("._").casefold()
    if bare in _AMBIGUOUS:
        return following.isdigit()
    return bare in _ABBREVIATIONS or (len(word) == 1 and word.isupper() and word != "I")
