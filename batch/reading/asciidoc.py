"""From AsciiDoc to an outline, line by line.

No parser of it in Python is kept well (AsciiDoc's own is in Ruby), so what decides what a reader sees is read here:
headings, the delimiters of blocks, code, tables, lists, and inside lines links and attributes
(`batch.reading.asciidoc_inline`). What a site includes from elsewhere is not there and leaves no trace.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from batch.reading.asciidoc_inline import resolved, shown
from batch.reading.front_matter import plain_fields, split_front_matter, text_field
from batch.reading.outline import LONGEST_HEADING, Event, Outline, outline, single_blanks

_HEADING = re.compile(r"^(={1,6}|#{1,6})[ \t]+(\S.*?)(?:[ \t]+\1)?[ \t]*$")
_ENTRY = re.compile(r"^:(!?[\w-]+!?):(?:[ \t]+(.*))?$")
_DELIMITER = re.compile(r"^(={4,}|-{4,}|\.{4,}|\*{4,}|_{4,}|\+{4,}|/{4,}|--|`{3,}[\w+-]*|[|,:!]={3,})[ \t]*$")
_ATTRIBUTES = re.compile(r"^\[(?!\[)([^\[\]]*(?:\[[^\]]*\][^\[\]]*)*)\][ \t]*$|^\[\[[^\]]*\]\][ \t]*$")
_CONDITION = re.compile(r"^(?:ifn?def|ifeval|endif)::[^\[]*\[(.*)\][ \t]*$")
_BLOCK_MACRO = re.compile(r"^([a-z][\w-]*)::(\S*)\[(.*)\][ \t]*$")
_TITLE = re.compile(r"^\.(?=[^\s.])(.+)$")
_ITEM = re.compile(r"^\s*(\*{1,6}|-|\.{1,6}|\d{1,3}\.)[ \t]+(?:\[[ xX*]\][ \t]+)?(\S.*)$")
_CALLOUT = re.compile(r"^<(\d+|\.)>[ \t]+(.*)$")
_TERM = re.compile(r"^\s*(\S.*?)(?::{2,4}|;;)(?:[ \t]+(.*))?$")
_RULE = re.compile(r"^(?:'{3,}|-{3}|\*{3}|<{3,}|toc::\[\])[ \t]*$")
_CELL = re.compile(r"(?:^|(?<=\s))(?:\d*(?:\.\d+)?[+*])?[<^>.]{0,3}[aehlmsdv]?\|")
_HEADED = re.compile(r"%header|options\s*=\s*\"?[^\"]*header|opts\s*=\s*\"?[^\"]*header")
_COLUMNS = re.compile(r"cols\s*=\s*(?:\"([^\"]*)\"|([^\s,\]]+))")
_EXPLICIT_ID = re.compile(r"^\[(?:\[([\w.:-]+)|#([\w.:-]+)|[^\]]*?\bid=\"?([\w.:-]+))")
_CODE = frozenset("-.`")


def read_asciidoc(text: str, title: str = "") -> Outline:
    """Return the outline of an AsciiDoc document; the attributes of its header are metadata."""
    fields, body = split_front_matter(text)
    reader = _Reader(body.split("\n"))
    events = list(single_blanks(reader.events()))
    entries = plain_fields({name.removeprefix("page-"): value for name, value in reader.attributes.items() if value})
    fields = {**entries, **fields}
    title, sections = outline(events, title or text_field(fields, "title"))
    return Outline(title, sections, fields)


class _Reader:
    """Reads the lines of a document. `_pending` are the attributes of the block that comes next."""

    def __init__(self, lines: list[str]) -> None:
        self._lines, self._at = lines, 0
        head = [entry.groups("") for line in lines[:100] if (entry := _ENTRY.match(line.rstrip()))]
        self.attributes = {name.lower(): value.strip() for name, value in head if "!" not in name}  # a title uses them
        self._pending = self._anchor = ""
        self._header = False  # the lines after the title, up to a blank one, are authors and a revision

    def events(self) -> Iterator[Event]:
        """Yield the events of the document."""
        while self._at < len(self._lines):
            line = self._lines[self._at].rstrip()
            self._at += 1
            yield from self._line(line)

    def _line(self, line: str) -> Iterator[Event]:
        entry, condition = _ENTRY.match(line), _CONDITION.match(line)
        if entry:
            self._define(entry)
        elif condition:
            if condition.group(1) and not line.startswith("ifeval"):
                yield from self._line(condition.group(1))
        elif (line.startswith("//") and not line.startswith("///")) or (self._header and line):
            pass
        elif delimiter := _DELIMITER.match(line):
            yield from self._delimited(delimiter.group(1))
        elif _ATTRIBUTES.match(line):
            self._pending += line
            explicit = _EXPLICIT_ID.match(line)
            self._anchor = next(filter(None, explicit.groups()), "") if explicit else self._anchor
        elif heading := _HEADING.match(line):
            yield from self._heading(heading)
        else:
            yield from self._text(line)

    def _define(self, entry: re.Match[str]) -> None:
        name, value = entry.group(1), (entry.group(2) or "").strip()
        while value.endswith(" \\") and self._at < len(self._lines):
            value = f"{value.removesuffix(' +').rstrip(chr(92)).rstrip(' +')} {self._lines[self._at].strip()}"
            self._at += 1
        if name.startswith("!") or name.endswith("!"):
            self.attributes.pop(name.strip("!").lower(), None)
        else:
            self.attributes[name.lower()] = resolved(value, self.attributes)

    def _heading(self, heading: re.Match[str]) -> Iterator[Event]:
        marks, name = heading.groups()
        name = " ".join(shown(name, self.attributes).replace("`", "").replace("**", "").split())
        discrete, anchor = re.search(r"\[(?:discrete|float)", self._pending), self._anchor
        self._pending = self._anchor = ""
        if discrete or len(name) > LONGEST_HEADING:
            yield from self._titled(name)
        elif name:
            self._header = len(marks) == 1 and self._at < len(self._lines)
            yield Event(len(marks), name, anchor)

    def _text(self, line: str) -> Iterator[Event]:
        pending, self._pending = self._pending, self._pending if not line else ""
        if not line:
            self._header = False
            yield Event(0, "")
        elif _RULE.match(line) or line == "+":
            yield Event(0, "")
        elif macro := _BLOCK_MACRO.match(line):
            if macro.group(1) == "image" and (alt := shown(f"image:x[{macro.group(3)}]", self.attributes)):
                yield Event(0, alt)
        elif title := _TITLE.match(line):
            self._pending = pending
            yield from self._titled(shown(title.group(1), self.attributes))
        elif re.match(r"\[(?:source|listing|literal)\b", pending):
            yield from self._source(self._until_blank(line), pending)
        elif item := _ITEM.match(line):
            mark, text = item.groups()
            depth = 0 if mark[0].isdigit() else len(mark) - 1
            yield Event(0, "  " * depth + ("- " if mark[0] in "*-" else "1. ") + shown(text, self.attributes))
        elif callout := _CALLOUT.match(line):
            yield Event(0, f"{callout.group(1).replace('.', '1')}. {shown(callout.group(2), self.attributes)}")
        elif term := _TERM.match(line):
            yield Event(0, shown(term.group(1), self.attributes))
            if term.group(2):
                yield Event(0, "  " + shown(term.group(2), self.attributes))
        else:
            yield Event(0, shown(line, self.attributes))

    def _titled(self, name: str) -> Iterator[Event]:
        yield from (Event(0, ""), Event(0, f"**{name}**"), Event(0, "")) if name else ()

    # -- blocks --------------------------------------------------------------------------------------------

    def _delimited(self, mark: str) -> Iterator[Event]:
        pending, self._pending = self._pending, ""
        if mark[0] in "/+":
            self._content(mark)
        elif mark[0] in _CODE and mark != "--":
            language = mark.strip("`")
            close = mark.removesuffix(language) if mark[0] == "`" else mark
            yield from self._source(self._content(close), pending or f"[source,{language}]")
        elif mark.endswith("==="):
            if mark[0] == "=":
                yield Event(0, "")
            else:
                yield from self._table(self._content(mark), pending, mark[0])
        elif mark == "--" and re.match(r"\[(?:source|listing)\b", pending):
            yield from self._source(self._content(mark), pending)
        else:
            yield Event(0, "")

    def _content(self, mark: str) -> list[str]:
        """Return the lines up to a closing delimiter, and go on behind it."""
        start = self._at
        while self._at < len(self._lines) and self._lines[self._at].rstrip() != mark:
            self._at += 1
        content = self._lines[start : self._at]
        self._at += 1
        return content

    def _until_blank(self, first: str) -> list[str]:
        lines = [first]
        while self._at < len(self._lines) and self._lines[self._at].strip():
            lines.append(self._lines[self._at])
            self._at += 1
        return lines

    def _source(self, lines: list[str], pending: str) -> Iterator[Event]:
        code = [line.rstrip() for line in lines if not re.match(r"^(?:include|ifn?def|endif|ifeval)::", line)]
        if not any(line.strip() for line in code):
            return
        found = re.search(r"\[(?:source|,)(?:%[\w%]+)?,?\s*([\w+#-]*)", pending)
        fence = "````" if any("```" in line for line in code) else "```"
        yield Event(0, fence + (found.group(1) if found else ""))
        yield from (Event(0, line) for line in code)
        yield Event(0, fence)
        yield Event(0, "")

    def _table(self, lines: list[str], pending: str, mark: str) -> Iterator[Event]:
        filled = [number for number, line in enumerate(lines) if line.strip()]
        if not filled:
            return
        first = filled[0]
        if mark == "|":
            cells = _cells(lines)
            in_first = len(_CELL.findall(lines[first]))
        else:
            rows = [re.split(rf"\s*{re.escape(mark)}\s*", line.strip()) for line in lines if line.strip()]
            cells, in_first = [cell for row in rows for cell in row], len(rows[0])
        width = _width(pending) or in_first or 1
        blank_below = first + 1 < len(lines) and not lines[first + 1].strip() and in_first == width
        headed = bool(_HEADED.search(pending)) or (blank_below and "%noheader" not in pending)
        texts = [" ".join(shown(cell, self.attributes).split()) for cell in cells]
        for number in range(0, len(texts), width):
            yield Event(0, f"| {' | '.join(texts[number : number + width])} |")
            if number == 0 and headed:
                yield Event(0, f"|{'---|' * width}")
        yield Event(0, "")


def _cells(lines: list[str]) -> list[str]:
    """Return the cells of a table; each begins behind a "|"."""
    cells: list[str] = []
    for line in lines:
        if re.match(r"^(?:-{4,}|\.{4,}|ifn?def::|endif::|include::|//|\[[^\]]*\]$)", line.strip()):
            continue
        marks = list(_CELL.finditer(line.replace("\\|", "\\\x04")))
        before = line[: marks[0].start()] if marks else line
        if cells and before.strip():
            cells[-1] += f" {before.strip()}"
        stops = [*(mark.start() for mark in marks[1:]), len(line)][: len(marks)]
        for mark, stop in zip(marks, stops, strict=True):
            text = line[mark.end() : stop].strip().replace("\\|", "|")
            copies = re.match(r"(\d+)\*", mark.group())
            cells += [text] * (min(int(copies.group(1)), 50) if copies else 1)
    return cells


def _width(pending: str) -> int:
    """Return how many columns a table's attributes give it; 0 where they don't say."""
    columns = _COLUMNS.search(pending)
    if not columns:
        return 0
    width = 0
    for part in re.split(r"[,;]", (columns.group(1) or columns.group(2)).strip()):
        copies = re.match(r"\s*(\d+)\*", part)
        width += min(int(copies.group(1)), 50) if copies else 1
    return width
