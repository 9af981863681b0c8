"""A document as the pipeline knows it: its id, its title, its sections, what it says about itself."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from batch.formats.hidden_text import without_invisible
from batch.formats.outline import Hidden, Outline, Section
from rag.credentials import link_without_credentials
from rag.errors import DocumentError
from rag.identity import stable_hash

_LONGEST_TITLE = 160  # characters; a longer one would fill the budget of every chunk


@dataclass(frozen=True)
class Document:
    """A document as read. `uri` says where it came from; `content_hash` covers title and sections.

    `fields` is what its front matter, its header or its row says about it, `hidden` what no reader would have seen,
    `url` where readers find it; `titled_by_name` says that nothing in it gave it a title, `included` what it brings
    in of other files, which is not read at its place.
    """

    collection: str
    document_id: str
    uri: str
    title: str
    media_type: str
    sections: tuple[Section, ...]
    content_hash: str
    fields: Mapping[str, object] = field(default_factory=dict)
    hidden: Hidden = field(default_factory=Hidden)
    url: str = ""
    titled_by_name: bool = False
    included: str = ""

    @property
    def text(self) -> str:
        """The whole text with its headings, without the title."""
        return "\n\n".join(f"{s.heading}\n\n{s.text}" if s.heading else s.text for s in self.sections)


def file_id(name: str) -> str:
    """Return the id of the document that a file is."""
    return unicodedata.normalize("NFC", name.replace("\\", "/").removeprefix("./"))


def id_with_file(document_id: str, name: str) -> str:
    """Return a row's id with its file in it, where another file has a row of the same id."""
    return f"{file_id(name)}#{document_id}"


def with_file(document: Document, name: str) -> Document:
    """Return a row's document with its file in its id."""
    return replace(document, document_id=id_with_file(document.document_id, name))


def document_of(
    collection: str, document_id: str, uri: str, media_type: str, page: Outline, instead: str = ""
) -> Document:
    """Return the document that a page is; `instead` is its title where it has none of its own.

    Raises:
        DocumentError: there is no text in it.
    """
    page = _without_invisible(page)
    if not page.sections:
        raise DocumentError("empty: there is no text in it")
    own_title = " ".join(page.title.split())
    title = _cut(own_title or " ".join(instead.split()), _LONGEST_TITLE)
    digest = stable_hash(title, [[section.heading, section.text] for section in page.sections])
    sections = tuple(page.sections)
    uri = link_without_credentials(uri)  # it is cited
    return Document(
        collection, document_id, uri, title, media_type, sections, digest, page.fields, page.hidden,
        titled_by_name=not own_title,
    )  # fmt: skip


def _without_invisible(page: Outline) -> Outline:
    """Return a page without invisible characters: entities of HTML make some that its source did not hold."""
    hidden = page.hidden
    sections = []
    for section in page.sections:
        heading, in_heading = without_invisible(section.heading)
        text, in_text = without_invisible(section.text)
        hidden += in_heading + in_text
        if text.strip():
            sections.append(replace(section, heading=heading, text=text))
    return replace(page, title=without_invisible(page.title)[0], sections=sections, hidden=hidden)


def check_size(size: int, limit: int) -> None:
    """Raise unless a document of `size` bytes is at most as long as the limit.

    Raises:
        DocumentError: it is larger.
    """
    if size > limit:
        raise DocumentError(f"too large ({size:,} bytes, at most {limit:,}): split it into several documents")


def title_from(name: str) -> str:
    """Return the title that a file's name makes."""
    stem = PurePosixPath(file_id(name)).stem
    return re.sub(r"[-_\s]+", " ", stem).strip() or stem


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1].rsplit(" ", 1)[0] + "…"
