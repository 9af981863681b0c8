"""Cut points: where a text may be split into blocks, lines, sentences and words, each level inside the one before.

A fenced block and a table have a frame: the lines that a chunk which begins or ends inside repeats, so that code stays
code and each row keeps its header.

Every function takes a text and returns spans in order; between the spans there is only white space.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import groupby, pairwise

_FENCE = re.compile(r"((?:[ \t>]|[-*+][ \t]|\d{1,3}[.)][ \t])*)(`{3,}(?=[^`\n]*(?:\n|\Z))|~{3,})")
_MARKER = re.compile(r"[ \t]*(?:[-*+\u2022]|\d{1,3}[.)])[ \t]|[ \t]*[|+]")
_COMMAS = "\u3001\uff0c\uff1a\uff1b"  # of Chinese and Japanese, whose words no space divides
_WORDS = re.compile(rf"[^\s{_COMMAS}]*[{_COMMAS}]+|[^\s{_COMMAS}]+")

_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-*:?[ \t]*)+$")

_NOT_IN_LEAD = re.compile(r"[^\s>]")  # the mark of an item, which stands only before its first line

Span = tuple[int, int]


@dataclass(frozen=True)
class Frame:
    """What a chunk that begins inside a block has before its text, and one that ends inside after it.

    `head` and `tail` are how many of the block's lines are never cut off from the line beside them.
    """

    opens: str
    closes: str
    head: int
    tail: int

    @property
    def is_code(self) -> bool:
        """Whether it is the frame of fenced code."""
        return bool(self.closes)


def frame(text: str) -> Frame | None:
    """Return the frame of a block of fenced code or of a table with a header; None for other blocks."""
    text = text.strip("\n")
    first, *others = text.split("\n")
    fence = _FENCE.match(first)
    if fence:
        lead, mark = fence.groups()
        closed = bool(others) and _closes(others[-1], mark)
        return Frame(f"{first}\n", f"\n{re.sub(_NOT_IN_LEAD, ' ', lead)}{mark}", 1, 1 if closed else 0)
    if others and _is_rule(first, others[0]):
        return Frame(f"{first}\n{others[0]}\n", "", 2, 0)
    return Frame(f"{first}\n", "", 1, 0) if _has_cells(text) else None


def blocks(text: str) -> list[Span]:
    """Split at blank lines and around fenced code and tables. A span begins with its first line's indentation."""
    spans: list[Span] = []
    start, fence, table, quoted = None, "", False, False
    found = _lines(text)
    for (begin, end), (after, stop) in zip(found, [*found[1:], (len(text), len(text))], strict=True):
        line = text[begin:end]
        if fence and quoted and not line.lstrip().startswith(">"):  # a quotation ends with its code
            spans += [(start, begin)] if start is not None else []
            start, fence = None, ""
        opening = None if fence else _FENCE.match(line)
        ends_table = table and "|" not in line
        begins_table = not (fence or table) and "|" in line and _is_rule(line, text[after:stop])
        if start is not None and not fence and (not line.strip() or opening or begins_table or ends_table):
            spans.append((start, begin))
            start = None
        if fence:
            if _closes(line, fence) and start is not None:
                spans.append((start, end))
                start, fence = None, ""
        elif line.strip() and start is None:
            start = begin
        table = begins_table or (table and not ends_table)
        if opening:
            fence, quoted = opening.group(2), ">" in opening.group(1)
    if start is not None:
        spans.append((start, len(text)))
    return [(begin, begin + len(text[begin:end].rstrip())) for begin, end in spans]


def lines(text: str) -> list[Span]:
    """Split a list at its items, a table at its rows and code at its lines; prose stays whole."""
    rows = [(begin, end) for begin, end in _lines(text) if text[begin:end].strip()]
    if not rows:
        return []
    has_header = len(rows) > 1 and _is_rule(*(text[begin:end].rstrip("\n") for begin, end in rows[:2]))
    if _FENCE.match(text) or _looks_like_code(text) or has_header or _has_cells(text):
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
        begins = range(0, len(text), step)
        letters = [0, *(begin for begin in begins[1:] if not unicodedata.combining(text[begin]))]
        return list(pairwise([*(letters if len(letters) > 1 else begins), len(text)]))
    groups = [list(group) for _, group in groupby(found, key=lambda span: span[0] * parts // len(text))]
    if len(groups) == 1:  # the last word is most of the text
        groups = [found[:-1], found[-1:]]
    return [(group[0][0], group[-1][1]) for group in groups]


def belongs_to_previous(previous: str, following: str) -> bool:
    """Whether a block continues the one before: deeper indentation, or code or a list after a colon."""
    if _indentation(following) > _indentation(previous):
        return True
    return bool(_FENCE.match(following) or _MARKER.match(following)) and previous.rstrip().endswith(":")


def _closes(line: str, fence: str) -> bool:
    bare = line.strip(" \t\r\n>")
    return len(bare) >= len(fence) and set(bare) == {fence[0]}


def _is_rule(line: str, following: str) -> bool:
    """Whether the line that follows is the rule between the header and the rows of a table."""
    return "|" in line and "-" in following and len(following) < 2000 and bool(_RULE.match(following.rstrip()))


def _has_cells(text: str) -> bool:
    """Whether each line of a text has cells, as the rows of a table without drawn borders."""
    rows = text.strip("\n").split("\n")
    return len(rows) > 2 and all(" | " in row and not row.lstrip().startswith("|") for row in rows)


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
