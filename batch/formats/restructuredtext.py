"""From reStructuredText to an outline, by docutils.

Only its parser is run: the transforms that make links, numbers and tables of contents are for other outputs. What
Sphinx and others add is read without them: a role is its text, a directive is its content
(`batch.formats.rst_directives`). Nothing is included, nothing is written to a terminal.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from docutils import nodes, utils
from docutils.frontend import get_default_settings
from docutils.parsers.rst import Parser, states

from batch.formats.front_matter import plain_fields, split_front_matter, split_header_fields, text_field
from batch.formats.outline import LONGEST_HEADING, Event, Outline, outline
from batch.formats.plain_text import read_text
from batch.formats.rst_directives import register_directives
from batch.formats.rst_roles import read_role

_LONGEST_LINE, _LONGEST_TEXT = 5_000, 1_500_000  # characters
_MARKS_IN_A_ROW = re.compile(r"[*`|_\[<]{500}")
_SUBSTITUTION = re.compile(r"^[ \t]*\.\. \|([^|\n]+)\|", re.MULTILINE)


def read_restructuredtext(text: str, title: str = "") -> Outline:
    """Return the outline of a document; a field list at its head is metadata."""
    fields, body = split_front_matter(text)
    header, body = split_header_fields(body)
    fields |= header
    if not _is_written_by_a_person(body):  # docutils takes minutes for such
        page = read_text(body, title or text_field(fields, "title"))
        return Outline(page.title, page.sections, fields)
    walk = _Walk({name.lower(): "" for name in _SUBSTITUTION.findall(body)})
    events = walk.events(_parse(body))
    fields = {**walk.fields, **fields}
    title, sections = outline(events, title or text_field(fields, "title"))
    return Outline(title, sections, fields)


def is_restructuredtext(text: str) -> bool:
    """Whether a text without a telling name is reStructuredText: it has directives, roles or targets."""
    return bool(_TELLING.search(text[:100_000]))


_TELLING = re.compile(
    r"^[ \t]*\.\. (?:[\w-]+(?::[\w-]+){0,2}::|_[^\n]+:[ \t]*$)|:(?:[\w-]{1,30}:){1,2}`[^`\n]+`", re.MULTILINE
)


def _is_written_by_a_person(text: str) -> bool:
    """Whether a text is neither endless nor the same few marks and lines again and again."""
    lines = text.split("\n")
    if len(text) > _LONGEST_TEXT or _MARKS_IN_A_ROW.search(text) or max(map(len, lines)) > _LONGEST_LINE:
        return False
    return len(lines) < 2000 or len({line for line in lines if line.strip()}) * 20 > len(lines)


_SETTINGS = {
    "report_level": 5, "halt_level": 6, "warning_stream": False, "file_insertion_enabled": False, "raw_enabled": False,
    "syntax_highlight": "none", "line_length_limit": 2 * _LONGEST_LINE,
}  # fmt: skip


def _parse(text: str) -> nodes.document:
    settings = get_default_settings(Parser)
    for name, value in _SETTINGS.items():
        setattr(settings, name, value)
    document = utils.new_document("document", settings)
    register_directives(text)
    inliner = states.Inliner()
    inliner.interpreted = read_role  # type: ignore[assignment,method-assign] # a subclass would lose its parent's patterns
    Parser(inliner=inliner).parse(text, document)
    return document


class _Walk:
    """Writes the nodes of a document as events. `_indent` stands before each line."""

    def __init__(self, substitutions: dict[str, str]) -> None:
        self.fields: dict[str, object] = {}
        self._events: list[Event] = []
        self._level = 0
        self._substitutions = substitutions  # an image or raw HTML stands for no text

    def events(self, document: nodes.document) -> list[Event]:
        """Return the events of a document."""
        for definition in document.findall(nodes.substitution_definition):
            for name in definition["names"]:
                self._substitutions[name.lower()] = definition.astext()
        self._blocks(document, "")
        return self._events

    def _blocks(self, parent: nodes.Element, indent: str, first: str | None = None) -> None:
        """Write what is in an element; the first line begins with `first`, the others with `indent`."""
        for child in parent.children:
            if isinstance(child, nodes.Element):
                lead = indent if first is None else first
                before = len(self._events)
                self._block(child, indent, lead)
                first = first if len(self._events) == before else None

    def _block(self, node: nodes.Element, indent: str, lead: str) -> None:
        writer = _WRITERS.get(type(node).__name__)
        if writer:
            writer(self, node, indent, lead)
        elif not isinstance(node, nodes.Invisible | nodes.system_message):
            if any(isinstance(each, nodes.Text) for each in node.children):
                self._paragraph(node, indent, lead)
            else:
                self._blocks(node, indent, lead if lead != indent else None)

    def _line(self, text: str) -> None:
        self._events.append(Event(0, text))

    def _blank(self) -> None:
        if self._events and self._events[-1].text and not self._events[-1].level:
            self._line("")

    def _section(self, node: nodes.Element, _indent: str, _lead: str) -> None:
        self._level += 1
        title = node.next_node(nodes.title)
        for child in node.children:
            if child is title:
                name = " ".join(self._inline(child, plain=True).split())
                if name and len(name) <= LONGEST_HEADING:
                    ids = [each for each in node["names"] if each != name.lower()]
                    self._events.append(Event(self._level, name, ids[-1].replace(" ", "-") if ids else ""))
                else:
                    self._line(name)
            elif isinstance(child, nodes.Element):
                self._block(child, "", "")
        self._level -= 1

    def _paragraph(self, node: nodes.Element, indent: str, lead: str) -> None:
        text = self._inline(node).strip("\n")
        if not text.strip():
            return
        for number, line in enumerate(text.split("\n")):
            self._line((indent if number else lead) + line.strip())
        if not isinstance(node.parent, nodes.list_item) or len(node.parent.children) > 1:
            self._blank()

    def _heading_line(self, node: nodes.Element, _indent: str, lead: str) -> None:
        name = self._inline(node, plain=True).strip()
        if name:
            self._line(f"{lead}**{name}**")
            self._blank()

    def _code(self, node: nodes.Element, indent: str, _lead: str) -> None:
        code = node.astext().expandtabs(4).strip("\n")
        language = next((each for each in node["classes"] if each not in {"code", "doctest"}), "")
        if not code.strip():
            return
        fence = "````" if "```" in code else "```"
        for line in (fence + language, *code.split("\n"), fence):
            self._line(indent + line if line else "")
        self._blank()

    def _list(self, node: nodes.Element, indent: str, lead: str) -> None:
        number = int(node.get("start", 1))
        for item in node.children:
            if not isinstance(item, nodes.list_item):
                continue
            mark = f"{node['bullet']} " if "bullet" in node else f"{number}. "
            number += 1
            self._blocks(item, indent + " " * len(mark), lead + mark)
            lead = indent
        self._blank()

    def _definitions(self, node: nodes.Element, indent: str, lead: str) -> None:
        for item in node.children:
            if not isinstance(item, nodes.Element):
                continue
            for part in item.children:
                if isinstance(part, nodes.term | nodes.classifier | nodes.field_name):
                    name = self._inline(part).strip()
                    if isinstance(part, nodes.classifier):
                        self._events[-1] = Event(0, f"{self._events[-1].text} : {name}")
                    else:
                        self._line(lead + name)
                        lead = indent
                elif isinstance(part, nodes.option_group):
                    self._line(lead + part.astext().replace("\n", ""))
                    lead = indent
                elif isinstance(part, nodes.Element):
                    self._blocks(part, indent + "  ")
        self._blank()

    def _field_list(self, node: nodes.Element, indent: str, lead: str) -> None:
        if not self._events and isinstance(node.parent, nodes.document):
            pairs = {field.children[0].astext(): field.children[-1].astext() for field in node.children}
            self.fields = plain_fields({name.lower(): " ".join(value.split()) for name, value in pairs.items()})
        else:
            self._definitions(node, indent, lead)

    def _quote(self, node: nodes.Element, indent: str, lead: str) -> None:
        self._blocks(node, indent + "  ", lead + "  ")
        self._blank()

    def _line_block(self, node: nodes.Element, indent: str, _lead: str) -> None:
        for each in node.children:
            if isinstance(each, nodes.line_block):
                self._line_block(each, indent + "  ", indent + "  ")
            elif isinstance(each, nodes.Element):
                self._line(indent + self._inline(each))
        if not isinstance(node.parent, nodes.line_block):
            self._blank()

    def _footnote(self, node: nodes.Element, indent: str, lead: str) -> None:
        label = node.next_node(nodes.label)
        name = label.astext() if label else next(iter(node["names"]), "")
        for child in node.children[:]:
            if isinstance(child, nodes.label):
                node.remove(child)
        self._blocks(node, indent + "  ", f"{lead}[{name}] " if name else lead)
        self._blank()

    def _table(self, node: nodes.Element, indent: str, _lead: str) -> None:
        for title in node.children[:1]:
            if isinstance(title, nodes.title):
                self._heading_line(title, indent, indent)
        for row in node.findall(nodes.row):
            cells = [" ".join(self._cell(entry).split()).replace("|", "\\|") for entry in row.children]
            self._line(f"{indent}| {' | '.join(cells)} |")
            head = row.parent
            if isinstance(head, nodes.thead) and row is head.children[-1]:
                self._line(f"{indent}|{'---|' * len(cells)}")
        self._blank()

    def _cell(self, entry: nodes.Node) -> str:
        walk = _Walk(self._substitutions)
        if isinstance(entry, nodes.Element):
            walk._blocks(entry, "")
        return " ".join(event.text for event in walk._events)

    def _image(self, node: nodes.Element, _indent: str, lead: str) -> None:
        if node.get("alt"):
            self._line(lead + node["alt"])
            self._blank()

    def _nothing(self, _node: nodes.Element, _indent: str, _lead: str) -> None:
        pass

    def _inline(self, node: nodes.Node, *, plain: bool = False) -> str:
        """Return the text of an element with the marks of emphasis and code, without those of links."""
        parts: list[str] = []
        for child in node.children:
            if isinstance(child, nodes.Text | nodes.problematic):
                parts.append(child.astext())
            elif isinstance(child, nodes.substitution_reference):
                name = str(child.get("refname", "")).lower()
                parts.append(self._substitutions.get(name, child.astext()))
            elif isinstance(child, nodes.footnote_reference | nodes.citation_reference):
                parts.append(f"[{child.astext()}]" if child.astext() else "")
            elif isinstance(child, nodes.image):
                parts.append(str(child.get("alt", "")))
            elif isinstance(child, nodes.Invisible | nodes.target | nodes.system_message | nodes.raw):
                parts.append(child.astext() if isinstance(child, nodes.target) else "")
            else:
                mark = "" if plain else _INLINE_MARKS.get(type(child).__name__, "")
                parts.append(f"{mark}{self._inline(child, plain=plain)}{mark}")
        return "".join(parts)


_INLINE_MARKS = {"emphasis": "*", "strong": "**", "literal": "``"}
_Writer = Callable[[_Walk, nodes.Element, str, str], None]
_WRITERS: dict[str, _Writer] = {
    "section": _Walk._section, "paragraph": _Walk._paragraph, "literal_block": _Walk._code,
    "doctest_block": _Walk._code, "math_block": _Walk._code, "bullet_list": _Walk._list,
    "enumerated_list": _Walk._list, "definition_list": _Walk._definitions, "option_list": _Walk._definitions,
    "field_list": _Walk._field_list, "block_quote": _Walk._quote, "line_block": _Walk._line_block,
    "footnote": _Walk._footnote, "citation": _Walk._footnote, "table": _Walk._table, "image": _Walk._image,
    "title": _Walk._heading_line, "rubric": _Walk._heading_line, "raw": _Walk._nothing, "transition": _Walk._nothing,
    "comment": _Walk._nothing, "target": _Walk._nothing, "system_message": _Walk._nothing,
    "substitution_definition": _Walk._nothing, "pending": _Walk._nothing, "meta": _Walk._nothing,
}  # fmt: skip
