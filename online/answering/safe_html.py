"""Writes the Markdown of answers as HTML that is safe to show, whoever wrote it: a model, a document, a team.

markdown-it reads the text with raw HTML off, so tags in it are text. What it found is written here, from a closed list
of elements and attributes, and every text is escaped: that is the sanitiser, and one after it (nh3) would find nothing
to remove. A link leads to the web, to an address for mail or to a number, or only its label is shown. Pictures are
their descriptions, since loading one would tell its site who reads. `[1]` is a reference to a source.

Importing markdown-it takes 50 ms of the service's start; an answer of 1,000 characters takes 1 to 2 ms.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from html import escape

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

# Headings begin below those of the pages that show an answer.
_ELEMENTS = {name: name for name in "p ul ol li blockquote hr thead tbody tr th td strong em s".split()} | {
    "h1": "h3", "h2": "h4", "h3": "h5", "h4": "h6", "h5": "h6", "h6": "h6",
}  # fmt: skip
_MARK = re.compile(r"\[([0-9]+(?:, [0-9]+)*)\](?!\()")
_LEADS_OUT = re.compile(r"https?://[^\s/]|mailto:[^\s@]+@|tel:\+?[0-9]", re.IGNORECASE)
_BARE_ADDRESS = re.compile(r"https?://[^\s<>\"'`\]]+", re.IGNORECASE)
_BREAK = re.compile(r"&lt;br ?/?&gt;", re.IGNORECASE)  # models write them in cells of tables
_NOT_ITS_END = ".,;:!?*_…。、"
_ALIGNED = {"text-align:right": "right", "text-align:center": "center"}


def safe_html(text: str, sources: Collection[int], prefix: str = "source-") -> str:
    """Return the Markdown of an answer as HTML.

    A reference to one of the `sources` becomes a link to the element `<prefix><number>`; without a prefix it is text.
    """
    return "".join(_block(_reader.parse(text), frozenset(sources) if prefix else frozenset(), prefix))


class _Reader(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802, ARG002 - its name in markdown-it
        """Accept any link: what becomes of it is decided when it is written."""
        return True


def _reference(state: StateInline, silent: bool) -> bool:
    """Read `[1]` and `[1, 2]`, which Markdown would leave as text."""
    found = _MARK.match(state.src, state.pos, state.posMax) if state.src[state.pos] == "[" else None
    if found is None or silent:  # silent: the label of a link is being skipped, and may hold brackets
        return False
    state.push("reference", "", 0).content = found[1]
    state.pos = found.end()
    return True


def _new_reader() -> _Reader:
    reader = _Reader("commonmark", {"html": False, "maxNesting": 20})
    reader.enable(["table", "strikethrough"])
    # A line of dashes ends a section or begins a list; `[1]: …` would swallow a source's reference.
    reader.disable(["lheading", "reference", "html_block", "html_inline"])
    reader.inline.ruler.before("link", "source_reference", _reference)
    return reader


_reader = _new_reader()


def _block(tokens: Sequence[Token], sources: Collection[int], prefix: str) -> Iterator[str]:
    for token in tokens:
        if token.type == "inline":
            yield from _inline(token.children or [], sources, prefix)
        elif token.type in ("fence", "code_block"):
            code = escape(token.content.rstrip("\n"), quote=False)
            yield f'<pre tabindex="0"><code>{code}</code></pre>'
        elif token.tag == "table":
            yield '<div class="scroll" tabindex="0"><table>' if token.nesting == 1 else "</table></div>"
        elif not token.hidden:
            yield _tag(token)


def _inline(tokens: Sequence[Token], sources: Collection[int], prefix: str) -> Iterator[str]:
    links: list[bool] = []  # of the links that are open, whether they are written
    for token in tokens:
        if token.type == "link_open":
            address = str(token.attrs.get("href", ""))
            links.append(_LEADS_OUT.match(address) is not None and not any(links))
            yield _link(address) if links[-1] else ""
        elif token.type == "link_close":
            yield "</a>" if links.pop() else ""
        elif token.type == "reference":
            yield f"[{_numbers(token.content, () if any(links) else sources, prefix)}]"
        elif token.type == "code_inline":
            yield f"<code>{escape(token.content, quote=False)}</code>"
        elif token.type in ("softbreak", "hardbreak"):
            yield "<br>"
        elif token.type in ("text", "image"):
            text = escape(token.content, quote=False) if any(links) else _with_links(token.content)
            yield _BREAK.sub("<br>", text)
        else:
            yield _tag(token)


def _tag(token: Token) -> str:
    """Write the tag of an element; what is not on the list is shown as its text."""
    name = _ELEMENTS.get(token.tag)
    if name is None:
        return escape(token.content, quote=False)
    if token.nesting < 0:
        return f"</{name}>"
    attribute = ""
    if name == "ol" and (start := str(token.attrs.get("start", ""))).isdecimal():
        attribute = f' start="{start}"'
    elif name in ("th", "td") and (aligned := _ALIGNED.get(str(token.attrs.get("style", "")))):
        attribute = f' class="{aligned}"'
    return f"<{name}{attribute}>"


def _link(address: str) -> str:
    return f'<a href="{escapeHtml(address)}" rel="noopener noreferrer nofollow">'


def _numbers(numbers: str, sources: Collection[int], prefix: str) -> str:
    known = {str(each) for each in sources}
    return ", ".join(
        f'<a class="reference" href="#{prefix}{each}">{each}</a>' if each in known else each
        for each in numbers.split(", ")
    )


def _with_links(text: str) -> str:
    """Escape a text; the web addresses in it become links."""
    written, end = [], 0
    for found in _BARE_ADDRESS.finditer(text):
        address = _trimmed(found[0])
        if not _LEADS_OUT.match(address):
            continue
        written += [
            escape(text[end : found.start()], quote=False),
            _link(address),
            escape(address, quote=False),
            "</a>",
        ]
        end = found.start() + len(address)
    return "".join([*written, escape(text[end:], quote=False)])


def _trimmed(address: str) -> str:
    """Return a bare address without what belongs to the sentence around it."""
    while address:
        shorter = address.rstrip(_NOT_ITS_END)
        if shorter.endswith(")") and shorter.count(")") > shorter.count("("):
            shorter = shorter[:-1]
        if shorter == address:
            break
        address = shorter
    return address
