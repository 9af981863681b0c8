"""What directives of reStructuredText are to a reader: text, code, a signature, a table, or nothing.

docutils knows its own, Sphinx and its extensions have hundreds. One class reads them all by the kind of their name: an
unknown one is its content. Names are registered as a text mentions them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive, directives
from docutils.parsers.rst.directives import tables
from docutils.statemachine import StringList

_NAME = re.compile(
    r"^[ \t]*(?:\.\.|\|[^|\n]+\|)[ \t]+(?:\|[^|\n]+\|[ \t]+)?([\w+.:-]+?)[ \t]?::(?:[ \t]|$)", re.MULTILINE
)
_OWN = frozenset("replace unicode date math image".split())
_TABLES = {"table": tables.RSTTable, "csv-table": tables.CSVTable, "list-table": tables.ListTable}
_GONE = frozenset(
    "toctree index currentmodule module py:module py:currentmodule highlight contents raw include "
    "literalinclude meta role default-role rst-class class cssclass testsetup testcleanup sectnum "
    "section-numbering title tabularcolumns header footer target-notes sectionauthor codeauthor "
    "moduleauthor program plot graphviz digraph graph uml mermaid inheritance-diagram include-code "
    "bibliography autosummary only-html restructuredtext-test-directive banner pep-banner canonical-doc "
    "canonical-pypa-spec canonical-typing-spec youtube video versionlabel nbinfo".split()
)
_CODE = frozenset(
    "code code-block sourcecode parsed-literal literal prompt doctest testcode testoutput ipython console "
    "productionlist click:example click:run command-output code-tab grammar-snippet terminal shell "
    "literal-block".split()
)
_TITLED = frozenset(
    "admonition topic sidebar tab-item tab group-tab dropdown card grid-item-card rubric collapse details "
    "describe container-title accordion panels figure-title todo-title".split()
)
_VERSIONS = {
    "versionadded": "Added in version", "versionchanged": "Changed in version",
    "deprecated": "Deprecated since version",
    "deprecated-removed": "Deprecated since version", "versionremoved": "Removed in version",
    "soft-deprecated": "Soft deprecated since version",
}  # fmt: skip
_OBJECTS = frozenset(
    "function class method attribute data exception decorator classmethod staticmethod property "
    "decoratormethod awaitablefunction awaitablemethod coroutinefunction coroutinemethod option cmdoption "
    "envvar confval setting describe object type macro member var struct enum enumerator union opcode "
    "pdbcommand django-admin django-admin-option templatetag templatefilter fieldlookup signal event "
    "directive role rst:directive rst:role monitoring-event get post put delete patch alias variable "
    "constant abstractmethod".split()
)


# Names that Django and others give a place: their argument is shown by the heading below, if at all.
_PLACES = frozenset("setting templatetag templatefilter fieldlookup signal event django-admin alias variable".split())
_FIELD = re.compile(r"\s*:[\w-]+:(?:\s|$)")


class _AnyOptions(dict[str, Callable[[str], object]]):
    """Accepts any option, known or not, and keeps it as it is written."""

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, name: str) -> Callable[[str], object]:
        return super().__getitem__(name) if name in self else lambda value: value


class _Any(Directive):
    """A directive of whatever name, as what a reader sees of it."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Callable[[str], object]] | None] = _AnyOptions()

    def run(self) -> list[nodes.Node]:
        """Return what stands in the directive's place."""
        name, argument = self.name.lower(), " ".join(" ".join(self.arguments).split())
        if _FIELD.match(argument):  # options that are indented further than the content
            self.arguments, argument = [], ""
        kind = name.rpartition(":")[2]
        if name in _GONE:
            return []
        if kind in _CODE or name in _CODE:
            return self._code(kind, argument)
        if name in _VERSIONS:
            return self._version(_VERSIONS[name], argument)
        if kind in _OBJECTS:
            is_place = kind in _PLACES and not self.content
            return [] if is_place else self._object(" ".join(self.arguments))
        if kind in _ADMONITIONS and self.arguments:  # its text begins beside the name
            self.content = StringList([*self.arguments[0].split("\n"), "", *self.content], source="")
            return self._content()
        return [*self._beside_the_name(kind, argument), *self._content()]

    def _beside_the_name(self, kind: str, argument: str) -> list[nodes.Node]:
        """Return what stands on the line of the name, where a page shows it: a title, or the beginning of the text."""
        if kind == "figure":
            return [nodes.image(alt=str(self.options["alt"]))] if self.options.get("alt") else []
        if kind in _TITLED:
            return self._title(argument)
        return self._text(argument) if " " in argument else []

    def _content(self) -> list[nodes.Node]:
        holder = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, holder, match_titles=False)
        return list(holder.children)

    def _text(self, text: str) -> list[nodes.Node]:
        if not text:
            return []
        inline, _ = self.state.inline_text(text, self.lineno)
        return [nodes.paragraph(text, "", *inline)]

    def _title(self, text: str) -> list[nodes.Node]:
        if not text:
            return []
        inline, _ = self.state.inline_text(text, self.lineno)
        return [nodes.rubric(text, "", *inline)]

    def _code(self, kind: str, argument: str) -> list[nodes.Node]:
        lines = list(self.content)
        if kind == "productionlist" and argument:
            lines = [*self.arguments[0].split("\n"), *lines]
        language = argument.partition(" ")[0] if kind in {"code", "code-block", "sourcecode", "code-tab"} else ""
        caption = self.options.get("caption")
        block = nodes.literal_block("", "\n".join(lines), classes=[language] if language else [])
        return [*self._title(str(caption or "")), block]

    def _version(self, words: str, argument: str) -> list[nodes.Node]:
        version, _, rest = argument.partition(" ")
        text = f"{words} {version}{':' if rest or self.content else '.'}" if version else ""
        content = self._content()
        inline, _ = self.state.inline_text(f"{text} {rest}".strip(), self.lineno)
        if content and isinstance(content[0], nodes.paragraph):
            content[0].insert(0, [*inline, nodes.Text(" ")])
            return content
        return [nodes.paragraph("", "", *inline), *content] if text else content

    def _object(self, argument: str) -> list[nodes.Node]:
        """Return a signature a line, and below it what is said about it."""
        item = nodes.definition_list_item()
        for line in argument.split("\n"):
            if line.strip():
                item += nodes.term("", "", nodes.literal("", line.strip().removesuffix(":")))
        item += nodes.definition("", *self._content())
        return [nodes.definition_list("", item)]


_ADMONITIONS = frozenset(
    "note warning tip hint important attention caution danger error seealso todo impl-detail availability "
    "versionnote centered compound container epigraph highlights pull-quote".split()
)


def register_directives(text: str) -> None:
    """Register the directives that a text names, so that docutils reads each of them."""
    for name in {found.lower() for found in _NAME.findall(text)} - _OWN - _known:
        directives.register_directive(name, _TABLE_READERS.get(name, _Any))
        _known.add(name)


def _tolerant(reader: type[Directive]) -> type[Directive]:
    """Return a reader of tables that no unknown option keeps from its table."""
    options = {name: convert for name, convert in (reader.option_spec or {}).items() if name not in {"file", "url"}}
    return type(reader.__name__, (reader,), {"option_spec": _AnyOptions(options)})


_TABLE_READERS = {name: _tolerant(reader) for name, reader in _TABLES.items()}
_known: set[str] = set()
