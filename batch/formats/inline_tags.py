"""Single tags of HTML among Markdown: each stands alone there, and what it hides goes on until it is closed."""

from __future__ import annotations

import re

from batch.formats.hidden_text import hidden_passage, is_hidden
from batch.formats.outline import Hidden

_TAG = re.compile(r"<(/?)([a-zA-Z][\w:-]*)((?:[^<>\"']|\"[^\"]*\"|'[^']*')*)>")
_ATTRIBUTE = re.compile(r"([\w:-]+)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+)))?")
_MAY_HIDE = re.compile(r"hidden|style\s*=", re.IGNORECASE)
_BLOCK = re.compile(r"<(/?)(?:div|section|table|details|figure)\b", re.IGNORECASE)
_KNOWN = frozenset(
    "a abbr acronym address area article aside audio b base bdi bdo big blockquote body br button canvas "
    "caption center cite code col colgroup data datalist dd del details dfn dialog div dl dt em embed "
    "fieldset figcaption figure font footer form frame h1 h2 h3 h4 h5 h6 head header hgroup hr html i "
    "iframe img input ins kbd label legend li link main map mark menu meta meter nav nobr noscript object "
    "ol optgroup option output p param picture pre progress q rp rt ruby s samp script section select "
    "small source span strike strong style sub summary sup svg table tbody td template textarea tfoot th "
    "thead time title tr track tt u ul var video wbr path g circle rect line polygon".split()
)
_EMPTY = frozenset("area base br col embed hr img input link meta param source track wbr".split())


class InlineTags:
    """Follows what is hidden. `hiding` says whether text that comes now is; `hidden` is what was."""

    def __init__(self) -> None:
        self.hidden = Hidden()
        self._name, self._depth = "", 0
        self._open = 0

    @property
    def inside(self) -> bool:
        """Whether an element is open that an earlier block of HTML began."""
        return self._open > 0

    @property
    def hiding(self) -> bool:
        """Whether an element that hides its text is open."""
        return self._depth > 0

    def hide(self, text: str) -> None:
        """Count a text that is hidden."""
        self.hidden += hidden_passage(text)

    def inline(self, markup: str) -> str:
        """Return what a reader sees in the place of a tag among text."""
        tag = _TAG.fullmatch(markup)
        if tag is None:  # a comment, a declaration
            return ""
        name, attributes = tag.group(2).lower(), _attributes(tag.group(3))
        self._follow(tag.group(1) == "/", name, attributes)
        if self.hiding:
            return ""
        if name == "br":
            return "\n"
        if name == "img":
            return " ".join((attributes.get("alt") or "").split())
        is_placeholder = name not in _KNOWN and not attributes and not tag.group(1) and "-" not in name
        return markup if is_placeholder else ""

    def block(self, markup: str) -> str:
        """Return the part of a block of HTML that is shown, and follow what it leaves open."""
        for end in _BLOCK.findall(markup):
            self._open = max(0, self._open + (-1 if end else 1))
        if not self.hiding and not _MAY_HIDE.search(markup):
            return markup
        shown_from = 0 if not self.hiding else len(markup)
        for tag in _TAG.finditer(markup):
            hiding = self.hiding
            self._follow(tag.group(1) == "/", tag.group(2).lower(), _attributes(tag.group(3)))
            if hiding and not self.hiding and shown_from:
                self.hide(_TAG.sub(" ", markup[: tag.start()]))
                shown_from = tag.end()
        if shown_from == len(markup):
            self.hide(_TAG.sub(" ", markup))
        return markup[shown_from:]

    def _follow(self, closes: bool, name: str, attributes: dict[str, str | None]) -> None:
        if name in _EMPTY:
            return
        if self.hiding:
            if name == self._name:
                self._depth += -1 if closes else 1
        elif not closes and is_hidden(attributes):
            self._name, self._depth = name, 1


_CONSOLES = frozenset(("", "ansi", "bash", "console", "log", "sh", "shell", "shell-session", "terminal", "text"))
_STYLE = re.compile(r"<(?:font|span|u)\s[^<>\n]*(?:style|color)\s*=[^<>\n]*>", re.IGNORECASE)
_STYLING = re.compile(r"</?(?:font|span|u|b|i)\b[^<>\n]*>", re.IGNORECASE)


def is_styled_output(language: str, text: str) -> bool:
    """Whether a block of code is a terminal's output whose colours were turned into tags, as termynal shows it."""
    word = language.strip().partition(" ")[0].lower()
    return word in _CONSOLES and _STYLE.search(text) is not None


def without_styles(line: str) -> str:
    """Remove the tags of colours and weights from a line of a terminal's output."""
    return _STYLING.sub("", line)


def _attributes(text: str) -> dict[str, str | None]:
    return {name.lower(): two or one or bare for name, two, one, bare in _ATTRIBUTE.findall(text)}
