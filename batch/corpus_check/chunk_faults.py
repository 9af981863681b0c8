"""Faults of chunks that can be seen without a model: template code, torn tables.

They are looked for outside code, where templates and tables may be what the page is about.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from batch.formats.outline import Section
from batch.reading.chunking import Chunk
from batch.reading.cut_points import blocks, frame

SHORT = 20  # characters; a chunk of less says hardly anything

_TEMPLATE_CODE = re.compile(
    r"\{\{[<%]?.{0,60}"  # Jinja, Liquid, Hugo, MDX
    r"|\{%.{0,60}"
    r"|^[ \t]*:::.{0,60}"  # admonitions
    r"|\{#[\w:.%-]+\}"  # attributes
    r"|<!--.{0,60}"
    r"|^[ \t]*</?[A-Z]\w*(?:\s[^>\n]*)?/?>[ \t]*$|<[A-Z]\w*\s[^>\n]*/>"  # components
    r"|^import\s[^\n]+\sfrom\s[\"'].{0,40}"
    r"|^[ \t]*\.\. (?:[\w+-]+:)?[\w+-]+::.{0,40}|:(?:[\w+-]+:)?[\w+-]+:`[^`\n]{0,60}"  # directives and roles
    r"|\binclude(?:-code)?::.{0,60}",
    re.MULTILINE,
)
_CODE_SPAN = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)


def template_code(text: str) -> str:
    """Return the first piece of a site generator's code in a text, or ""."""
    found = _TEMPLATE_CODE.search("\n\n".join(_outside_code(text)))
    return " ".join(found.group().split()) if found else ""


def torn_tables(sections: Iterable[Section], chunks: Iterable[Chunk]) -> list[Chunk]:
    """Return the chunks of a document that hold rows of a table without its header, or a part of a row."""
    headers: dict[str, set[str]] = {}  # by row: the first lines of the tables that it stands in
    written: set[str] = set()
    for section in sections:
        written |= {line.strip() for line in section.text.split("\n")}
        for begin, end in blocks(section.text):
            block = section.text[begin:end]
            if (table := frame(block)) is not None and not table.is_code and table.head == 2:
                header, _, *rows = (line.strip() for line in block.strip("\n").split("\n"))
                for row in rows:
                    headers.setdefault(row, set()).add(header)
    return [each for each in chunks if _is_torn(each.text, headers, written)] if headers else []


def _is_torn(text: str, headers: dict[str, set[str]], written: set[str]) -> bool:
    lines = {line.strip() for line in text.split("\n")}
    parts = [line for line in lines if line.startswith("|") and line not in written]
    part_of_row = any(not _is_of_long_row(part, written, len(text)) for part in parts)
    return part_of_row or any(not (headers[line] & lines) for line in lines if line in headers)


def _is_of_long_row(part: str, written: set[str], length: int) -> bool:
    """Whether a part is of a row that no chunk holds: it is longer than the chunk with its part."""
    return any(len(row) >= length and row.startswith(part) for row in written)


def _outside_code(text: str) -> Iterator[str]:
    for begin, end in blocks(text):
        block = text[begin:end]
        found = frame(block)
        if not (found and found.is_code) and not block.startswith(("    ", "\t")):
            yield _CODE_SPAN.sub("`", block)
