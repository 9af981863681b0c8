"""Turns bytes into clean text.

Text is UTF-8, or UTF-16 and UTF-32 with a byte order mark, or in the encoding that the caller declares. Others are
rejected and not guessed: a wrong guess becomes answers with broken words, which nobody notices until a user does.
"""

from __future__ import annotations

import codecs
import re
import unicodedata

from rag.errors import DocumentError

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff]")
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")


def decode(data: bytes, declared: str | None = None) -> str:
    """Return the text of a file, with line ends and Unicode normalised; a byte order mark outweighs `declared`.

    Raises:
        DocumentError: it is binary or in another encoding; the message says what to do.
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), declared)
    if encoding is None and (data.startswith(b"%PDF-") or b"\0" in data):
        raise DocumentError(_why_binary(data))
    try:
        return _normal(data.decode(encoding or "utf-8"))
    except UnicodeDecodeError as error:
        found = f"byte 0x{data[error.start]:02x} at offset {error.start}"
        name = (encoding or "utf-8").removesuffix("-sig").upper()
        raise DocumentError(f"not valid {name} ({found}): save it as UTF-8, or declare its encoding") from None


def _why_binary(data: bytes) -> str:
    """Return what bytes with zeros among them are: zeros in every other byte mean UTF-16 without its mark."""
    zeros = {offset for offset in (0, 1) if b"\0" in data[offset::2]}
    if len(zeros) == 1 and len(data) % 2 == 0:  # a binary file has its zeros at both
        kind = "UTF-16BE" if zeros == {0} else "UTF-16LE"
        return (
            f"it looks like {kind} without a byte order mark: save it as UTF-8, "
            f"for instance with iconv -f {kind} -t UTF-8"
        )
    return "a binary file, not text: convert it to Markdown, HTML or plain text first"


def tidy(text: str) -> str:
    """Normalise line ends and Unicode (NFC), drop control characters and replace lone surrogates."""
    return _normal(replace_surrogates(_CONTROLS.sub("", text)))


def replace_surrogates(text: str) -> str:
    """Replace lone surrogates, which JSON can escape but UTF-8 can't encode, with U+FFFD."""
    return _LONE_SURROGATES.sub("\ufffd", text)


def has_controls(text: str) -> bool:
    """Whether a text holds control characters or lone surrogates."""
    return bool(_CONTROLS.search(text) or _LONE_SURROGATES.search(text))


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
