"""Outlines: from Markdown and plain text to sections with the path of headings above them.

Each format is read into events (a line of text, or a heading with its level), and one function folds the events.
A full Markdown parser would add a dependency and lose the source text; only what decides where a document may be cut
is parsed: fences, headings, front matter. The rest stays as it is, since language models read Markdown well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

SEPARATOR = " › "  # noqa: RUF001 - between the headings of a path

_FRONT_MATTER = re.compile(r"\A(---|\+\+\+)[ \t]*\n(.*?\n)?(?:\1|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_FIELD = re.compile(r"^[\w\"'][^\n:=]*[:=]|^\[.+\]\s*$", re.MULTILINE)
_FRONT_TITLE = re.compile(r"^title\s*[:=]\s*(.+?)\s*$", re.MULTILINE | re.IGNORECASE)
_FENCE = re.compile(r"^\s*(`{3,}(?=[^`]*$)|~{3,})")
_ATX = re.compile(r"^ {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_SETEXT = re.compile(r"^ {0,3}(={2,}|-{3,})[ \t]*$")
_NOT_A_PARAGRAPH = re.compile(r"^(?: {4}|\t|\s*(?:[-*+>|#]|\d+[.)])(?:\s|$))")
_UNDERLINE = re.compile(r"^([=\-~*^\"+#'`:._])\1{2,}$")
_TABLE_ROW = re.compile(r"^\s*[|+]")
_PADDING = re.compile(r"([-=\xa0 ])\1{3,}")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()]*\)")
_LONGEST_HEADING = 300  # characters; a longer line is a paragraph, whatever its markup
_ANCHOR = re.compile(r"\s*\{#[^}]*\}$")


@dataclass(frozen=True)
class Section:
    """The text under one heading; `heading` is the path of headings ("A › B") or ""."""  # noqa: RUF002

    heading: str
    text: str


@dataclass(frozen=True)
class Event:
    """A line of text (level 0) or a heading (level 1 is the highest)."""

    level: int
    text: str


def read_markdown(text: str) -> tuple[str, list[Section]]:
    """Return the title ("" if there is none) and the sections of a Markdown document."""
    title, front = "", _FRONT_MATTER.match(text)
    if front and _FRONT_FIELD.search(front.group(2) or ""):  # otherwise it is text between two rules
        found = _FRONT_TITLE.search(front.group(2) or "")
        title = found.group(1).strip("\"'") if found else ""
        text = text[front.end() :]
    return outline(_markdown_events(text.split("\n")), title)


def read_text(text: str) -> tuple[str, list[Section]]:
    """Return the title and the sections of plain text with underlined headings, as in reStructuredText."""
    return outline(_text_events(text.split("\n")), "")


def outline(events: Iterable[Event], title: str) -> tuple[str, list[Section]]:
    """Fold events into sections. Without a title, a heading before all text becomes the title.

    Paths don't include the title. A heading with nothing below it becomes a line of text.
    """
    sections: list[tuple[tuple[str, ...], str]] = []
    path: list[tuple[int, str]] = []
    lines: list[str] = []

    def close(next_level: int) -> None:
        text = _trim(lines)
        names = tuple(name for _, name in path)
        if text:
            sections.append((names, text))
        elif path and next_level <= path[-1][0]:
            sections.append((names[:-1], names[-1]))
        lines.clear()

    for event in events:
        if event.level == 0:
            lines.append(event.text)
            continue
        close(event.level)
        if not title and not sections and not path:
            title = event.text
        while path and path[-1][0] >= event.level:
            path.pop()
        path.append((event.level, event.text))
    close(0)
    return title, [
        Section(SEPARATOR.join(names[1:] if names[:1] == (title,) else names), text) for names, text in sections
    ]


def _trim(lines: list[str]) -> str:
    """Join lines, without blank ones at either end; keep the indentation of the first."""
    text = "\n".join(line.rstrip() for line in lines)
    return text.strip("\n")


def _markdown_events(lines: list[str]) -> Iterator[Event]:
    fence, above, underline_next = "", "", False
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        short = len(line) <= _LONGEST_HEADING
        opening, heading = _FENCE.match(line), _ATX.match(line) if short else None
        if fence:
            yield Event(0, line)
            fence = "" if _closes(line, fence) else fence
        elif underline_next:
            above, underline_next = "", False
            continue
        elif opening:
            yield Event(0, line)
            fence = opening.group(1)
        elif heading:
            name = _plain(heading.group(2) or "")
            yield Event(len(heading.group(1)) if name else 0, name)
            above = ""
            continue
        elif short and not above and line.strip() and _SETEXT.match(below) and not _NOT_A_PARAGRAPH.match(line):
            yield Event(1 if "=" in below else 2, _plain(line))
            underline_next = True
        else:
            yield Event(0, _squeeze(line))
        above = line.strip()


def _closes(line: str, fence: str) -> bool:
    bare = line.strip()
    return len(bare) >= len(fence) and set(bare) == {fence[0]}


def _plain(heading: str) -> str:
    """Strip the markup of emphasis, code and links from a heading."""
    text = _LINK.sub(r"\1", _ANCHOR.sub("", heading.strip()))
    return " ".join(text.replace("`", "").replace("**", "").split())


def _text_events(lines: list[str]) -> Iterator[Event]:
    levels: list[str] = []  # the styles of underlines, in the order in which they appear
    skip = -1
    for number, line in enumerate(lines):
        if number <= skip:
            continue
        name, underline, end = _underlined(lines, number)
        if name:
            if underline not in levels:
                levels.append(underline)
            yield Event(levels.index(underline) + 1, name)
            skip = end
        else:
            yield Event(0, _squeeze(line))


def _squeeze(line: str) -> str:
    """Shorten the padding and the rules of a drawn table, which would fill its chunks."""
    return _PADDING.sub(r"\1\1\1", line) if _TABLE_ROW.match(line) else line


def _underlined(lines: list[str], number: int) -> tuple[str, str, int]:
    """Return the heading that starts at a line ("" if none does), its style and its last line."""
    if number and lines[number - 1].strip() and not _UNDERLINE.match(lines[number - 1].rstrip()):
        return "", "", number
    rows = [row.rstrip() for row in lines[number : number + 3]] + ["", ""]
    if _UNDERLINE.match(rows[0]) and rows[0] == rows[2] and len(rows[2]) >= len(rows[1].strip()) > 0:
        return rows[1].strip(), "overlined " + rows[0][0], number + 2
    is_heading = (
        rows[0][:1].strip()
        and len(rows[0]) <= _LONGEST_HEADING
        and not _UNDERLINE.match(rows[0])
        and _UNDERLINE.match(rows[1])
        and len(rows[1]) >= len(rows[0])
    )
    return (rows[0], rows[1][0], number + 1) if is_heading else ("", "", number)
