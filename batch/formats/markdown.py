"""From Markdown to an outline, by markdown-it-py and the lines that it found each block on.

The parser tells what a block is; its lines are taken from the source, so that emphasis, lists, tables and code stay
as they were written, which language models read well. Only where a reader sees something else (a link's text, an
image's description, an entity, a tag) is a paragraph written anew. Fences are never searched for headings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

from batch.formats.front_matter import split_front_matter, split_header_fields, text_field
from batch.formats.html import html_events
from batch.formats.inline_tags import InlineTags, is_styled_output, without_styles
from batch.formats.markdown_dialects import explicit_anchor, plain_markdown, without_attributes
from batch.formats.outline import LONGEST_HEADING, Event, Hidden, Outline, outline, squeeze
from batch.formats.template_code import without_template_code

_MARKED = re.compile(r"[\[<\\&{]|  $|:[a-z_]+:|:(?:material|fontawesome|octicons|simple)-", re.MULTILINE)
_LONGEST_PARAGRAPH = 20_000  # characters; a longer one is kept as it is written
_IMPORT = re.compile(r"^import\s[^\n]*\sfrom\s+[\"']|^[ \t]*</?[A-Z][a-z]\w*[^>\n]*>[ \t]*$", re.MULTILINE)
_CONTAINER = re.compile(r"[\s>]*$")
_DEFINITION = re.compile(r"\s*\[\^|\s*\*\[")
_PREFIX = re.compile(r"[\s>]*(?:(?:[-*+]|\d{1,9}[.)])\s+)*(?:\[[ xX]\]\s+)?")


def read_markdown(text: str, title: str = "") -> Outline:
    """Return the outline of a Markdown document; `title` where it has one already."""
    return _read(text, title, mdx=bool(_IMPORT.search(text)))


def read_mdx(text: str, title: str = "") -> Outline:
    """Return the outline of a Markdown document with components (MDX)."""
    return _read(text, title, mdx=True)


def _read(text: str, title: str, *, mdx: bool) -> Outline:
    fields, body = split_front_matter(text)
    if not fields:
        fields, body = split_header_fields(body, required="title")
    title = title or _Inline(InlineTags(), {}).heading(text_field(fields, "title"))[0]
    events, hidden = markdown_events(_home_page(fields) + body, mdx=mdx)
    title, sections = outline(events, title)
    return Outline(title or text_field(fields, "sidebar_label", "linktitle", "nav_title"), sections, fields, hidden)


def _home_page(fields: Mapping[str, object]) -> str:
    """Return as Markdown what a home page of VitePress shows of its front matter."""
    hero, features = fields.get("hero"), fields.get("features")
    hero = hero if isinstance(hero, dict) else {}
    lines = [f"# {hero['name']}"] if hero.get("name") else []
    lines += [str(hero[name]) for name in ("text", "tagline") if hero.get(name)]
    for each in features if isinstance(features, list) else []:
        if isinstance(each, dict) and each.get("title"):
            lines.append(f"- **{each['title']}**: {each.get('details', '')}".removesuffix(": "))
    return "".join(f"{line}\n\n" for line in lines)


def markdown_events(text: str, *, mdx: bool) -> tuple[list[Event], Hidden]:
    """Return the events of Markdown without front matter, and what was hidden in it."""
    text = plain_markdown(without_template_code(text, mdx=mdx))
    env: dict[str, object] = {}
    tokens = _parser(mdx).parse(text, env)
    walk = _Walk(text.split("\n"), InlineTags(), env)
    return list(walk.events(tokens)), walk.tags.hidden


@cache
def _parser(mdx: bool) -> MarkdownIt:
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    parser.core.ruler.enableOnly(["normalize", "block"])
    parser.validateLink = lambda url: True  # type: ignore[method-assign]  # noqa: ARG005 - only the text is kept
    return parser.disable("code") if mdx else parser  # there, indentation is layout


class _Walk:
    """Walks through the blocks of a document. `_next` is the first line that was not told yet."""

    def __init__(self, lines: list[str], tags: InlineTags, env: dict[str, object]) -> None:
        self._lines, self._next = lines, 0
        self._inline = _Inline(tags, env)
        self._blank = True  # whether the last line that was told is blank
        self.tags = tags

    def events(self, tokens: list[Token]) -> Iterator[Event]:
        """Yield the events of the document."""
        for event in self._all_events(tokens):
            yield event
            self._blank = not event.text.strip("> ")

    def _all_events(self, tokens: list[Token]) -> Iterator[Event]:
        for number, token in enumerate(tokens):
            if token.map is None or token.nesting < 0:
                continue
            start, end = token.map
            if start < self._next and token.type != "inline":
                continue
            if token.type == "bullet_list_open" and not token.level and self._is_contents(tokens, number):
                yield from self._skip(start, end)
            elif token.type == "heading_open":
                yield from self._heading(token, tokens[number + 1], start, end)
            elif token.type == "inline" and start >= self._next:
                yield from self._between(start)
                yield from self._paragraph(token.content, start, end)
            elif token.type == "tr_open":
                yield from self._between(start)
                yield from self._row(tokens, number, start)
            elif token.type == "html_block":
                yield from self._html(token.content, start, end)
            elif token.type in {"fence", "code_block"}:
                yield from self._code(token, start, end)
            elif token.type == "hr":
                yield from self._skip(start, end)
        yield from self._between(len(self._lines))

    def _between(self, start: int) -> Iterator[Event]:
        """Yield the lines that belong to no block: blank ones, marks of quotations, footnotes; a table's rule."""
        while self._next < start:
            line = self._lines[self._next]
            self._next += 1
            if _CONTAINER.match(line):
                if not self._blank:
                    yield Event(0, line.rstrip())
            elif (_DEFINITION.match(line) or _is_rule_of_table(line)) and not self.tags.hiding:
                yield Event(0, squeeze(line))

    def _skip(self, start: int, end: int) -> Iterator[Event]:
        yield from self._between(start)
        self._next = end
        if not self._blank:
            yield Event(0, "")

    def _as_written(self, end: int) -> Iterator[Event]:
        for line in self._lines[self._next : end]:
            yield Event(0, squeeze(line))
        self._next = end

    def _heading(self, token: Token, inline: Token, start: int, end: int) -> Iterator[Event]:
        yield from self._between(start)
        if len(inline.content) > LONGEST_HEADING:
            yield from self._as_written(end)
            return
        if "\n" in inline.content:  # a paragraph above a rule that lacks its blank line
            yield from self._paragraph(inline.content, start, end - 1)
            self._next = end
            return
        name, anchor = self._inline.heading(inline.content)
        self._next = end
        if name and not self.tags.hiding:
            if token.level:  # in a quotation or a list it divides nothing
                prefix = _PREFIX.match(self._lines[start])
                yield Event(0, f"{prefix.group() if prefix else ''}{name}")
            else:
                yield Event(int(token.tag[1]), name, anchor)

    def _paragraph(self, content: str, start: int, end: int) -> Iterator[Event]:
        if not self.tags.hiding and (not _MARKED.search(content) or len(content) > _LONGEST_PARAGRAPH):
            yield from self._as_written(end)
            return
        shown = self._inline.shown(content)
        if shown == content:
            yield from self._as_written(end)
            return
        self._next = end
        first = _prefix_of(self._lines[start], content)
        others = re.sub(r"[^\s>]", " ", first)
        yield from (
            Event(0, squeeze((others if number else first) + line)) for number, line in enumerate(_lines(shown))
        )

    def _row(self, tokens: list[Token], number: int, start: int) -> Iterator[Event]:
        cells = []
        while tokens[number].type != "tr_close":
            number += 1
            if tokens[number].type == "inline":
                cells.append(tokens[number].content)
        shown = [" ".join(self._inline.shown(cell).split()) if _MARKED.search(cell) else cell for cell in cells]
        if self.tags.hiding:
            self._next = start + 1
        elif shown == cells:
            yield from self._as_written(start + 1)
        else:
            self._next = start + 1
            yield Event(0, squeeze(f"| {' | '.join(shown)} |"))

    def _html(self, markup: str, start: int, end: int) -> Iterator[Event]:
        yield from self._between(start)
        self._next = end
        shown = self.tags.block(markup)
        if shown:
            events, hidden = html_events(shown)
            self.tags.hidden += hidden
            yield from events
            yield Event(0, "")

    def _code(self, token: Token, start: int, end: int) -> Iterator[Event]:
        yield from self._between(start)
        if self.tags.hiding:
            self._next = end
            return
        if token.type == "code_block" and (self.tags.inside or _TAG.match(token.content)):  # indented HTML
            yield from self._html(token.content, start, end)
            return
        styled = token.type == "fence" and is_styled_output(token.info, token.content)
        for line in self._lines[start:end]:
            yield Event(0, without_styles(line) if styled else line)
        self._next = end
        last = self._lines[end - 1].strip(" \t>")
        if token.type == "fence" and (
            end - start == 1 or not last.startswith(token.markup) or last.strip(token.markup[0])
        ):
            yield Event(0, token.markup)

    def _is_contents(self, tokens: list[Token], number: int) -> bool:
        """Whether a list is a table of contents: each item a link to a place of the page."""
        level, found = tokens[number].level, False
        while not (tokens[number].type == "bullet_list_close" and tokens[number].level == level):
            number += 1
            if tokens[number].type == "inline":
                found = True
                if not _LINK_INSIDE.fullmatch(tokens[number].content.strip()):
                    return False
        return found


