"""Templates of links (`base_url`): where a collection's documents are found on the web, by their paths."""

from __future__ import annotations

import re
import string
from urllib.parse import quote

_NAMES = ("path", "path_without_ending", "name", "id")
_KNOWN = ", ".join(f"{{{name}}}" for name in _NAMES)
_SITE = re.compile(r"https?://[^\s/?#@{}]+/")
_INDEX = re.compile(r"(?:\A|(?<=/))(?:index|_index|readme)\Z", re.IGNORECASE)
_ENDING = re.compile(r"(?<=[^/])\.[^./]+\Z")
_OF_FOLDERS = ("{path_without_ending}", "{path_without_ending}/")


def check_template(template: str) -> str:
    """Return a template of links.

    Raises:
        ValueError: it is none; the message says why.
    """
    if not _SITE.match(template):
        raise ValueError('it is no address of a site; write one as in "https://docs.example.com/{path_without_ending}"')
    try:
        fields = [field[1:] for field in string.Formatter().parse(template) if field[1] is not None]
    except ValueError:
        raise ValueError(f"its braces don't match; it may hold {_KNOWN}") from None
    for name, form, conversion in fields:
        if name not in _NAMES or form or conversion:
            raise ValueError(f"{{{name}}} is unknown in it; there are {_KNOWN}")
    if not fields:
        raise ValueError(f"it is the same for every document; put {_KNOWN} where they differ")
    return template


def tells_rows_apart(template: str) -> bool:
    """Whether each row of a table gets a link of its own."""
    return "{id}" in template


def fill(template: str, path: str, document_id: str) -> str:
    """Return the link of a document, escaped; `path` is its file's below the listed folder.

    Where the page of a file is a folder's address, an index is its folder's page: `guide/index.md` is `guide/`.
    """
    stem = _ENDING.sub("", path)
    shown = _INDEX.sub("", stem) if template.endswith(_OF_FOLDERS) else stem
    values = {"path": path, "path_without_ending": shown, "name": stem.rpartition("/")[2], "id": document_id}
    link = template.format(**{name: quote(value, safe="/") for name, value in values.items()})
    return link[:-1] if link.endswith("//") else link


def site_of(template: str) -> str:
    """Return what comes before the part that differs, without a "/" at its end."""
    return template.partition("{")[0].rpartition("/")[0]
