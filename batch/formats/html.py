"""From an HTML page to an outline: its main content, as a reader sees it.

The page is parsed by selectolax (lexbor), as a browser parses it: what is not closed or not opened costs no text, and
3.6 MB take a fraction of a second. Which part of it is the main content is told by `batch.formats.main_content`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

from batch.formats.hidden_text import hidden_passage, hiding_rules, is_hidden
from batch.formats.html_layout import HEADINGS, Layout
from batch.formats.main_content import MainContent, steps
from batch.formats.outline import Event, Hidden, Outline, outline
from rag.errors import DocumentError

# Tags without sentences for a reader; `rt` and `rp` hold the pronunciation of the word beside them.
_SKIPPED = frozenset(
    ("head", "script", "style", "nav", "template", "noscript", "svg", "iframe", "object", "canvas", "button",
     "select", "textarea", "rt", "rp", "video", "audio", "dialog", "math-field")
)  # fmt: skip
_DEEPEST = 10_000
_OPENING = re.compile(r"<(/?)(?:div|span|section|article|blockquote|ul|ol|dl|table|details|form|font|center)\b", re.I)
_LANGUAGE = re.compile(r"(?:^|\s)(?:lang(?:uage)?|highlight(?:-source)?|brush:)-?\s?([\w+#-]+)")
# What a page says about itself to people; most other names are for browsers and robots.
_META_FIELDS = frozenset(
    ("description", "author", "date", "keywords", "product", "version", "docsearch:version", "audience",
     "last-modified", "last_modified", "modified", "revised", "dcterms.modified", "article:modified_time",
     "article:published_time")
)  # fmt: skip


def read_html(text: str, title: str = "") -> Outline:
    """Return the outline of an HTML page; `title` where it has one already.

    Raises:
        DocumentError: it is nested as no page is.
    """
    tree = _parse(text)
    content = MainContent(tree)
    walk = _Walk(frozenset().union(*(hiding_rules(style.text()) for style in tree.css("style"))), content)
    walk.read(content.root)
    title, sections = outline(walk.layout.events, title or _title(tree, content.root))
    return Outline(title, sections, _fields(tree), walk.hidden)


def html_events(markup: str) -> tuple[list[Event], Hidden]:
    """Return the events of a fragment, all of it, and what was hidden in it."""
    body = _parse(markup).body
    if body is None:
        return [], Hidden()
    walk = _Walk(frozenset())
    walk.read(body)
    return walk.layout.events, walk.hidden


def _parse(text: str) -> LexborHTMLParser:
    depth = deepest = 0
    for tag in _OPENING.finditer(text):
        depth += -1 if tag.group(1) else 1
        deepest = max(deepest, depth)
    if deepest > _DEEPEST:
        raise DocumentError(f"its elements are nested {deepest:,} deep: save it anew from a browser or an editor")
    return LexborHTMLParser(text)


@dataclass
class _Walk:
    """Walks through a tree in the order of its text; no recursion, since a page may be nested a thousand deep."""

    rules: frozenset[str]
    content: MainContent | None = None  # without it, navigation and its like stay
    layout: Layout = field(default_factory=Layout)
    hidden: Hidden = field(default_factory=Hidden)

    def read(self, root: LexborNode) -> None:
        """Tell the layout of all elements below `root` and of their text."""
        for node, opens in steps(root, self._skips):
            if node.is_text_node:
                self.layout.inline.append(node.text_content or "")
                continue
            tag = node.tag or ""
            if opens:
                self._open(node, tag)
            elif tag != "p" or node.child is not None:  # a browser makes an empty one of an end without a beginning
                self.layout.close(tag)
                if tag == "a" and node.next is not None and node.next.tag == "a":
                    self.layout.inline.append(" ")
        self.layout.flush()

    def _open(self, node: LexborNode, tag: str) -> None:
        if tag == "img":
            alt = " ".join((node.attributes.get("alt") or "").split())
            self.layout.inline.append(f" {alt} " if alt else "")
        elif tag != "p" or node.child is not None:
            self.layout.open(tag)
            if tag in HEADINGS or tag in {"a", "section"}:
                self.layout.name_anchor(node.attributes.get("id"), heading=tag in HEADINGS)
            elif tag in {"pre", "code"} and (language := _LANGUAGE.search(node.attributes.get("class") or "")):
                self.layout.name_language(language.group(1))

    def _skips(self, node: LexborNode) -> bool:
        tag = node.tag or ""
        if tag in _SKIPPED:
            return True
        attributes = node.attributes
        if attributes and is_hidden(attributes, self.rules):
            self.hidden += hidden_passage(node.text(separator=" "))
            return True
        return self.content is not None and self.content.is_around(node, tag, attributes)


def _title(tree: LexborHTMLParser, root: LexborNode) -> str:
    """Return the only h1 of the main content, or the heading that the page's title begins with, or the title.

    A title holds the site's name too, and on some sites the only h1 does.
    """
    inside, everywhere = root.css("h1"), tree.css("h1")
    title = next((_words(each) for each in tree.css("title") if each.parent is None or each.parent.tag != "svg"), "")
    if len(inside) == 1 and (heading := _words(inside[0])):
        return heading
    headings = [_words(each) for each in (*everywhere[:1], *root.css("h1, h2")[:1])]
    return next((each for each in headings if each and title.casefold().startswith(each.casefold())), title)


def _words(node: LexborNode) -> str:
    return " ".join(node.text().split()).rstrip("¶# ")


def _fields(tree: LexborHTMLParser) -> dict[str, object]:
    fields: dict[str, object] = {}
    for meta in tree.css("meta[name], meta[property]"):
        name = (meta.attributes.get("name") or meta.attributes.get("property") or "").lower()
        content = meta.attributes.get("content")
        if name in _META_FIELDS and content:
            fields[name] = " ".join(content.split())
    canonical = tree.css_first("link[rel=canonical]")
    if canonical is not None and canonical.attributes.get("href"):
        fields["canonical"] = canonical.attributes["href"]
    language = tree.root.attributes.get("lang") if tree.root is not None else None
    return fields | ({"lang": language} if language else {})
