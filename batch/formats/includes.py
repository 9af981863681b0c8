"""Includes: lines by which a page brings in the text of another file, which is not read at their place.

A file's bytes are read without its neighbours, so an include is told instead of resolved; what it names is read as a
document of its own where it is one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_MARKDOWN = re.compile(
    r"^[ \t]*(?:<<<[ \t]*([@./][^\s{\[]+)|(?:;)?--8<--[ \t]+[\"']([^\"'\n]+)|@(?:include|code)[( \t]+([^)\s]+)"
    r"|\{\{#(?:rustdoc_)?include[ \t]+([^}\s]+)|<!--[ \t]*@include:[ \t]*([^\s>]+?)(?:[ \t]|--)"
    r"|`{3,}[ \t]*\{(?:literal)?include\}[ \t]+(\S+))",
    re.MULTILINE,
)
_ASCIIDOC = re.compile(r"^include(?:-code)?::([^\[\n]+)\[", re.MULTILINE)
_RESTRUCTURED = re.compile(r"^[ \t]*\.\.[ \t]+(?:literal)?include::[ \t]+(\S+)", re.MULTILINE)
_OF_KIND: Mapping[str, re.Pattern[str]] = {
    **dict.fromkeys((".md", ".markdown", ".mdx", ".qmd", ".rmd"), _MARKDOWN),
    **dict.fromkeys((".adoc", ".asciidoc", ".asc"), _ASCIIDOC),
    ".rst": _RESTRUCTURED,
}
_NAMED = 3

NOT_HERE = "not read at this place; a file that is a document is read as such"
"""How a sentence about includes ends."""


def unread_includes(kind: str, text: str) -> str:
    """Return a sentence about the includes of a page, whose files' ending is `kind`; "" where it has none."""
    pattern = _OF_KIND.get(kind)
    found = [next(filter(None, match.groups())).strip() for match in pattern.finditer(text)] if pattern else []
    if not found:
        return ""
    named = ", ".join(dict.fromkeys(found[:_NAMED])) + (", …" if len(found) > _NAMED else "")
    count = f"{len(found):,} include{'' if len(found) == 1 else 's'}"
    return f"{count} ({named}) {NOT_HERE}"
