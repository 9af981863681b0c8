"""Finds the main content of an HTML page: what is neither navigation nor banner, side bar or footer.

A page says so itself (`main`, an only `article`), or by the names of its classes, or by a block being all links;
nothing is left out that holds half of the page. An extractor such as trafilatura guesses from lengths and densities:
on 165 pages of the Rust book and Cargo's manual it lost an eighth of the words (code, tables), took four times as
long, and it brings sixteen further packages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from selectolax.lexbor import LexborHTMLParser, LexborNode

_ROLES = frozenset(("navigation", "banner", "contentinfo", "search", "dialog", "alertdialog", "menu", "menubar"))
_PLACES = (
    "nav|navbar|navigation|sidebar|sidenav|sidemenu|menu|menubar|topbar|masthead|breadcrumbs?|toc|footer|pagination"
    "|pager"
)
_OF_SITE = "site|page|global|top|main|primary|secondary|left|right|side|sub|docs?|mobile|app|sticky|local|book"
_PARTS = "menu|container|wrapper|inner|links?|list|bar|nav|left|right|top|bottom|box|content|panel|section|col|area"
_AROUND = re.compile(
    rf"(?:(?:{_OF_SITE})[-_]*)*(?:{_PLACES})(?:[-_]*(?:{_PARTS}|{_PLACES}))*"
    rf"|(?:(?:{_OF_SITE})[-_]*)+header(?:[-_]*(?:{_PARTS}))*"
    r"|(?:.*[-_])?(?:cookies?|gdpr|consent)(?:[-_]*(?:consent|banner|notice|bar|popup|modal|law|overlay|message|policy-banner))*"
    r"|cookie(?:consent|banner|notice|bar)|(?:onetrust|cybot|usercentrics|didomi|truste|osano|termly|cc-window|cc-banner).*|table-?of-?contents|skip-?(?:to-?(?:main|content)|link|nav).*"
    r"|(?:social|share)(?:[-_]*(?:links?|buttons?|bar|icons?|media|share|sharing|wrapper|post))+|share-this|(?:related|recommended)[-_]*(?:posts?|articles?|links?|pages?)"
    r"|newsletter(?:[-_]*(?:signup|form|box|banner))*|(?:ad|ads|advert|advertisement|promo)(?:[-_]*(?:banner|box|slot|bar))*"
    r"|prev-?next(?:[-_]*\w+)?|(?:article|page|post)[-_]*(?:nav|navigation|feedback|actions)|edit-?(?:this-?)?page(?:[-_]*link)?"
    r"|copyright|sphinxsidebar|related|(?:site|page)-?search|search-?(?:box|form|bar)|back-?to-?top",
    re.IGNORECASE,
)
_CONTAINERS = frozenset("div section ul ol aside form p span table header footer dl a".split())
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_LANDMARKS = frozenset(("main", "article"))
_MAIN = "main, [role=main]"


@dataclass
class _Measure:
    """What an element holds: characters of text, those in links, links, those within the page, and marks of content."""

    text: int = 0
    linked: int = 0
    links: int = 0
    inner_links: int = 0
    buttons: int = 0
    h1: int = 0
    headings: int = 0
    landmarks: int = 0


class MainContent:
    """The main content of a page, and what inside it is around the content all the same."""

    def __init__(self, tree: LexborHTMLParser) -> None:
        body = tree.body or tree.root
        assert body is not None
        self._measures = _measure(body)
        self._whole = self._of(body).text
        self._has_main = tree.css_first(_MAIN) is not None
        self.root = self._find(tree, body)

    def is_around(self, node: LexborNode, tag: str, attributes: Mapping[str, str | None]) -> bool:
        """Whether an element stands around the content: navigation, a banner, a side bar, a footer."""
        if tag not in _CONTAINERS:
            return False
        names = [*(attributes.get("class") or "").split(), attributes.get("id") or ""] if attributes else []
        held = self._of(node)
        if (
            attributes.get("role") in _ROLES
            or any(_AROUND.fullmatch(name) for name in names if name)
            or (tag == "footer" and not _inside(node, "blockquote"))
            or (tag in {"header", "aside"} and not _inside(node, "main article section blockquote"))
        ):
            return not (held.landmarks or held.text * 2 > self._whole or (tag == "header" and held.h1))
        if tag not in {"div", "ul", "ol", "p", "section"} or held.text * 2 > self._whole:
            return False
        return self._is_bar_of_links(node, held) or _asks_for_cookies(node, held)

    def _is_bar_of_links(self, node: LexborNode, held: _Measure) -> bool:
        """Whether all text is links: to places of the same page, or outside what the page names its main content."""
        if not held.links or held.linked < held.text or held.headings:
            return False
        if held.inner_links == held.links:
            return not _inside(node, "p li td dd")
        return held.links > 1 and not self._has_main and not _inside(node, "article li td p dd")

    def _find(self, tree: LexborHTMLParser, body: LexborNode) -> LexborNode:
        for selector in (_MAIN, "article", "[itemprop=articleBody], [itemprop=mainEntity]"):
            found = [each for each in tree.css(selector) if self._of(each).text * 8 >= self._whole]
            if len(found) == 1 or (found and selector == _MAIN):
                return max(found, key=lambda each: self._of(each).text)
        return body

    def _of(self, node: LexborNode) -> _Measure:
        return self._measures.get(node.mem_id) or _Measure()


def steps(root: LexborNode, skips: Callable[[LexborNode], bool]) -> Iterator[tuple[LexborNode, bool]]:
    """Yield each node where it opens and each element where it closes; what `skips` names is left out."""
    node, inside = root.child, [root]
    while node is not None or len(inside) > 1:
        if node is None:
            closed = inside.pop()
            yield closed, False
            node = closed.next
        elif node.is_text_node:
            yield node, True
            node = node.next
        elif not node.is_element_node or skips(node):
            node = node.next
        else:
            yield node, True
            inside.append(node)
            node = node.child


def _measure(body: LexborNode) -> dict[int, _Measure]:
    """Measure all elements in one walk."""
    whole = _Measure()
    measures, inside, open_links = {body.mem_id: whole}, [whole], 0
    for node, opens in steps(body, lambda each: each.tag in {"script", "style", "template", "noscript"}):
        if node.is_text_node:
            length = sum(map(len, (node.text_content or "").split()))
            inside[-1].text += length
            inside[-1].linked += length if open_links else 0
        elif opens:
            inside.append(_own(node))
            open_links += node.tag == "a"
        else:
            held = measures[node.mem_id] = inside.pop()
            open_links -= node.tag == "a"
            for name, value in vars(held).items():
                setattr(inside[-1], name, getattr(inside[-1], name) + value)
    return measures


def _own(node: LexborNode) -> _Measure:
    """Return what an element is itself."""
    tag = node.tag or ""
    if tag == "a":
        return _Measure(links=1, inner_links=(node.attributes.get("href") or "").startswith("#"))
    return _Measure(
        h1=tag == "h1", headings=tag in _HEADINGS, landmarks=tag in _LANDMARKS, buttons=tag in {"button", "input"}
    )


def _asks_for_cookies(node: LexborNode, held: _Measure) -> bool:
    """Whether a short block with a button asks for consent."""
    return 0 < held.text < 800 and held.buttons > 0 and "cookie" in node.text().lower()


def _inside(node: LexborNode, tags: str) -> bool:
    """Whether one of the next elements above has one of these names."""
    names, parent = tags.split(), node.parent
    for _ in range(50):
        if parent is None:
            return False
        if parent.tag in names:
            return True
        parent = parent.parent
    return False
