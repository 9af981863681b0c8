"""Resolves the references in an answer to the passages of its prompt.

A reference is a number in square brackets: [1], [1, 3], [2-4], also [passage 2]. One that names no passage of the
prompt is counted and removed, never shown. Passages are numbered from 1, so `argv[0]` and [0, 1, 2] are unmarked code
and stay. An answer without references lists all passages of its prompt as sources, marked as consulted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rag.retrieval.passages import Passage

_NUMBER = r"(?:passages?\s*)?\d+"
_REFERENCE = re.compile(
    rf"[^\S\n]?\[\s*({_NUMBER}(?:\s*(?:,|;|&|and|-|\u2013)\s*{_NUMBER})*)\s*\](?!\()", re.IGNORECASE
)
_RANGE = re.compile(r"(\d+)(?:\s*[-\u2013]\s*(\d+))?")
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)  # an unclosed fence runs to the end


@dataclass(frozen=True)
class CitedPassage:
    """A source of an answer. `kind` is cited (the answer refers to it) or consulted (it was only in the prompt)."""

    passage: Passage
    kind: str


@dataclass(frozen=True)
class Linked:
    """An answer with its references resolved. `invalid` counts those that name no passage of the prompt."""

    text: str
    citations: tuple[CitedPassage, ...]
    invalid: int


def link(answer: str, passages: Sequence[Passage]) -> Linked:
    """Resolve an answer's references to the passages of its prompt. Code in backticks is left alone."""
    by_number = {passage.number: passage for passage in passages}
    cited: list[int] = []
    invalid = 0

    def resolve(match: re.Match[str]) -> str:
        nonlocal invalid
        numbers = _numbers(match[1])
        glued = match[0][0] == "[" and match.string[match.start() - 1 : match.start()].isalnum()
        if 0 in numbers and (glued or len(numbers) > 1):
            return match[0]
        known = [number for number in numbers if number in by_number]
        invalid += len(numbers) - len(known)
        cited.extend(known)
        space = match[0][: match[0].index("[")]
        return f"{space}[{', '.join(map(str, known))}]" if known else ""

    text, previous = answer.strip(), None
    while text != previous:  # removing "[9]" from "[[9]7]" leaves another reference
        previous, text = text, _outside_code(text, resolve)
    if cited:
        found = tuple(CitedPassage(by_number[number], "cited") for number in dict.fromkeys(cited))
    else:
        found = tuple(CitedPassage(passage, "consulted") for passage in passages)
    return Linked(text.strip(), found, invalid)


def _outside_code(text: str, resolve: Callable[[re.Match[str]], str]) -> str:
    pieces: list[str] = []
    end = 0
    for code in _CODE.finditer(text):
        pieces += [_REFERENCE.sub(resolve, text[end : code.start()]), code[0]]
        end = code.end()
    pieces.append(_REFERENCE.sub(resolve, text[end:]))
    return "".join(pieces)


def _numbers(reference: str) -> list[int]:
    numbers: list[int] = []
    for match in _RANGE.finditer(reference):
        first, last = _number(match[1]), _number(match[2] or match[1])
        numbers += range(first, last + 1) if first <= last < first + 20 else [first, last]
    return numbers


def _number(digits: str) -> int:
    return int(digits) if len(digits) < 10 else 10**9  # no passage has that number, and int() rejects 5,000 digits


def without_references(answer: str) -> str:
    """Return an answer without its references."""
    return _REFERENCE.sub("", answer).strip()


def with_blank_references(answer: str) -> str:
    """Return an answer with a blank for each reference, so that the words around it stay apart."""
    return _REFERENCE.sub(" ", answer)
