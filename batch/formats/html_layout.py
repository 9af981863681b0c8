"""Lays the elements of HTML out as lines: lists, tables, code and headings become the events of an outline."""

from __future__ import annotations

from batch.formats.outline import LONGEST_HEADING, Event

HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = frozenset(
    ("p", "div", "section", "article", "main", "header", "footer", "aside", "blockquote", "figure",
     "figcaption", "address", "details", "summary", "table", "caption", "dl", "fieldset", "form", "hr")
)  # fmt: skip


class Layout:
    """The events of a page, and where in its lists, tables and code the walk stands."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.inline: list[str] = []
        self._lists: list[int | None] = []  # the number of the last item; None in a list without numbers
        self._prefix = ""
        self._row = self._code = 0
        self._anchor = self._outer_anchor = self._language = ""

    def name_anchor(self, name: str | None, *, heading: bool) -> None:
        """Note an id: that of a heading is its anchor, one of a section or a link is its first heading's."""
        if heading:
            self._anchor, self._outer_anchor = name or self._outer_anchor, ""
        else:
            self._outer_anchor = name or self._outer_anchor

    def name_language(self, name: str) -> None:
        """Note the language of the code that is open; inside a line it has none."""
        if self._code and name not in {"text", "default", "none"}:
            self._language = name

    def open(self, tag: str) -> None:
        """Begin an element."""
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
        elif tag in HEADINGS or tag in _BLOCKS:
            self._break()

    def close(self, tag: str) -> None:
        """End an element."""
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
        elif tag in HEADINGS:
            self._end_heading(HEADINGS[tag])
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
        lines = [f"```{self._language}", *code.split("\n"), "```", ""] if code.strip() else []
        self._language = ""
        self.events.extend(Event(0, line) for line in lines)

    def _end_heading(self, level: int) -> None:
        if self._row or self._code:
            self.flush()
            return
        name = " ".join("".join(self.inline).split()).rstrip("¶ ")
        self.inline.clear()
        anchor, self._anchor = self._anchor, ""
        if name:
            self.events.append(Event(level if len(name) <= LONGEST_HEADING else 0, name, anchor))
