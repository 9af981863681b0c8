"""Resolves the references in an answer to the passages of its prompt.

A reference is a number in square brackets: [1], [1, 3], [2-4], also [passage 2]. One that names no passage of the
prompt is counted and removed, never shown. Passages are numbered from 1, so `argv[0]` and [0, 1, 2] are unmarked code
and stay. An answer without references lists all passages of its prompt as sources, marked as consulted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rag.retrieval.passages import Passage

_NUMBER = r"(?:passages?\s*)?\d+"
_WORD = re.compile(r"\w+")
_REFERENCE = re.compile(
    rf"[^\S\n]?\[\s*({_NUMBER}(?:\s*(?:,|;|&|and|-|\u2013)\s*{_NUMBER})*)\s*\](?!\()", re.IGNORECASE
)
_BRACKETED = re.compile(rf"\[\s*({_NUMBER}(?:\s*(?:,|;|&|and|-|\u2013)\s*{_NUMBER})*)\s*\]", re.IGNORECASE)
_WITHIN_REFERENCE = re.compile(r"[\d\s,;&\-\u2013pasgend]+", re.IGNORECASE)  # digits, separators, "passages", "and"
_RANGE = re.compile(r"(\d+)(?:\s*[-\u2013]\s*(\d+))?")
_PLAIN = re.compile(r"\[|[^\[`]+")
_BRACKETS = re.compile(r"[\[\]]|[^\[\]`]+")
_TICK_OR_LINE_END = re.compile(r"[`\n]")
_FENCE = "```"


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
    text = LinkedText(passages)
    text.feed(answer)
    return text.finish()[1]


class LinkedText:
    """Links an answer piece by piece, in time that is linear in its length; the text is the same for any pieces.

    A piece is shown as soon as nothing that follows can change it. Held back are a bracket that may still become a
    reference (`_tail`), white space before it or at the end (`_held`), and a backtick that may begin code (`_pending`).
    """

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages = passages
        self._by_number = {passage.number: passage for passage in passages}
        self._pending, self._searched = "", 0
        self._fenced = False
        self._before = ""  # the last character outside code, as the model wrote it
        self._tail: list[str] = []
        self._opened: list[tuple[int, str]] = []  # brackets of the tail: where, and the character before
        self._closed = False  # the tail ends with a reference, unless "(" follows
        self._held = ""
        self._shown: list[str] = []
        self._new: list[str] = []
        self._cited: list[int] = []
        self._unknown: list[int] = []

    def feed(self, piece: str) -> str:
        """Take a piece; return what can be shown now, of it and of what was held back."""
        self._read(self._pending + piece, final=False)
        return self._taken()

    def finish(self) -> tuple[str, Linked]:
        """Return the last piece to show and the whole answer."""
        self._read(self._pending, final=True)
        self._end_segment()
        last = self._taken()
        if self._cited:
            found = tuple(CitedPassage(self._by_number[number], "cited") for number in dict.fromkeys(self._cited))
        else:
            found = tuple(CitedPassage(passage, "consulted") for passage in self._passages)
        return last, Linked("".join(self._shown), found, len(self._unknown))

    @property
    def unknown(self) -> Sequence[int]:
        """The numbers that the text refers to and that name no passage."""
        return self._unknown

    def _taken(self) -> str:
        new = "".join(self._new)
        self._new.clear()
        if new:
            self._shown.append(new)
        return new

    def _read(self, text: str, *, final: bool) -> None:
        at, end = 0, -1
        while at < len(text):
            end = self._in_fence(text, at, final=final) if self._fenced else self._step(text, at, final=final)
            if end == at:  # the rest is undecided
                break
            at = end
        self._pending = text[at:]
        self._searched = max(0, self._searched - at)

    def _in_fence(self, text: str, at: int, *, final: bool) -> int:
        end = text.find(_FENCE, at)
        if end >= 0:
            self._fenced = False
            end += len(_FENCE)
        else:
            end = len(text) if final else at + len(text[at:].rstrip("`"))
        self._show(text[at:end])
        return end

    def _step(self, text: str, at: int, *, final: bool) -> int:
        """Read one token outside a fence; return where it ends, or `at` to wait for more."""
        if text[at] != "`":
            token = next((_BRACKETS if self._tail else _PLAIN).finditer(text, at))
            self._plain(token[0])
            return token.end()
        end = self._end_of_code(text, at, final=final)
        if end is None:
            return at
        if end == at:
            self._plain("`")
            return at + 1
        self._end_segment()
        self._fenced = text.startswith(_FENCE, at)
        self._show(text[at:end])
        return end

    def _end_of_code(self, text: str, at: int, *, final: bool) -> int | None:
        """Return where the code ends that a backtick begins (a fence: its opening), `at` if it begins none, or None."""
        if text.startswith(_FENCE, at):
            return at + len(_FENCE)
        if not final and _FENCE.startswith(text[at:]):
            return None
        found = _TICK_OR_LINE_END.search(text, max(at + 1, self._searched))
        if found is None:
            self._searched = len(text)
            return at if final else None
        return found.end() if found[0] == "`" else at

    def _plain(self, token: str) -> None:
        if self._closed:
            if token[0] == "(":  # a Markdown link
                self._flush()
            else:
                self._resolve()
        if token == "[":
            self._opened.append((len(self._tail), self._before))
            self._tail.append(token)
        elif not self._tail:
            self._show(token)
        elif token == "]":
            self._tail.append(token)
            self._closed = _BRACKETED.fullmatch("".join(self._tail[self._opened[-1][0] :])) is not None
            if not self._closed:
                self._flush()
        elif _WITHIN_REFERENCE.fullmatch(token):
            self._tail.append(token)
        else:
            self._flush()
            self._show(token)
        self._before = token[-1]

    def _resolve(self) -> None:
        """Resolve the reference at the end of the tail. Removing "[9]" from "[[9]7]" leaves another one."""
        self._closed = False
        start, before = self._opened.pop()
        reference = "".join(self._tail[start:])
        del self._tail[start:]
        numbers = _numbers(reference)
        if 0 in numbers and (before.isalnum() or len(numbers) > 1):
            self._tail.append(reference)
            self._flush()
            return
        known = [number for number in numbers if number in self._by_number]
        self._unknown += [number for number in numbers if number not in self._by_number]
        self._cited += known
        if known:
            self._tail.append(f"[{', '.join(map(str, known))}]")
            self._flush()
        elif before.isspace() and before != "\n":
            if self._tail:
                self._tail[-1] = self._tail[-1][:-1]
            else:
                self._held = self._held[:-1]

    def _end_segment(self) -> None:
        """Decide all that is undecided: code begins, which no reference spans, or the answer ends."""
        if self._closed:
            self._resolve()
        self._flush()
        self._before = ""

    def _flush(self) -> None:
        self._closed = False
        text = "".join(self._tail)
        self._tail.clear()
        self._opened.clear()
        self._show(text)

    def _show(self, text: str) -> None:
        """Show a text, but for white space at its end, and at the beginning of the answer."""
        kept = (self._held + text).rstrip()
        self._held = (self._held + text)[len(kept) :]
        if not self._new and not self._shown:
            kept = kept.lstrip()
        if kept:
            self._new.append(kept)


def _numbers(reference: str) -> list[int]:
    numbers: list[int] = []
    for match in _RANGE.finditer(reference):
        first, last = _number(match[1]), _number(match[2] or match[1])
        numbers += range(first, last + 1) if first <= last < first + 20 else [first, last]
    return numbers


def _number(digits: str) -> int:
    return int(digits) if len(digits) < 10 else 10**9  # no passage has that number, and int() rejects 5,000 digits


def references(answer: str) -> tuple[int, ...]:
    """Return the numbers of the passages that a text refers to; what `link` leaves alone is no reference."""
    text = LinkedText(())
    text.feed(answer)
    text.finish()
    return tuple(dict.fromkeys(text.unknown))


def without_references(answer: str) -> str:
    """Return an answer without its references."""
    return _REFERENCE.sub("", answer).strip()


def bare_words(answer: str) -> str:
    """Return the words of an answer in lower case, one blank apart, without its references."""
    return " ".join(_WORD.findall(without_references(answer).casefold()))


def with_blank_references(answer: str) -> str:
    """Return an answer with a blank for each reference, so that the words around it stay apart."""
    return _REFERENCE.sub(" ", answer)
