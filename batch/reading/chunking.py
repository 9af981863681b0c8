"""Chunks: documents are cut into pieces that the embedding model can read whole.

A chunk never crosses a heading. Inside a section the text is taken apart only as far as it must be:
blocks, then lines and list items, then sentences, then words. Each piece is a span of the section, so a
chunk keeps the white space and the indentation that lay between its pieces, and nothing can get lost. A chunk
that begins inside a table repeats its header, one inside fenced code its fence.

A section that is longer than a chunk is not simply cut when the budget is full: one inserted paragraph would then
move every later cut, and every answer below it would be generated again. Among the cuts between half and all of the
budget we take the best kind (between paragraphs before between sentences) and, among equals, the one whose next piece
has the smallest checksum. So the cuts are the same again soon after an edit (content-defined chunking), at the price
of chunks that are three quarters full (docs/measurements.md).

Counting tokens is the expensive part. Each piece is counted once, a chunk's size is estimated as the sum, and one
count per chunk confirms it.
"""

from __future__ import annotations

import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from batch.formats.outline import SEPARATOR
from batch.reading.cut_points import Frame, Span, belongs_to_previous, blocks, frame, lines, words
from batch.reading.document import Document
from rag.errors import DocumentError
from rag.identity import stable_hash
from rag.links import with_anchor
from rag.retrieval.passages import StoredChunk
from rag.text.sentences import sentence_spans

# Some tokenizers turn a long unknown word into one token; a chunk has at most this many characters per token.
_CHARACTERS_A_TOKEN = 16

# How far a piece has been split, and so the kind of cut before it; best cuts first.
_SECTION, _BLOCK, _DEPENDENT_BLOCK, _LINE, _SENTENCE, _WORD = range(6)


@dataclass(frozen=True)
class Chunk:
    """A stored piece of a document.

    `position` counts from 0 within the document; `tokens` is the size of its `embedded_text`. The id
    depends on the content and not on the position, so text that is inserted above does not change it. `url` is where
    readers find it.
    """

    collection: str
    chunk_id: str
    document_id: str
    position: int
    heading: str
    text: str
    content_hash: str
    tokens: int
    url: str = ""


def embedded_text(title: str, chunk: Chunk | StoredChunk) -> str:
    """Return the text of a chunk that is embedded and ranked: title and heading, then its own text."""
    return _embedded(title, chunk.heading, chunk.text)


def chunk(
    document: Document, count_tokens: Callable[[str], int], max_tokens: int, overlap_sentences: int = 0
) -> list[Chunk]:
    """Cut a document into chunks whose `embedded_text` has at most `max_tokens`.

    `count_tokens` counts as the embedding model does, special tokens included and without truncation.
    With `overlap_sentences`, a chunk repeats that many sentences of the one before it in its section, as
    far as they fit into a third of the budget. Headings that would take half of the budget are shortened.

    Raises:
        DocumentError: the title leaves no room for any text.
    """
    gauge = _Gauge(count_tokens, max_tokens)
    chunks: list[Chunk] = []
    seen: Counter[str] = Counter()
    for section in document.sections:
        heading = gauge.shorten(document.title, section.heading)
        for text in _Cutter(document.title, heading, section.text, gauge).texts(overlap_sentences):
            digest = stable_hash(document.title, heading, text)
            chunk_id = stable_hash(document.collection, document.document_id, digest, seen[digest])
            seen[digest] += 1
            tokens = gauge.count(_embedded(document.title, heading, text))
            where = (document.collection, chunk_id, document.document_id, len(chunks))
            chunks.append(Chunk(*where, heading, text, digest, tokens, with_anchor(document.url, section.anchor)))
    return chunks


def _embedded(title: str, heading: str, text: str) -> str:
    place = " — ".join(part for part in (title, heading) if part)
    return f"{place}\n{text}" if place else text


