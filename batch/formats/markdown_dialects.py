"""Turns what sites add to Markdown, line by line, into Markdown: containers, tabs, admonitions, attributes.

Docusaurus and VitePress write `:::note`, MkDocs `!!! note "Title"` and `=== "Tab"`, its block extensions `/// note`,
MyST ```` ```{note} ````. The marks go, titles stay in bold, and content that a container indents is moved back, or
Markdown would take it for code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from batch.formats.template_code import CLOSED, OPENED

_FENCE = re.compile(r"^(?:[ \t>]|[-*+][ \t]|\d{1,3}[.)][ \t])*(`{3,}(?=[^`]*$)|~{3,})(.*)$")
_COLONS = re.compile(r"^\s*:{3,}\s*(?:\{[^}]*\}|)\s*([\w-]*)\s*(?:\[(.*?)\])?\s*(\{[^}]*\})?\s*(.*?)\s*:*\s*$")
_LEAF = re.compile(r"^\s*::[\w-]+(?:\[(.*?)\])?(?:\{[^}]*\})?\s*$")
_SLASHES = re.compile(r"^\s*/{3,}\s*(?:$|([\w-]+)\s*(?:\|\s*(.*?))?\s*$)")
_SLASH_OPTION = re.compile(r"^ {4}[\w-]+: \S")
_INDENTED = re.compile(r"^(\s*)(?:!!!|\?\?\?\+?)\s*[\w -]*?(?:\"(.*)\")?\s*$|^(\s*)===[!+]?\s+\"(.*)\"\s*$")
_GONE = re.compile(
    r"^\s*(?:\[\[?_?toc_?\]\]?|--8<--.*|<<<\s*[@./].*|@(?:include|code)\b.*|\{:{1,2}[^}\n]*\}|\*\[[^\]]+\]:.*"
    r"|\[\]\(\)\s*\{[^}]*\}|\([\w.:-]+\)=|% .*|\+\+\+)\s*$",  # the last three are MyST's
    re.IGNORECASE,
)
_ALERT = re.compile(r"^(\s*>\s*)\[!(\w+)\][-+]?\s*(.*)$")
_MYST = re.compile(r"^\{([\w:-]+)\}\s*(.*)$")
_MYST_CODE = frozenset("code-block code code-cell sourcecode literalinclude parsed-literal doctest mermaid".split())
_MYST_GONE = frozenset(
    "image toctree contents tableofcontents include index raw bibliography automodule autoclass".split()
)
_MYST_TEXT = frozenset(
    "note tip warning caution danger important hint attention error admonition dropdown tab-item tab-set card grid "
    "grid-item grid-item-card seealso versionadded versionchanged deprecated details topic sidebar margin exercise "
    "solution epigraph div figure todo glossary list-table".split()
)
_HIGHLIGHT = re.compile(
    r"^\s*(?://|#|/\*|<!--|\{/\*)\s*highlight-(?:next-line|start|end)\s*(?:\*/\}?|-->)?\s*$"
)  # comments that Docusaurus takes out of code, as VitePress does with the next
_CODE_NOTE = re.compile(r"\s*(?://|#|/\*|<!--|--)\s*\[!code[^\]]*\]\s*(?:\*/|-->)?\s*$")
_MYST_COLONS = re.compile(r":{3,}\s*\{[\w:-]+\}")
_CELL_OPTION = re.compile(r"^\s*(?:#\||//\||:[\w-]+:)")
_PATHS = frozenset("figure image".split())  # what stands beside these names is no title
_LABELLED = re.compile(r"\{[\w:+-]+\}`([^`<>\n]+?)[ \t]*<[^`<>\n]+>`")  # {ref}`text <target>`
_TAB = re.compile(r"\[([^\]\n]+)\]\s*$")  # of a group of code in VitePress
_EMOJIS = {
    ":white_check_mark:": "✅", ":heavy_check_mark:": "✔", ":check:": "✔", ":x:": "❌", ":no_entry:": "⛔",
    ":negative_squared_cross_mark:": "❎", ":warning:": "⚠", ":construction:": "🚧", ":question:": "❓",
}  # fmt: skip
_SHORTCODE = re.compile("|".join(map(re.escape, _EMOJIS)))
_TITLE = re.compile(r"title\s*=\s*[\"'](.*?)[\"']")
_ATTRIBUTES = re.compile(
    r"[ \t]*\{:?[ \t]*(?:[#.][\w:.%+-]+|(?<=:)[ \t]*[\w.#-]+(?:=(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s}]+))?)"
    r"(?:[ \t]+(?:[#.][\w:.%+-]+|[\w:-]+(?:=(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s}]+))?))*[ \t]*\}"
    r"|(?<=[)`*_\]>])\{[ \t]*[\w:-]+=(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s}]+)(?:[ \t]+[^}\n]{1,200})?\}"
)
_OUTSIDE_CODE = re.compile(
    rf"(?<!`)(`+)(?!`)[\s\S]{{1,500}}?(?<!`)\1(?!`)|{_ATTRIBUTES.pattern}|\{{[\w:+-]+\}}(?=`[^`])"
)
_EMOJI = re.compile(r":(?:material|fontawesome|octicons|simple)-[\w-]+:")
_ID = re.compile(r"#([\w:.%+-]+)")


def without_attributes(text: str) -> str:
    """Return a line without attribute lists (`{#id .class}`), roles of MyST and the icons of a theme.

    Of emoji, those that say yes or no are shown.
    """
    if "{" in text:
        text = _LABELLED.sub(r"\1", text)
        text = _OUTSIDE_CODE.sub(lambda found: found.group() if found.group(1) else "", text)
    if ":" not in text:
        return text
    return _SHORTCODE.sub(lambda found: _EMOJIS[found.group()], _EMOJI.sub("", text))


def explicit_anchor(heading: str) -> str:
    """Return the anchor that a heading's attribute list names, or ""."""
    marks = _OUTSIDE_CODE.finditer(heading) if "{" in heading else ()
    found = [match.group() for match in marks if not match.group(1)]
    ids = [match.group(1) for each in found if (match := _ID.search(each))]
    return ids[-1] if ids else ""


