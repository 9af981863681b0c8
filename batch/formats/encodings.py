"""From the bytes of a document to its text, in the encoding that somebody declared.

Without a declaration it is UTF-8 or has a byte order mark: a guess that is wrong turns into answers with broken words.
So guesses are only named, for a person to choose from.
"""

from __future__ import annotations

import codecs
import re

from charset_normalizer import from_bytes

from rag.errors import DocumentError
from rag.text.decoding import decode

_META = re.compile(
    rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([\w:.-]{2,40})|<\?xml[^>]{0,100}encoding=[\"']([\w:.-]{2,40})", re.I
)
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
# What browsers read under names that pages use for something larger.
_AS_BROWSERS_DO = {
    "iso-8859-1": "cp1252", "latin1": "cp1252", "latin-1": "cp1252", "ascii": "cp1252", "us-ascii": "cp1252",
    "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "shift-jis": "cp932", "x-sjis": "cp932",
    "sjis": "cp932",
    "euc-kr": "cp949", "ks_c_5601-1987": "cp949", "iso-8859-9": "cp1254", "tis-620": "cp874",
}  # fmt: skip
_READ_FOR_A_GUESS = 100_000  # bytes


def decode_document(data: bytes, encoding: str | None, *, html: bool) -> str:
    """Return a document's text: in the collection's `encoding`, or in what a page of HTML declares, or in UTF-8.

    Raises:
        DocumentError: it is binary or in another encoding; the message names candidates.
    """
    declared = encoding or (_declared(data) if html else None)
    if declared and not data.startswith(_MARKS):
        return decode(data, declared)
    try:
        return decode(data)
    except DocumentError as error:
        candidates = _candidates(data) if "not valid UTF-8" in str(error) else []
        if not candidates:
            raise
        raise DocumentError(
            f"{error}; it may be {' or '.join(candidates)}: try one as the collection's `encoding`"
        ) from None


def _declared(data: bytes) -> str | None:
    """Return the encoding that a page declares; a page of valid UTF-8 with letters beyond ASCII is that."""
    found = _META.search(data[:4096])
    if not found:
        return None
    name = (found.group(1) or found.group(2)).decode("ascii").lower()
    try:
        data.decode("utf-8")
        if not data.isascii():
            return None
    except UnicodeDecodeError:
        pass
    name = _AS_BROWSERS_DO.get(name, name)
    try:
        b"a".decode(name, "ignore")
    except LookupError:
        return None
    return None if name in {"utf-8", "utf8", "unicode"} else name


def _candidates(data: bytes) -> list[str]:
    """Return the names of encodings in which bytes look like text, the likeliest first."""
    matches = from_bytes(data[:_READ_FOR_A_GUESS])
    return list(dict.fromkeys(match.encoding.replace("_", "-") for match in matches))[:3]