class _Gauge:
    """Measures text against the budget. A text's size is its tokens, or follows from its length if that is absurd."""

    def __init__(self, count_tokens: Callable[[str], int], max_tokens: int) -> None:
        self.max_tokens = max_tokens
        self.count = lru_cache(maxsize=64)(count_tokens)  # the white space between pieces repeats
        self._special = count_tokens("")

    def size(self, text: str) -> int:
        at_least = len(text) // _CHARACTERS_A_TOKEN
        return at_least if at_least > self.max_tokens else max(self.count(text), at_least)

    def cost(self, text: str) -> int:
        """Return the tokens that a text adds to a chunk: its size without the special tokens."""
        return max(0, self.size(text) - self._special)

    def shorten(self, title: str, heading: str) -> str:
        """Drop outer headings until title and heading leave half of the budget."""
        parts = heading.split(SEPARATOR) if heading else []
        while parts and self.size(_embedded(title, SEPARATOR.join(parts), "")) * 2 > self.max_tokens:
            parts.pop(0)
        return SEPARATOR.join(parts)


@dataclass(frozen=True)
class _Piece:
    """A span of the section. `cost` is its size, `gap` that of the white space before it.

    `frame` is that of the block that it is a part of; `first` and `last` say whether the block begins and ends with it.
    """

    start: int
    end: int
    level: int
    cut: int
    cost: int
    gap: int
    frame: Frame | None = None
    first: bool = True
    last: bool = True

    @property
    def opens(self) -> str:
        """What a chunk that begins here repeats."""
        return "" if self.first or self.frame is None else self.frame.opens

    @property
    def closes(self) -> str:
        """What a chunk that ends here adds."""
        return "" if self.last or self.frame is None else self.frame.closes