_TAG = re.compile(
    r"\s*</?(?:div|p|section|table|tr|td|th|ul|ol|li|h[1-6]|span|a|img|br|details|summary|figure)\b", re.I
)
_LINK_INSIDE = re.compile(r"\[[^\n]{1,300}\]\(#[^()\s]*\)(?:\{[^}]*\})?(?:\s*\[[^\n]{1,300}\]\(#[^()\s]*\))*")


def _is_rule_of_table(line: str) -> bool:
    return "-" in line and not line.strip(" \t|:->")


def _prefix_of(line: str, content: str) -> str:
    """Return what stands before a paragraph on its first line: the marks of its lists and quotations."""
    first = content.split("\n", 1)[0].rstrip()
    at = line.rfind(first) if first else -1
    return line[:at] if at >= 0 else ""


def _lines(text: str) -> list[str]:
    """Return lines without those that are blank: they held a tag, and would end the paragraph."""
    return [line.strip() for line in text.split("\n") if line.strip()]


class _Inline:
    """What a reader sees of inline Markdown. `env` holds the addresses of the document's links."""

    def __init__(self, tags: InlineTags, env: dict[str, object]) -> None:
        self._tags, self._env = tags, env

    def heading(self, content: str) -> tuple[str, str]:
        """Return the words of a heading and the anchor that it names itself."""
        shown = self.shown(content, plain=True)
        return " ".join(shown.replace("`", "").replace("**", "").split()).rstrip("¶ "), explicit_anchor(content)

    def shown(self, content: str, *, plain: bool = False) -> str:
        """Return the text; emphasis and code keep their marks unless `plain`."""
        tokens: list[Token] = []
        parser = _parser(False)
        parser.inline.parse(without_attributes(content), parser, self._env, tokens)
        parts: list[str] = []
        after = ""
        for token in tokens:
            kind = token.type
            if kind == "html_inline":
                parts.append(self._tags.inline(token.content))
            elif self._tags.hiding:
                self._tags.hide(token.content)
            elif kind == "code_inline":
                parts.append(token.content if plain else _code_span(token))
            elif kind in {"softbreak", "hardbreak"}:
                parts.append("\n")
            elif kind == "image":
                parts.append(self.shown(token.content, plain=True))
            elif kind == "link_open":
                parts.append(" " if after == "link_close" else "")  # links side by side are apart on a page
            elif kind != "link_close":
                parts.append(token.content or ("" if plain else token.markup))
            after = kind
        return "".join(parts)


def _code_span(token: Token) -> str:
    padding = " " if token.content[:1] == "`" or token.content[-1:] == "`" else ""
    return f"{token.markup}{padding}{token.content}{padding}{token.markup}"
