"""From plain text with underlined headings to an outline."""

from __future__ import annotations

import re
from collections.abc import Iterator

from batch.formats.front_matter import split_header_fields, text_field
from batch.formats.outline import LONGEST_HEADING, Event, Outline, outline, squeeze

_UNDERLINE = re.compile(r"^([=\-~*^\"+#'`:._])\1{2,}$")


def read_text(text: str, title: str = "") -> Outline:
    """Return the outline of plain text; a header with a `Title:` field is metadata."""
    fields, body = split_header_fields(text, required="title")
    title, sections = outline(_text_events(body.split("\n")), title or text_field(fields, "title"))
    return Outline(title, sections, fields)


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
            yield Event(0, squeeze(line))


def _underlined(lines: list[str], number: int) -> tuple[str, str, int]:
    """Return the heading that starts at a line, its style and its last line; the heading may be ""."""
    if number and lines[number - 1].strip() and not _UNDERLINE.match(lines[number - 1].rstrip()):
        return "", "", number
    rows = [row.rstrip() for row in lines[number : number + 3]] + ["", ""]
    if _UNDERLINE.match(rows[0]) and rows[0] == rows[2] and len(rows[2]) >= len(rows[1].strip()) > 0:
        return rows[1].strip(), "overlined " + rows[0][0], number + 2
    is_heading = (
        rows[0][:1].strip()
        and len(rows[0]) <= LONGEST_HEADING
        and not _UNDERLINE.match(rows[0])
        and _UNDERLINE.match(rows[1])
        and len(rows[1]) >= len(rows[0])
    )
    return (rows[0], rows[1][0], number + 1) if is_heading else ("", "", number)
