"""Opens files that are ZIP archives of XML (Office, e-books), safely: no bombs, no entities."""

from __future__ import annotations

import io
import zipfile
from xml.etree import ElementTree

from rag.errors import DocumentError

YES = frozenset(("1", "true"))
"""What an attribute says that is on."""

NO = frozenset(("0", "false", "off"))
"""What an attribute says that is off."""

_LONGEST_UNPACKED = 200_000_000  # bytes; more is a bomb


def open_packed(data: bytes) -> zipfile.ZipFile:
    """Open an archive.

    Raises:
        DocumentError: it holds too much.
    """
    book = zipfile.ZipFile(io.BytesIO(data))
    if sum(each.file_size for each in book.infolist()) > _LONGEST_UNPACKED:
        raise DocumentError(f"too large when it is unpacked (at most {_LONGEST_UNPACKED:,} bytes): split it")
    return book


def safe_xml(data: bytes) -> ElementTree.Element:
    """Parse XML.

    Raises:
        DocumentError: it declares entities, which may multiply.
    """
    if b"<!ENTITY" in data:
        raise DocumentError("it declares XML entities, which may multiply: save it anew")
    return ElementTree.fromstring(data)