class _Cutter:
    """Cuts the text of one section."""

    def __init__(self, title: str, heading: str, text: str, gauge: _Gauge) -> None:
        self._title, self._heading, self._text, self._gauge = title, heading, text, gauge
        self._room = gauge.max_tokens - gauge.size(_embedded(title, heading, ""))

    def texts(self, overlap: int) -> Iterator[str]:
        """Yield the texts of the section's chunks in order."""
        if self._fits(self._text):
            yield self._text
            return
        whole = _Piece(0, len(self._text), _SECTION, _SECTION, self._room + 1, 0)
        pending, previous = deque(self._divide(whole) or [whole]), 0
        while pending:
            start = pending[0].start
            opens = pending[0].opens
            lead = start if opens else self._lead(previous, start, overlap)
            taken = self._fill(pending, self._room - self._cost(lead, start) - self._frame_cost(pending[0]))
            keep = self._fitting(lead, taken, self._best_cut(taken, pending))
            if not keep and lead < start:
                lead, keep = start, self._fitting(start, taken, 1)
            pending.extendleft(reversed(taken[keep:]))
            if keep:
                yield self._text_of(lead, taken[:keep])
                previous = start
            else:
                pending.extendleft(reversed(self._divide(pending.popleft()) or self._give_up()))

    def _text_of(self, lead: int, pieces: list[_Piece]) -> str:
        return f"{pieces[0].opens}{self._text[lead : pieces[-1].end]}{pieces[-1].closes}"

    def _frame_cost(self, piece: _Piece) -> int:
        return self._gauge.cost(piece.opens + piece.frame.closes) if piece.frame and not piece.first else 0

    def _fits(self, text: str) -> bool:
        return self._gauge.size(_embedded(self._title, self._heading, text)) <= self._gauge.max_tokens

    def _fitting(self, start: int, taken: list[_Piece], keep: int) -> int:
        """Return how many of the first `keep` pieces really fit; the sum of their sizes is an estimate."""
        while keep and not self._fits(self._text_of(start, taken[:keep])):
            keep -= 1
        return keep

    def _fill(self, pending: deque[_Piece], room: int) -> list[_Piece]:
        """Take the pieces that fit; split the first that does not if the chunk would otherwise stay short."""
        taken: list[_Piece] = []
        filled = 0
        while pending:
            piece = pending[0]
            added = piece.cost + (piece.gap if taken else 0)
            if filled + added <= room:
                taken.append(pending.popleft())
                filled += added
                continue
            divisible = piece.cost > self._room or piece.level < _SENTENCE
            if taken and (not divisible or filled * (2 if piece.cost > self._room else 4) >= room):
                break
            parts = self._divide(piece) if piece.cost > self._room or taken else []
            if not parts:
                break
            pending.popleft()
            pending.extendleft(reversed(parts))
        return taken or [pending.popleft()]

    def _best_cut(self, taken: list[_Piece], pending: deque[_Piece]) -> int:
        """Return how many of the pieces make the best chunk: all of them if none follow."""
        if not pending:
            return len(taken)
        left = sum(piece.cost for piece in taken) + _cost_up_to(pending, self._room // 8)
        best, filled = (_WORD + 1, 0, len(taken)), 0
        for keep, (piece, following) in enumerate(zip(taken, [*taken[1:], pending[0]], strict=True), start=1):
            filled, left = filled + piece.cost, left - piece.cost
            enough = 4 if following.frame and following.frame.is_code and following.cut == _DEPENDENT_BLOCK else 2
            if filled * enough >= self._room and left * 8 >= self._room:
                checksum = zlib.crc32(self._text[following.start : following.end].encode())
                best = min(best, (following.cut, checksum, keep))
        return best[2]

    def _divide(self, piece: _Piece) -> list[_Piece]:
        """Split a piece one level further; return nothing for a single character."""
        text = self._text[piece.start : piece.end]
        parts = max(2, -(-piece.cost * 4 // (3 * max(1, self._room))))
        for level in (_BLOCK, _LINE, _SENTENCE, _WORD):
            if level <= piece.level < _WORD:
                continue
            spans = words(text, parts) if level == _WORD else _SPLITTERS[level](text)
            if len(spans) > 1:
                return self._pieces(piece, spans, level)
        return []

    def _pieces(self, whole: _Piece, spans: list[Span], level: int) -> list[_Piece]:
        around = whole.frame
        if level == _LINE and around is None:
            around = self._frame_of(self._text[whole.start : whole.end])
            spans = _kept_together(spans, around)
        found = []
        before, above = whole.start, ""
        for index, (begin, end) in enumerate(spans):
            start, stop = whole.start + (begin if index else 0), whole.start + end
            text = self._text[start:stop]
            cut = self._cut(before, start, above, text, level, around) if index else whole.cut
            gap = self._cost(before, start) if index else whole.gap
            first = around is None or (whole.first and not index)
            last = around is None or (whole.last and index == len(spans) - 1)
            found.append(_Piece(start, stop, level, cut, self._gauge.cost(text), gap, around, first, last))
            before, above = stop, text
        return found

    def _frame_of(self, text: str) -> Frame | None:
        """Return a block's frame, unless it would take most of a chunk."""
        found = frame(text)
        return found if found and self._gauge.cost(found.opens + found.closes) * 2 <= self._room else None

    def _cut(self, before: int, start: int, above: str, text: str, level: int, around: Frame | None) -> int:
        """Return what kind of cut lies before a piece."""
        if level == _BLOCK:
            return _DEPENDENT_BLOCK if belongs_to_previous(above, text) else _BLOCK
        if level == _LINE and around and around.is_code:  # best at a blank line, and not inside what is indented
            nested = text[:1] in {" ", "\t"}
            blank = self._text.count("\n", before, start) > 1
            return (_LINE if nested else _DEPENDENT_BLOCK) if blank else (_WORD if nested else _SENTENCE)
        return level

    def _lead(self, previous: int, start: int, overlap: int) -> int:
        """Return where a chunk begins if it repeats the last sentences before `start`."""
        spans = sentence_spans(self._text[previous:start])[-overlap:] if overlap and start else []
        for begin, _ in spans:
            if self._cost(previous + begin, start) * 3 <= self._room:
                return previous + begin
        return start

    def _cost(self, start: int, end: int) -> int:
        return self._gauge.cost(self._text[start:end]) if end > start else 0

    def _give_up(self) -> list[_Piece]:
        size, limit = self._gauge.size(_embedded(self._title, "", "")), self._gauge.max_tokens
        raise DocumentError(
            f"its title takes {size} of the {limit} tokens of a chunk: shorten it or raise [chunking] max_tokens"
        )


_SPLITTERS: dict[int, Callable[[str], list[Span]]] = {_BLOCK: blocks, _LINE: lines, _SENTENCE: sentence_spans}


def _kept_together(spans: list[Span], around: Frame | None) -> list[Span]:
    """Join the lines of a frame with the line beside them."""
    if around is None or len(spans) <= around.head + around.tail + 1:
        return spans
    head, tail = spans[: around.head + 1], spans[len(spans) - around.tail - 1 :]
    return [(head[0][0], head[-1][1]), *spans[len(head) : len(spans) - len(tail)], (tail[0][0], tail[-1][1])]


def _cost_up_to(pending: deque[_Piece], enough: int) -> int:
    total = 0
    for piece in pending:
        total += piece.cost
        if total >= enough:
            break
    return total
