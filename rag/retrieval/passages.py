"""Chunks as a release stores them, and passages as a prompt shows them: small to find, large to read.

A chunk is short, so that its vector says one thing; what answers the question often stands beside it. So the best
passages are shown with the rest of their sections, nearest first, as far as a budget of tokens allows; each gets an
equal share of what is left. What the sections leave goes to further candidates: they hold the answer more often than
the text beyond the section does. A candidate that is shown already, around a better one, takes no place of its own, and
neither does one that says the same. What that gains and what it costs in prompt tokens: docs/retrieval.md.

Which passages a prompt shows follows from the ranking alone; their order in it is another choice (`in_order`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rag.identity import stable_hash
from rag.retrieval.fusion import Ranked
from rag.settings import PassageOrder

_WORD = re.compile(r"\w+")
_PLACEHOLDERS = frozenset("coming fixme here placeholder soon tba tbd todo wip xxx".split())
# The last heading of a path, behind its separator.
_CONTENTS = re.compile(
    r"(?:\A|\W )(?:(?:table of )?contents|on this page|toc|inhalt|sommaire|índice)\W*\Z", re.IGNORECASE
)
# A heading of links to elsewhere, and a block of lines that is one: short items without the end of a sentence, or a
# footnote with an address.
_ELSEWHERE = re.compile(
    r"(?:\A|\W )(?:see also|further reading|(?:read|learn) more|(?:(?:useful|external|related) )?links|"
    r"related (?:articles|content|docs|documents|guides|pages|reading|topics)|"
    r"(?:more|additional|other) resources|references|footnotes|bibliography)\W*\Z",
    re.IGNORECASE,
)
_ITEM = r"[ \t]*(?:[-*+\u2022]|\d{1,2}[.)])\s+[^.!?\n]{1,80}"
_LINKS = re.compile(rf"{_ITEM}(?:\n{_ITEM})*\Z|[ \t]*\[[^\]\n]{{1,40}}\][^\0]{{0,400}}://")
_BLANK = re.compile(r"\n[ \t]*\n\s*")
_LEAST_OVERLAP = 20  # characters; the sentences that a chunk repeats of the one before it are longer

Lookup = Callable[[str], "StoredChunk | None"]


@dataclass(frozen=True)
class StoredChunk:
    """A chunk, with the fields of its document that a citation shows.

    `previous` and `following` are the ids of its neighbours in the document: "" at its ends, and everywhere in
    releases that do not tell. `position` is its place in the document, 0 where a release does not tell. `tokens` is its
    size for the embedding model, `url` leads a reader to it, `metadata` is what of its document's is shown.
    """

    chunk_id: str
    document_id: str
    title: str
    uri: str
    heading: str
    text: str
    content_hash: str
    previous: str = ""
    following: str = ""
    tokens: int = 0
    url: str = ""
    metadata: Mapping[str, list[str]] = field(default_factory=dict)
    position: int = 0


@dataclass(frozen=True)
class Passage:
    """A retrieved chunk. `number` is its place in the prompt, from 1; `score` is that of the last ranking.

    `before` and `after` are the chunks of its section that the prompt shows around it. Citations name the chunk alone.
    """

    number: int
    chunk: StoredChunk
    score: float
    before: tuple[StoredChunk, ...] = ()
    after: tuple[StoredChunk, ...] = ()

    @property
    def shown(self) -> tuple[StoredChunk, ...]:
        """What the prompt shows, in reading order."""
        return (*self.before, self.chunk, *self.after)

    @property
    def text(self) -> str:
        """What the prompt shows, under its title and heading."""
        place = " — ".join(part for part in (self.chunk.title, self.chunk.heading) if part)
        return f"{place}\n{_joined([each.text for each in self.shown])}"

    @property
    def content_hash(self) -> str:
        """Name what the prompt shows; a chunk that is shown alone has one name everywhere."""
        shown = [each.content_hash for each in self.shown]
        return shown[0] if len(shown) == 1 else stable_hash("shown", shown)


@functools.lru_cache(4096)  # most candidates were candidates before
def gist(text: str) -> str:
    """Return the words of a text in lower case: what two texts that say the same have in common."""
    return " ".join(_WORD.findall(text.casefold()))


def says_something(chunk: StoredChunk) -> bool:
    """Return whether a chunk has content: no placeholder ("TODO ---"), no table of contents, no list of links."""
    return _says_something(chunk.heading, chunk.text)


@functools.lru_cache(4096)  # as above
def _says_something(heading: str, text: str) -> bool:
    said = (found[0] for found in _WORD.finditer(text.casefold()))  # most texts are known by their first word
    if _CONTENTS.search(heading) or all(word in _PLACEHOLDERS for word in said):
        return False
    return not (_ELSEWHERE.search(heading) and all(map(_LINKS.match, _BLANK.split(text.strip("\n")))))


def choose_passages(
    ranked: Iterable[Ranked],
    lookup: Lookup,
    count: int,
    withdrawn: Collection[str] = (),
    budget: int = 0,
) -> list[Passage]:
    """Return the best `count` candidates with what is around them, and further ones as far as the budget allows.

    A candidate is skipped if its chunk is missing, of a withdrawn document or without content, or if it repeats a text
    or is shown already.
    `budget` is in tokens of the embedding model; the best `count` are shown whatever they cost.
    """
    chosen: list[Passage] = []
    shown: set[str] = set()
    said: set[str] = set()
    for candidate in ranked:
        if len(chosen) >= count and budget <= 0:
            break
        chunk = lookup(candidate.chunk_id)
        places_left = count - len(chosen)
        if chunk is None or (places_left <= 0 and not 0 < chunk.tokens <= budget):
            continue
        if chunk.document_id in withdrawn or chunk.chunk_id in shown:
            continue
        if not says_something(chunk) or gist(chunk.text) in said:  # last, as they read the whole text
            continue
        shown.add(chunk.chunk_id)
        budget -= chunk.tokens
        passage = Passage(len(chosen) + 1, chunk, candidate.score)
        if places_left > 0:
            passage = _with_section(passage, lookup, shown, budget // places_left)
        around = [*passage.before, *passage.after]
        budget -= sum(each.tokens for each in around)
        shown.update(each.chunk_id for each in around)
        said.update(gist(each.text) for each in passage.shown)
        chosen.append(passage)
    return chosen


def in_order(passages: Sequence[Passage], order: PassageOrder) -> list[Passage]:
    """Return the passages of a prompt, best first, in the order in which it shows them, and numbered in it.

    In the order of the documents, prompts that share passages share a prefix whatever each ranks first, and a change of
    ranks alone makes no new prompt.
    """
    if order == "document":
        passages = sorted(passages, key=lambda each: (each.chunk.document_id, each.chunk.position, each.chunk.chunk_id))
    return [replace(each, number=number) for number, each in enumerate(passages, start=1)]


def _with_section(passage: Passage, lookup: Lookup, taken: Collection[str], room: int) -> Passage:
    """Add neighbours of the same section that fit into `room` tokens and are not `taken`, nearest first."""
    directions = ["following", "previous"]
    while directions:
        for direction in tuple(directions):
            beside = _beside(passage, direction, lookup)
            if (
                beside is None
                or beside.chunk_id in taken
                or beside.heading != passage.chunk.heading
                or beside.tokens > room
            ):
                directions.remove(direction)
                continue
            room -= beside.tokens
            if direction == "following":
                passage = replace(passage, after=(*passage.after, beside))
            else:
                passage = replace(passage, before=(beside, *passage.before))
    return passage


def _beside(passage: Passage, direction: str, lookup: Lookup) -> StoredChunk | None:
    chunk_id = passage.shown[-1].following if direction == "following" else passage.shown[0].previous
    return lookup(chunk_id) if chunk_id else None


def _joined(texts: Sequence[str]) -> str:
    """Join the chunks of a section; the sentences that one repeats of the one before it are shown once."""
    whole = texts[0]
    for text in texts[1:]:
        whole += text[n:] if (n := _overlap(whole, text)) else f"\n\n{text}"
    return whole


def _overlap(text: str, following: str) -> int:
    longest = min(len(text), len(following))
    return next((n for n in range(longest, _LEAST_OVERLAP, -1) if text.endswith(following[:n])), 0)
