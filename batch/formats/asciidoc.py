"""From AsciiDoc to an outline, line by line.

No parser of it in Python is kept well (AsciiDoc's own is in Ruby), so what decides what a reader sees is read here:
headings, the delimiters of blocks, code, tables, lists, and inside paragraphs links and attributes
(`batch.formats.asciidoc_inline`). What a site includes from elsewhere is not there and leaves no trace.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from batch.formats.asciidoc_inline import COMPATIBLE, resolved, shown
from batch.formats.asciidoc_tables import table_rows
from batch.formats.front_matter import plain_fields, split_front_matter, text_field
from batch.formats.html import html_events
from batch.formats.outline import LONGEST_HEADING, Event, Hidden, Outline, outline, single_blanks

_HEADING = re.compile(r"^(={1,6}|#{1,6})[ \t]+(\S.*?)(?:[ \t]+\1)?[ \t]*$")
_UNDERLINE = re.compile(r"^(?:={3,}|-{3,}|~{3,}|\^{3,}|\+{3,})$")
_UNDERLINES = "=-~^+"  # of two-line titles, by their level
_ENTRY = re.compile(r"^:(!?[\w-]+!?):(?:[ \t]+(.*))?$")
_DELIMITER = re.compile(r"^(={4,}|-{4,}|\.{4,}|\*{4,}|_{4,}|\+{4,}|/{4,}|--|`{3,}[\w+-]*|[|,:!]={3,})[ \t]*$")
_ATTRIBUTES = re.compile(r"^\[(?!\[)([^\[\]]*(?:\[[^\]]*\][^\[\]]*)*)\][ \t]*$|^\[\[[^\]]*\]\][ \t]*$")
_PREPROCESSOR = re.compile(r"^(?:(ifn?def)|ifeval|endif|include)::[^\[]*\[(.*)\][ \t]*$")
_BLOCK_MACRO = re.compile(r"^([a-z][\w-]*)::(\S*)\[(.*)\][ \t]*$")
_TITLE = re.compile(r"^\.(?=[^\s.])(.+)$")
_ITEM = re.compile(r"^\s*(\*{1,6}|-|\.{1,6}|\d{1,3}\.)[ \t]+(?:\[[ xX*]\][ \t]+)?(\S.*)$")
_CALLOUT = re.compile(r"^<(\d+|\.)>[ \t]+(.*)$")
_TERM = re.compile(r"^\s*(\S.*?)(?::{2,4}|;;)(?:[ \t]+(.*))?$")
_RULE = re.compile(r"^(?:'{3,}|-{3}|\*{3}|<{3,}|toc::\[\])[ \t]*$")
_EXPLICIT_ID = re.compile(r"^\[(?:\[([\w.:-]+)|#([\w.:-]+)|[^\]]*?\bid=\"?([\w.:-]+))")
_SOURCE = re.compile(r"\[(?:source|listing|literal|,\s*\w)")
_LANGUAGE = re.compile(r"\[(?:[a-z][\w-]*)?(?:[%.#][\w%.#-]+)*,\s*([A-Za-z][\w+#-]*)(?=\s*[,\]])")
_FORMULA = re.compile(r"\[(?:stem|latexmath|asciimath)\b")
_CODE = frozenset("-.`")
_LONGEST_VALUE = 500  # characters that a definition may grow to by other attributes


def read_asciidoc(text: str, title: str = "") -> Outline:
    """Return the outline of an AsciiDoc document; the attributes of its header are metadata."""
    fields, body = split_front_matter(text)
    reader = _Reader(body.split("\n"))
    events = list(single_blanks(reader.events()))
    entries = plain_fields({name.removeprefix("page-"): value for name, value in reader.attributes.items() if value})
    fields = {**entries, **fields}
    title, sections = outline(events, title or text_field(fields, "title", "doctitle"))
    return Outline(title, sections, fields, reader.hidden)


def _preprocessed(lines: list[str]) -> Iterator[str]:
    """Yield lines without includes and conditions; what is shown under a condition stays."""
    for line in (each.rstrip() for each in lines):
        directive = _PREPROCESSOR.match(line) if "::" in line else None
        if directive is None:
            yield line
        elif directive.group(1) and directive.group(2):
            yield directive.group(2)


class _Reader:
    """Reads the lines of a document. `_pending` are the attributes of the block that comes next."""

    def __init__(self, lines: list[str]) -> None:
        self._lines, self._at = list(_preprocessed(lines)), 0
        head = [entry.groups("") for line in self._lines[:100] if (entry := _ENTRY.match(line))]
        self.attributes = {name.lower(): value.strip() for name, value in head if "!" not in name}  # a title uses them
        self.hidden = Hidden()
        self._pending = self._anchor = ""
        self._titled_already = False
        self._header = False  # the lines after the title, up to a blank one, are authors and a revision
        self._starts = True  # a block starts at the next line, so it may be a two-line title
        self._open: list[str] = []  # the delimiters of blocks that hold other blocks
        self._absent: set[str] = set()  # delimiters that close nothing any more
        self._in_list = self._in_terms = self._attached = False
        self._indent = ""  # of what belongs to the last item of a list

    def events(self) -> Iterator[Event]:
        """Yield the events of the document."""
        while self._at < len(self._lines):
            self._at += 1
            yield from self._line(self._lines[self._at - 1])

    def _line(self, line: str) -> Iterator[Event]:
        if entry := _ENTRY.match(line):
            self._define(entry)
        elif _is_comment(line) or (self._header and line):
            pass
        elif delimiter := _DELIMITER.match(line):
            yield from self._delimited(delimiter.group(1))
            self._starts = True
        elif _ATTRIBUTES.match(line):
            self._pending += line
            explicit = _EXPLICIT_ID.match(line)
            self._anchor = next(filter(None, explicit.groups()), "") if explicit else self._anchor
        elif heading := _HEADING.match(line):
            yield from self._heading(len(heading.group(1)), heading.group(2))
        elif level := self._underlined(line):
            self._at += 1
            if level == 1 and not self._titled_already:  # such a document is written in the older syntax
                self.attributes.setdefault(COMPATIBLE, "")
            yield from self._heading(level, line)
        else:
            yield from self._text(line)

    def _underlined(self, line: str) -> int:
        """Return the level of the two-line title that begins with a line; 0 where none does."""
        if not self._starts or self._open or self._at >= len(self._lines):
            return 0
        below = self._lines[self._at]
        item = _ITEM.match(line)
        if (
            not _UNDERLINE.match(below)
            or abs(len(line) - len(below)) > 1
            or line[0] in ". \t"
            or not re.search(r"\w", line)
            or _TERM.match(line)
            or (item and not item.group(1)[0].isdigit())
        ):
            return 0
        return _UNDERLINES.index(below[0]) + 1

    def _define(self, entry: re.Match[str]) -> None:
        name, value = entry.group(1), (entry.group(2) or "").strip()
        while value.endswith(" \\") and self._at < len(self._lines):
            value = f"{value.removesuffix(' +').rstrip(chr(92)).rstrip(' +')} {self._lines[self._at].strip()}"
            self._at += 1
        if name.startswith("!") or name.endswith("!"):
            self.attributes.pop(name.strip("!").lower(), None)
        else:
            self.attributes[name.lower()] = resolved(value, self.attributes, _LONGEST_VALUE)

    def _heading(self, level: int, name: str) -> Iterator[Event]:
        name = " ".join(shown(name, self.attributes).replace("`", "").replace("**", "").split())
        discrete, anchor = re.search(r"\[(?:discrete|float)", self._pending), self._anchor
        self._pending = self._anchor = ""
        self._end_list()
        self._starts = True
        if discrete or len(name) > LONGEST_HEADING:
            yield from self._titled(name)
        elif name:
            self._header = level == 1 and not self._titled_already and self._at < len(self._lines)
            self._titled_already = True
            yield Event(level, name, anchor)

    # -- paragraphs and lists ------------------------------------------------------------------------------

    def _text(self, line: str) -> Iterator[Event]:
        starts, self._starts = self._starts, not line
        pending, self._pending = self._pending, self._pending if not line else ""
        if not line:
            self._header = False
            yield Event(0, "")
        elif line == "+":
            self._attached = True
            yield Event(0, "")
        elif _RULE.match(line):
            self._end_list()
            yield Event(0, "")
        elif macro := _BLOCK_MACRO.match(line):
            yield from self._macro(macro)
        elif title := _TITLE.match(line):
            self._pending, self._starts = pending, starts
            yield from self._titled(shown(title.group(1), self.attributes))
        elif _SOURCE.match(pending):
            yield from self._source(self._until_blank(line), pending)
        elif pending.startswith("[comment"):
            self._until_blank(line)
        elif self._starts_item(line):
            yield from self._item(line)
        else:
            yield from self._paragraph(line, pending, starts=starts)

    def _starts_item(self, line: str) -> bool:
        return bool(_ITEM.match(line) or _CALLOUT.match(line) or _TERM.match(line))

    def _item(self, line: str) -> Iterator[Event]:
        self._in_list, self._attached = True, False
        item, callout, term = _ITEM.match(line), _CALLOUT.match(line), _TERM.match(line)
        if item or callout:
            lead = "  " if self._in_terms else ""
            if item:
                mark, text = item.groups()
                lead += "  " * (0 if mark[0].isdigit() else len(mark) - 1) + ("- " if mark[0] in "*-" else "1. ")
            elif callout:
                lead, text = f"{callout.group(1).replace('.', '1')}. ", callout.group(2)
            self._indent = " " * len(lead)
            yield from self._indented(self._joined(text), lead)
        elif term:
            self._in_terms, self._indent = True, "  "
            yield Event(0, shown(term.group(1), self.attributes))
            if term.group(2):
                yield from self._indented(self._joined(term.group(2)), self._indent)
            else:
                self._attached = True  # its text comes below, perhaps after a blank line

    def _paragraph(self, line: str, pending: str, *, starts: bool) -> Iterator[Event]:
        attached, self._attached = self._attached, False
        if line[0] in " \t" and starts and not attached:  # shown as it is written
            yield from (Event(0, each.expandtabs(8)) for each in self._until_blank(line))
            return
        if starts and not attached:
            self._end_list()
        text = self._joined(line)
        if "verse" in pending:
            yield from (Event(0, each.expandtabs(8)) for each in text.split("\n"))
        else:
            yield from self._indented(text, self._indent)

    def _indented(self, text: str, lead: str) -> Iterator[Event]:
        for line in text.split("\n"):
            if line.strip():
                yield Event(0, lead + line.strip())
                lead = self._indent

    def _joined(self, first: str) -> str:
        """Return the paragraph that begins with a line as a page shows it, and go on behind it."""
        lines = [first]
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if not line or line == "+" or _DELIMITER.match(line) or _ATTRIBUTES.match(line):
                break
            if self._in_list and self._starts_item(line):
                break
            self._at += 1
            if not _is_comment(line):
                lines.append(line)
        return shown("\n".join(lines), self.attributes)

    def _end_list(self) -> None:
        self._in_list = self._in_terms = self._attached = False
        self._indent = ""

    def _titled(self, name: str) -> Iterator[Event]:
        yield from (Event(0, ""), Event(0, f"**{name}**"), Event(0, "")) if name else ()

    def _macro(self, macro: re.Match[str]) -> Iterator[Event]:
        self._attached = False
        if macro.group(1) == "image" and (alt := shown(f"image:x[{macro.group(3)}]", self.attributes)):
            yield Event(0, alt)

    # -- blocks --------------------------------------------------------------------------------------------

    def _delimited(self, mark: str) -> Iterator[Event]:
        pending, self._pending = self._pending, ""
        self._attached = False
        language = mark.strip("`") if mark[0] == "`" else ""
        is_open = mark == "--" and not _SOURCE.match(pending)
        if is_open or (mark[0] in "=*_"):
            self._nest(mark)
            yield Event(0, "")
        elif (content := self._content(mark.removesuffix(language) if language else mark)) is None:
            yield Event(0, "")  # it is never closed: a mark of something else
        elif mark[0] == "/" or pending.startswith("[comment"):
            pass
        elif mark[0] == "+":
            yield from self._passed(content, pending)
        elif mark[0] in _CODE:
            yield from self._source(content, pending or f"[source,{language}]")
        else:
            yield from self._table(content, pending, mark[0])

    def _nest(self, mark: str) -> None:
        if mark in self._open:
            del self._open[self._open.index(mark) :]
        else:
            self._open.append(mark)

    def _content(self, mark: str) -> list[str] | None:
        """Return the lines up to a closing delimiter, and go on behind it; None where nothing closes."""
        end = self._at
        if mark in self._absent:
            return None
        while end < len(self._lines) and self._lines[end] != mark:
            end += 1
        if end == len(self._lines):
            self._absent.add(mark)
            return None
        content = self._lines[self._at : end]
        self._at = end + 1
        return content

    def _until_blank(self, first: str) -> list[str]:
        lines = [first]
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if not line or line == "+" or _DELIMITER.match(line):
                break
            lines.append(line)
            self._at += 1
        return lines

    def _passed(self, lines: list[str], pending: str) -> Iterator[Event]:
        """Yield what passes through to the page: HTML as its text, a formula as it is."""
        if _FORMULA.match(pending):
            yield from self._source(lines, "[source,latex]")
        else:
            events, hidden = html_events("\n".join(lines))
            self.hidden += hidden
            yield from (Event(0, event.text) for event in events)

    def _source(self, code: list[str], pending: str) -> Iterator[Event]:
        if not any(code):
            return
        found = _LANGUAGE.search(pending)
        fence = "````" if any("```" in line for line in code) else "```"
        yield Event(0, fence + (found.group(1) if found else ""))
        yield from (Event(0, line) for line in code)
        yield Event(0, fence)
        yield Event(0, "")

    def _table(self, lines: list[str], pending: str, mark: str) -> Iterator[Event]:
        rows, headed = table_rows(lines, pending, mark)
        for number, row in enumerate(rows):
            cells = [" ".join(shown(cell, self.attributes).split()) for cell in row]
            yield Event(0, f"| {' | '.join(cells)} |")
            if number == 0 and headed:
                yield Event(0, f"|{'---|' * len(row)}")
        yield Event(0, "")


def _is_comment(line: str) -> bool:
    return line.startswith("//") and not line.startswith("///")
