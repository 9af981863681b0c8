"""What the FAQ page shows of an answer, as data; the templates write the HTML and escape it.

A model's text is not trusted. No part of it is ever HTML: it becomes paragraphs, blocks of code, code within a
line, strong words and references to its sources, and nothing else, by the rules below. `static/faq.js` has the
same rules for text that streams; tests/online/routes/answer_texts.json holds both to the same cases.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from online.http.schemas import Answer, Citation

# A fence begins and ends on a line of its own; one that is cut off runs to the end.
_FENCE = re.compile(r"^[ \t]*```[^\n`]*\n([\s\S]*?)(?:^[ \t]*```[ \t]*$|(?![\s\S]))", re.MULTILINE)
_PARAGRAPHS = re.compile(r"\n[ \t]*\n\s*")
_INLINE = re.compile(
    r"`([^`\n]+)`|\[([0-9]+(?:, [0-9]+)*)\]|(?<![a-zA-Z0-9_*])\*\*(?!\s)([^*\n]+)(?<!\s)\*\*(?![a-zA-Z0-9_*])"
)

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
# What would end a script element, or a line of it, is written as JSON's own escapes.
_SCRIPT_ENDS = re.compile("[<>&\u2028\u2029]")


@dataclass(frozen=True)
class Span:
    """A piece of a paragraph. The text of a `reference` is the number of a source."""

    kind: Literal["text", "code", "strong", "reference"]
    text: str


@dataclass(frozen=True)
class Block:
    """A paragraph, or a block of code, which is one span."""

    kind: Literal["paragraph", "code"]
    spans: tuple[Span, ...]


def blocks(text: str, sources: Collection[int]) -> list[Block]:
    """Split an answer into what can be shown of it; `sources` are the numbers that references may name."""
    found: list[Block] = []
    end = 0
    for fence in _FENCE.finditer(text):
        found += _paragraphs(text[end : fence.start()], sources)
        found.append(Block("code", (Span("text", fence[1].rstrip("\n")),)))
        end = fence.end()
    return found + _paragraphs(text[end:], sources)


def _paragraphs(text: str, sources: Collection[int]) -> list[Block]:
    parts = (part.strip() for part in _PARAGRAPHS.split(text))
    return [Block("paragraph", tuple(_spans(part, sources))) for part in parts if part]


def _spans(text: str, sources: Collection[int]) -> list[Span]:
    spans: list[Span] = []
    end = 0
    for match in _INLINE.finditer(text):
        spans.append(Span("text", text[end : match.start()]))
        code, numbers, strong = match.groups()
        if numbers:
            spans += _references(numbers, sources)
        else:
            spans.append(Span("code", code) if code else Span("strong", strong))
        end = match.end()
    spans.append(Span("text", text[end:]))
    return [span for span in spans if span.text]


def _references(numbers: str, sources: Collection[int]) -> list[Span]:
    known = {str(number) for number in sources}
    spans = [Span("text", "[")]
    for number in numbers.split(", "):
        spans += [Span("reference" if number in known else "text", number), Span("text", ", ")]
    return [*spans[:-1], Span("text", "]")]


def answer_blocks(answer: Answer) -> list[Block]:
    """Split an answer by its own sources."""
    return blocks(answer.answer, {each.number for each in answer.citations})


def badge(answer: Answer) -> str:
    """Return in a few words how an answer was made."""
    if answer.source == "live":
        return "Written live"
    by_origin = {"curated": "Written by the team", "edited": "Prepared, edited by the team"}
    return by_origin.get(answer.origin, "Prepared")


def declined_title(answer: Answer) -> str:
    """Return the title of what is told instead of an answer."""
    return "No reliable answer" if answer.source == "unreliable" else "Not answered here"


def age(seconds: int) -> str:
    """Return an age in words."""
    for unit, name in ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        if seconds >= unit:
            count = seconds // unit
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "just now"


class Sourced(Protocol):
    """A source of an answer, of a citation or of a review."""

    @property
    def url(self) -> str:
        """Where readers find it, or ""."""

    @property
    def uri(self) -> str:
        """Where it was read from, or ""."""

    @property
    def document_id(self) -> str:
        """The id of its document."""


def address(source: Sourced) -> str:
    """Return where a source is found: its link, else where it was read from."""
    return source.url or source.uri or source.document_id


def shown_metadata(source: Citation) -> list[str]:
    """Return the metadata that a citation shows, a field each."""
    return [f"{name}: {', '.join(values)}" for name, values in source.metadata.items()]


def is_web_address(uri: str) -> bool:
    """Whether a visitor can follow a document's address; others are shown as text."""
    return re.match(r"https?://[^\s/]", uri, re.IGNORECASE) is not None


def structured_data(answers: Sequence[Answer]) -> str:
    """Return schema.org's FAQPage as JSON-LD, safe inside a script element whatever an answer says."""
    questions = [
        {"@type": "Question", "name": each.question, "acceptedAnswer": {"@type": "Answer", "text": each.answer}}
        for each in answers
    ]
    page = {"@context": "https://schema.org", "@type": "FAQPage", "mainEntity": questions}
    return _SCRIPT_ENDS.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(page, ensure_ascii=False))
