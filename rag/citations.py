"""From an answer's references to chunks that were in its prompt, and how much of it they bear out.

A reference is a number in square brackets: [1], [1, 3], [2-4], also [passage 2]. One that names no passage
of the prompt is counted and removed from the text, never shown. An answer that refers to nothing has all
passages of its prompt as sources, marked as consulted.

Support is the share of the answer's content words that stand in its passages, the least supported sentence
weighing as much as the whole: a lexical measure, cheap enough for every answer and deliberately blind to
fluency. It does not see a negation; what it is for is to find answers that come from elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rag.lexical_index import words
from rag.retrieval import Passage

_REFERENCE = re.compile(r"\s?\[(?:passages?\s*)?(\d+(?:\s*(?:,|;|and|-|\u2013)\s*\d+)*)\](?!\()", re.IGNORECASE)
_RANGE = re.compile(r"(\d+)(?:\s*[-\u2013]\s*(\d+))?")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class Citation:
    """A source of an answer. `kind` is cited (the answer refers to it) or consulted (it was in the prompt)."""

    passage: Passage
    kind: str


@dataclass(frozen=True)
class Linked:
    """An answer with its references resolved. `invalid` counts those that named no passage of the prompt."""

    text: str
    citations: tuple[Citation, ...]
    invalid: int


def link(answer: str, passages: Sequence[Passage]) -> Linked:
    """Resolve an answer's references against the passages of its prompt. Code in backticks is left alone."""
    by_number = {passage.number: passage for passage in passages}
    cited: list[int] = []
    invalid = 0

    def resolve(match: re.Match[str]) -> str:
        nonlocal invalid
        numbers = _numbers(match[1])
        known = [number for number in numbers if number in by_number]
        invalid += len(numbers) - len(known)
        cited.extend(known)
        space = " " if match[0][0].isspace() else ""
        return f"{space}[{', '.join(map(str, known))}]" if known else ""

    text = _outside_code(answer.strip(), resolve)
    if cited:
        found = tuple(Citation(by_number[number], "cited") for number in dict.fromkeys(cited))
    else:
        found = tuple(Citation(passage, "consulted") for passage in passages)
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
        first, last = int(match[1]), int(match[2] or match[1])
        numbers += range(first, last + 1) if first <= last < first + 20 else [first]
    return numbers


def support(answer: str, passages: Sequence[Passage]) -> float:
    """Return the share of an answer that its passages bear out, from 0 to 1; 0 for an empty answer."""
    known = {word for passage in passages for word in words(f"{passage.chunk.title} {passage.chunk.text}")}
    bare = _REFERENCE.sub(" ", answer)
    shares = [
        sum(word in known for word in found) / len(found)
        for sentence in _SENTENCE.split(bare)
        if len(found := words(sentence)) >= 3
    ]
    everything = words(bare)
    if not everything:
        return 0.0
    whole = sum(word in known for word in everything) / len(everything)
    return round((whole + min(shares, default=whole)) / 2, 4)
