"""HTML pages: from a page to the events of its outline, in one pass over its tags.

No tree is built, which makes it almost three times as fast (docs/measurements.md): the open tags are a list of names,
and their order decides what a page says. Tags are paired as Python's own parser reports them: an end tag closes
everything opened inside, an end without a start is ignored, and a tag that is never closed ends with the page.
"""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

from batch.reading.outline import Event, Section, outline
from rag.errors import DocumentError

# Tags without sentences for a reader; `rt` and `rp` hold the pronunciation of the word beside them.
_SKIPPED = frozenset(
    ("head", "script", "style", "nav", "template", "noscript", "svg", "iframe", "object", "canvas", "button",
     "select", "textarea", "rt", "rp")
)  # fmt: skip
_SILENT = frozenset(("script", "style", "template", "rt", "rp"))
_EMPTY = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "keygen", "link", "menuitem", "meta", "param",
     "source", "track", "wbr", "basefont", "bgsound", "command", "frame", "image", "isindex", "nextid", "spacer")
)  # fmt: skip
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = frozenset(
    ("p", "div", "section", "article", "main", "header", "footer", "aside", "blockquote", "figure",
     "figcaption", "address", "details", "summary", "table", "caption", "dl", "fieldset", "form", "hr")
)  # fmt: skip


def read_html(text: str) -> tuple[str, list[Section]]:
    """Return the title and the sections of an HTML page, without its scripts, styles and navigation.

    Raises:
        DocumentError: the markup is too broken to read.
    """
    reader = _Reader()
    try:
        reader.feed(text)
        reader.close()
    except AssertionError as error:  # Python's parser gives up this way
        raise DocumentError(f"its HTML can't be read ({error}): save it again from a browser or an editor") from None
    return outline(reader.page.events, reader.title)


class _Reader(HTMLParser):
    """Tracks the open tags and passes those that matter on to the page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = _Page()
        self._open: list[str] = []
        self._times: Counter[str] = Counter()  # how often each name is open
        self._skipping: int | None = None  # how many tags were open when a skipped one began
        self._silent = 0  # how many open tags have no text for readers
        self._title: list[str] = []
        self._titled = False  # the first title has ended; an SVG has others
        self._heading: list[str] = []
        self._headings = 0

    @property
    def title(self) -> str:
        """The page's title, or its only h1 if the title contains it: the rest is then the name of the site."""
        title = " ".join("".join(self._title).split())
        heading = " ".join("".join(self._heading).split()).rstrip("¶ ")
        return heading if self._headings == 1 and heading and heading in title else title

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        if self._skipping is None and tag in _SKIPPED:
            self._skipping = len(self._open)
        if self._skipping is None:
            self.page.open(tag)
        self._open.append(tag)
        self._times[tag] += 1
        self._silent += tag in _SILENT
        self._headings += tag == "h1"
        if tag in _EMPTY:
            self._end()

    def handle_endtag(self, tag: str) -> None:
        while self._times[tag]:  # an end tag closes everything opened inside
            if self._end() == tag:
                return

    def handle_data(self, data: str) -> None:
        if self._skipping is None:
            self.page.inline.append(data)
        if self._silent:
            return
        if self._times["title"] and not self._titled:
            self._title.append(data)
        if self._times["h1"]:
            self._heading.append(data)

    def close(self) -> None:
        super().close()
        while self._open:
            self._end()
        self.page.flush()

    def _end(self) -> str:
        tag = self._open.pop()
        self._times[tag] -= 1
        self._silent -= tag in _SILENT
        self._titled = self._titled or (tag == "title" and not self._times[tag])
        if self._skipping is None:
            self.page.close(tag)
        elif self._skipping == len(self._open):
            self._skipping = None
        return tag


class _Page:
    """The events of an HTML page, and the position in its lists, tables and code."""

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
        """Write the collected inline text as one line; inside a table row or code, keep collecting."""
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
