"""From Markdown, HTML and plain text to an outline: sections with the path of headings above them.

Each format is read into events, a line of text or a heading with its level, and one function folds the
events. A parser of Markdown's whole grammar would bring a dependency and lose the source text; only what
decides where a document may be cut is looked at: fences, headings, front matter. The rest stays as it is,
since language models read Markdown well.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bs4 import BeautifulSoup, UnusualUsageWarning
from bs4.element import NavigableString, PageElement, Tag

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
_LONGEST_HEADING = 300  # characters; a longer line is a paragraph, whatever its marks say
_ANCHOR = re.compile(r"\s*\{#[^}]*\}$")


@dataclass(frozen=True)
class Section:
    """A stretch of text under one heading. `heading` is the path of headings ("A › B") or ""."""  # noqa: RUF002

    heading: str
    text: str


@dataclass(frozen=True)
class Event:
    """A line of text (level 0) or a heading (level 1 is the highest)."""

    level: int
    text: str


def read_markdown(text: str) -> tuple[str, list[Section]]:
    """Return the title ("" where there is none) and the sections of a Markdown document."""
    title, front = "", _FRONT_MATTER.match(text)
    if front and _FRONT_FIELD.search(front.group(2) or ""):  # else two rules with text between them
        found = _FRONT_TITLE.search(front.group(2) or "")
        title = found.group(1).strip("\"'") if found else ""
        text = text[front.end() :]
    return outline(_markdown_events(text.split("\n")), title)


def read_text(text: str) -> tuple[str, list[Section]]:
    """Return the title and the sections of plain text with underlined headings, as in reStructuredText."""
    return outline(_text_events(text.split("\n")), "")


def read_html(text: str) -> tuple[str, list[Section]]:
    """Return the title and the sections of an HTML page, without its scripts, styles and navigation."""
    with warnings.catch_warnings():  # a page that is one address, or XML, is text like any other
        warnings.simplefilter("ignore", UnusualUsageWarning)
        soup = BeautifulSoup(text, "html.parser")
    title = " ".join(soup.title.get_text().split()) if soup.title else ""
    top = [" ".join(tag.get_text().split()).rstrip("¶ ") for tag in soup.find_all("h1")]
    if len(top) == 1 and top[0] in title:  # the rest is the name of the site
        title = top[0]
    return outline(_html_events(soup), title)


def outline(events: Iterable[Event], title: str) -> tuple[str, list[Section]]:
    """Fold events into sections. Without a title, a heading that comes before all text is the title.

    The title is left out of the paths. A heading with nothing below it becomes a line of text.
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
    """Join lines without blank ones at either end; the indentation of the first one stays."""
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
    """Take the marks of emphasis, code and links off a heading."""
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
    """Shorten the padding and the rules of a drawn table: they would fill the budget of its chunks."""
    return _PADDING.sub(r"\1\1\1", line) if _TABLE_ROW.match(line) else line


def _underlined(lines: list[str], number: int) -> tuple[str, str, int]:
    """Return the heading that starts at a line, its style and its last line; the heading may be ""."""
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


_SKIPPED = frozenset(
    ("head", "script", "style", "nav", "template", "noscript", "svg", "iframe", "object", "canvas", "button",
     "select", "textarea")
)  # fmt: skip
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = frozenset(
    ("p", "div", "section", "article", "main", "header", "footer", "aside", "blockquote", "figure",
     "figcaption", "address", "details", "summary", "table", "caption", "dl", "fieldset", "form", "hr")
)  # fmt: skip


def _html_events(soup: BeautifulSoup) -> list[Event]:
    """Walk the tree without recursion: pages nested a thousand deep exist."""
    page = _Page()
    stack: list[tuple[PageElement, bool]] = [(soup, False)]
    while stack:
        node, closing = stack.pop()
        if isinstance(node, Tag):
            if closing:
                page.close(node.name)
            elif node.name not in _SKIPPED:
                page.open(node.name)
                stack.append((node, True))
                stack.extend((child, False) for child in reversed(node.contents))
        elif type(node) is NavigableString:  # its subclasses are comments, doctypes and the like
            page.inline.append(str(node))
    page.flush()
    return page.events


class _Page:
    """The events of an HTML page, and where in its lists, tables and code the walk stands."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.inline: list[str] = []
        self._lists: list[int | None] = []  # the number of the last item; None in a list without numbers
        self._prefix = ""
        self._row = self._code = 0

    def open(self, tag: str) -> None:
        if tag == "pre":
            self._break()
            self._code += 1
        elif tag == "br":
            self.inline.append("\n" if self._code else " ") if self._row or self._code else self.flush()
        elif tag in {"ul", "ol"}:
            self._break()
            self._lists.append(0 if tag == "ol" else None)
        elif tag == "li":
            self.flush()
            self._prefix = self._mark_of_item()
        elif tag in {"dt", "dd"}:
            self.flush()
            self._prefix = "  " if tag == "dd" else ""
        elif tag == "tr" and not self._code:
            self.flush()
            self._row += 1
        elif tag in _HEADINGS or tag in _BLOCKS:
            self._break()

    def close(self, tag: str) -> None:
        if tag == "pre" and self._code:
            self._end_code()
        elif tag in {"ul", "ol"} and self._lists:
            self.flush()
            self._lists.pop()
            self._prefix = ""
            self._break()
        elif tag in {"td", "th"}:
            self.inline.append(" | ")
        elif tag == "tr" and self._row:
            self._row -= 1
            self.flush()
        elif tag in _HEADINGS:
            self._end_heading(_HEADINGS[tag])
        elif tag in {"li", "dt", "dd"}:
            self.flush()
            self._prefix = ""
        elif tag in _BLOCKS:
            self._break()

    def flush(self) -> None:
        """Write the collected inline text as one line; inside a table row or code it stays collected."""
        if self._row or self._code:
            self.inline.append(" " if self._row else "")
            return
        text = " ".join("".join(self.inline).split()).removesuffix(" |")
        self.inline.clear()
        if text:
            self.events.append(Event(0, self._prefix + text))
            self._prefix = " " * len(self._prefix)

    def _break(self) -> None:
        self.flush()
        blank = not self.events or self.events[-1] == Event(0, "")
        if not (blank or self._row or self._code or self._lists):
            self.events.append(Event(0, ""))

    def _mark_of_item(self) -> str:
        if not self._lists or self._lists[-1] is None:
            return "  " * (len(self._lists) - 1) + "- "
        self._lists[-1] += 1
        return "  " * (len(self._lists) - 1) + f"{self._lists[-1]}. "

    def _end_code(self) -> None:
        self._code -= 1
        if self._code or self._row:
            return
        code = "".join(self.inline).strip("\n")
        self.inline.clear()
        lines = ["```", *code.split("\n"), "```", ""] if code.strip() else []
        self.events.extend(Event(0, line) for line in lines)

    def _end_heading(self, level: int) -> None:
        if self._row or self._code:
            self.flush()
            return
        name = " ".join("".join(self.inline).split()).rstrip("¶ ")
        self.inline.clear()
        if name:
            self.events.append(Event(level, name))