def plain_markdown(text: str) -> str:
    """Return Markdown without containers; control characters of `template_code` are taken away too."""
    return "\n".join(_Containers().lines(text.split("\n")))


@dataclass
class _Container:
    """A container that is open: the indentation of its mark, and how far it indents its content (None: not known)."""

    indentation: int
    shift: int | None
    closed_by_mark: bool


class _Containers:
    """Follows the fences and containers that are open, line by line."""

    def __init__(self) -> None:
        self._fence = ""
        self._gone = False  # the fence is a directive's that is left out
        self._unwrapped: list[str] = []  # the fences of directives whose content is Markdown
        self._options = False  # the next lines may be options of what has just opened
        self._open: list[_Container] = []

    def lines(self, lines: list[str]) -> Iterator[str]:
        """Yield the lines that stay, each moved back as far as its containers indent it."""
        for line in lines:
            yield from self._in_code(self._moved(line)) if self._fence else self._outside_code(line)

    def _in_code(self, line: str) -> Iterator[str]:
        if _closes(line, self._fence):
            if not self._gone:
                yield line
            self._fence, self._gone, self._options = "", False, False
        elif not (self._gone or (self._options and _CELL_OPTION.match(line))):
            self._options = False
            if not ("highlight-" in line and _HIGHLIGHT.match(line)):
                yield _CODE_NOTE.sub("", line) if "[!code" in line else line

    def _outside_code(self, line: str) -> Iterator[str]:
        if CLOSED in line:
            while self._open and not self._open.pop().closed_by_mark:
                pass
            yield ""
            return
        if line.strip():
            self._settle(_width(line))
        indentation, opened = _width(line), OPENED in line
        line = self._moved(line.replace(OPENED, ""))
        yield from ["", line] if opened else self._marks(line, indentation)
        if opened:
            self._open.append(_Container(indentation, None, closed_by_mark=True))

    def _settle(self, width: int) -> None:
        """Close what a line of this indentation ends; the first line in a component tells how far it indents."""
        while self._open and not self._open[-1].closed_by_mark and width < self._open[-1].indentation + 4:
            self._open.pop()
        if self._open and self._open[-1].shift is None:
            self._open[-1].shift = max(0, width - self._open[-1].indentation)

    def _moved(self, line: str) -> str:
        shift = sum(each.shift or 0 for each in self._open)
        return line.expandtabs(4)[min(shift, _width(line)) :] if shift else line

    def _marks(self, line: str, indentation: int) -> Iterator[str]:
        bare, options = line.strip(), self._options
        self._options = False
        lead = line[: len(line) - len(line.lstrip())]
        if options and (_SLASH_OPTION.match(line) or _CELL_OPTION.match(line)):
            self._options = True
        elif self._unwrapped and bare == self._unwrapped[-1]:
            self._unwrapped.pop()
            yield ""
        elif fence := _FENCE.match(line):
            yield from self._fenced(line, fence, lead)
        elif indented := _INDENTED.match(line):
            self._open.append(_Container(indentation, 4, closed_by_mark=False))
            yield from _titled(lead, indented.group(2) or indented.group(4))
        elif bare.startswith(":::") and (colons := _COLONS.match(line)):
            attributes = colons.group(3) or (line if "title=" in line else "")
            title = _TITLE.search(attributes)
            self._options = bool(_MYST_COLONS.match(bare))
            yield from _titled(lead, colons.group(2) or (title.group(1) if title else colons.group(4)))
        elif bare.startswith("::") and (leaf := _LEAF.match(line)):
            yield from _titled(lead, leaf.group(1))
        elif bare.startswith("///") and (slashes := _SLASHES.match(line)):
            self._options = bool(slashes.group(1))
            yield from _titled(lead, slashes.group(2))
        elif alert := _ALERT.match(line):
            yield f"{alert.group(1)}**{alert.group(3)}**" if alert.group(3) else alert.group(1).rstrip()
        elif not _GONE.match(line):
            yield line

    def _fenced(self, line: str, fence: re.Match[str], lead: str) -> Iterator[str]:
        mark, info = fence.group(1), fence.group(2).strip()
        directive = _MYST.match(info)
        name = directive.group(1) if directive else ""
        if name in _MYST_TEXT:
            self._unwrapped.append(mark)
            self._options = True
            yield from _titled(lead, "" if directive is None or name in _PATHS else directive.group(2))
            return
        self._fence, self._gone, self._options = mark, name in _MYST_GONE, directive is not None
        if self._gone:
            return
        if directive and name in _MYST_CODE:
            info = directive.group(2)
        title = _TITLE.search(info) or _TAB.search(info)
        if title:
            yield from [f"{lead}**{title.group(1)}**", ""]
        language = re.match(r"\{?\s*[.=]?([\w+#.-]*)", info)
        yield line[: fence.start(2)] + (language.group(1) if language else "")


def _titled(lead: str, title: str | None) -> Iterator[str]:
    title = re.sub(r"\s*\{[^{}]*\}$", "", (title or "").replace("**", "").strip()).strip("{}")
    yield from ["", f"{lead}**{title}**", ""] if title else [""]


def _closes(line: str, fence: str) -> bool:
    bare = line.strip(" \t>")
    return len(bare) >= len(fence) and set(bare) == {fence[0]}


def _width(line: str) -> int:
    expanded = line.expandtabs(4)
    return len(expanded) - len(expanded.lstrip(" "))
