"""The common model of what is read: events, folded into sections under a path of headings.

Each format is read into events, a line of text or a heading with its level, and one function folds them. Lines stay
as the format wrote them where a reader sees them so, since language models read light markup well.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

SEPARATOR = " › "  # noqa: RUF001 - between the headings of a path
LONGEST_SAMPLE = 80  # characters of hidden text that are told
LONGEST_HEADING = 300  # characters; a longer line is a paragraph, whatever its marks say

_NO_CONTENT = frozenset(
    ("", "todo", "tbd", "tba", "fixme", "wip", "coming soon", "work in progress", "placeholder", "to do", "to write",
     "to be written", "to be done", "to be defined", "to be determined", "under construction", "contents", "toc",
     "table of contents", "on this page", "references", "footnotes", "see also", "further reading", "related")
)  # fmt: skip
_WORDS = re.compile(r"[^\W_]+")
_PADDING = re.compile(r"([-=\xa0 ])\1{3,}")
_TABLE_ROW = re.compile(r"^\s*[|+]")
_NOT_IN_SLUG = re.compile(r"[^\w\- ]")


LEFT_OUT = "were left out, which no reader sees: look whether somebody planted them"
"""How a sentence about hidden text ends."""


@dataclass(frozen=True)
class Hidden:
    """How much of a document no reader would see: characters of hidden elements and invisible characters."""

    characters: int = 0
    invisible: int = 0
    sample: str = ""

    def __bool__(self) -> bool:
        return bool(self.characters or self.invisible)

    def __add__(self, other: Hidden) -> Hidden:
        sample = (self.sample or other.sample)[:LONGEST_SAMPLE]
        return Hidden(self.characters + other.characters, self.invisible + other.invisible, sample)

    def describe(self) -> str:
        """Return a sentence for the person who looks after the documents."""
        parts = []
        if self.characters:
            parts.append(f'{self.characters:,} characters of hidden text ("{self.sample}")')
        if self.invisible:
            parts.append(f"{self.invisible:,} invisible characters")
        return f"{' and '.join(parts)} {LEFT_OUT}"


@dataclass(frozen=True)
class Section:
    """A stretch of text under one heading. `heading` is a path ("A › B"), `anchor` the last heading's."""  # noqa: RUF002

    heading: str
    text: str
    anchor: str = ""


@dataclass(frozen=True)
class Event:
    """A line of text (level 0) or a heading (level 1 is the highest) with the anchor that it names itself."""

    level: int
    text: str
    anchor: str = ""


@dataclass(frozen=True)
class Outline:
    """What a reader makes of a page; `fields` is its metadata, `hidden` what no visitor would have seen."""

    title: str
    sections: list[Section]
    fields: Mapping[str, object] = field(default_factory=dict)
    hidden: Hidden = field(default_factory=Hidden)


def outline(events: Iterable[Event], title: str) -> tuple[str, list[Section]]:
    """Fold events into sections. Without a title, the page's first heading may be it (`own_title`).

    The title is left out of the paths. A heading with nothing below it becomes a line of text, and text without
    content (`has_content`) is left out.
    """
    events = list(events)
    title = title or own_title(events)
    sections: list[tuple[tuple[str, ...], str, str]] = []
    path: list[tuple[int, str, str]] = []
    lines: list[str] = []
    used: Counter[str] = Counter()

    def close(next_level: int) -> None:
        text = _trim(lines)
        names = tuple(name for _, name, _ in path)
        anchor = path[-1][2] if path else ""
        if text:
            if has_content(text):
                sections.append((names, text, anchor))
        elif path and next_level <= path[-1][0] and has_content(names[-1]):
            sections.append((names[:-1], names[-1], anchor))
        lines.clear()

    for event in events:
        if event.level == 0:
            lines.append(event.text)
            continue
        close(event.level)
        while path and path[-1][0] >= event.level:
            path.pop()
        path.append((event.level, event.text, event.anchor or _anchor(event.text, used)))
    close(0)
    return title, [
        Section(SEPARATOR.join(names[1:] if names[:1] == (title,) else names), text, anchor)
        for names, text, anchor in sections
    ]


def own_title(events: Sequence[Event]) -> str:
    """Return the heading that titles a page, or "".

    It is the first one, where nothing but quotations comes before it, where it is of the first level, or where no
    other is as high.
    """
    first = next((number for number, event in enumerate(events) if event.level), None)
    if first is None:
        return ""
    heading = events[first]
    as_high = sum(1 for event in events if 0 < event.level <= heading.level)
    above = any(event.text.strip() and not event.text.lstrip().startswith(">") for event in events[:first])
    return heading.text if not above or heading.level == 1 or as_high == 1 else ""


def has_content(text: str) -> bool:
    """Whether a text says anything: it has words, and is no mere "TODO" or title of a table of contents."""
    if len(text) > 200:
        return True
    return " ".join(_WORDS.findall(text)).lower() not in _NO_CONTENT


def single_blanks(events: Iterable[Event]) -> Iterator[Event]:
    """Yield events with one blank line where several stand in a row outside code."""
    blank, in_code = True, False
    for event in events:
        if event.text.lstrip().startswith("```"):
            in_code = not in_code
        if in_code or event.text.strip() or not blank:
            yield event
        blank = not event.text.strip() or event.level > 0


def squeeze(line: str) -> str:
    """Shorten the padding and the rules of a drawn table: they would fill the budget of its chunks."""
    return _PADDING.sub(r"\1\1\1", line) if _TABLE_ROW.match(line) else line


def _anchor(heading: str, used: Counter[str]) -> str:
    """Return the anchor that GitHub and most generators give a heading; repeated ones are numbered."""
    slug = _NOT_IN_SLUG.sub("", heading.lower()).strip().replace(" ", "-")
    number = used[slug]
    used[slug] += 1
    return f"{slug}-{number}" if number else slug


def _trim(lines: list[str]) -> str:
    """Join lines, without blank ones at either end; keep the indentation of the first."""
    text = "\n".join(line.rstrip() for line in lines)
    return text.strip("\n")
