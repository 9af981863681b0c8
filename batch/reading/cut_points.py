"""Cut points: where a text may be split into blocks, lines, sentences and words, each level inside the one before.

Every function takes a text and returns spans in order, with only white space between them.
"""

from __future__ import annotations

import re
from itertools import groupby, pairwise

_FENCE = re.compile(r"[ \t]*(`{3,}(?=[^`\n]*(?:\n|\Z))|~{3,})")
_MARKER = re.compile(r"[ \t]*(?:[-*+\u2022]|\d{1,3}[.)])[ \t]|[ \t]*[|+]")
_WORDS = re.compile(r"\S+")

Span = tuple[int, int]


def blocks(text: str) -> list[Span]:
    """Split at blank lines; fenced code stays whole. A span begins with the indentation of its first line."""
    spans: list[Span] = []
    start, fence = None, ""
    for begin, end in _lines(text):
        line = text[begin:end]
        opening = _FENCE.match(line)
        if fence:
            fence = "" if set(line.strip()) == {fence[0]} and len(line.strip()) >= len(fence) else fence
        elif opening:
            fence = opening.group(1)
        if not line.strip() and not fence and start is not None:
            spans.append((start, begin))
            start = None
        elif line.strip() and start is None:
            start = begin
    if start is not None:
        spans.append((start, len(text)))
    return [(begin, begin + len(text[begin:end].rstrip())) for begin, end in spans]


def lines(text: str) -> list[Span]:
    """Split a list at its items, a table at its rows and code at its lines; prose stays whole."""
    rows = [(begin, end) for begin, end in _lines(text) if text[begin:end].strip()]
    if not rows:
        return []
    if _FENCE.match(text) or _looks_like_code(text):
        begins = [begin for begin, _ in rows]
    else:
        begins = [rows[0][0], *(begin for begin, end in rows[1:] if _MARKER.match(text[begin:end]))]
    stops = [*begins[1:], len(text)]
    return [(begin, begin + len(text[begin:end].rstrip())) for begin, end in zip(begins, stops, strict=True)]


def words(text: str, parts: int) -> list[Span]:
    """Split into about `parts` parts of equal length, between words; split a single word between characters."""
    found = [match.span() for match in _WORDS.finditer(text)]
    if len(found) <= 1:
        step = max(1, -(-len(text) // parts))
        return [(begin, min(begin + step, len(text))) for begin in range(0, len(text), step)]
    groups = [list(group) for _, group in groupby(found, key=lambda span: span[0] * parts // len(text))]
    if len(groups) == 1:  # the last word is most of the text
        groups = [found[:-1], found[-1:]]
    return [(group[0][0], group[-1][1]) for group in groups]


def belongs_to_previous(previous: str, following: str) -> bool:
    """Whether a block continues the one before: deeper indentation, or code or a list after a colon."""
    if _indentation(following) > _indentation(previous):
        return True
    return bool(_FENCE.match(following) or _MARKER.match(following)) and previous.rstrip().endswith(":")


def _lines(text: str) -> list[Span]:
    begins = [0, *(match.end() for match in re.finditer("\n", text))]
    return list(pairwise([*begins, len(text)]))


def _looks_like_code(text: str) -> bool:
    """Whether an indented block is code: prose begins with a capital and ends with a full stop or colon."""
    if not _indentation(text) or _MARKER.match(text):
        return False
    bare = text.strip()
    return not (bare[:1].isupper() or bare[:1] in "\"'(\u201c") or bare[-1:] not in {".", ":", ")", '"'}


def _indentation(block: str) -> int:
    return len(block) - len(block.lstrip(" \t"))
