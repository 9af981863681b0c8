"""Links for readers: where a document is found on the web, and the heading in it.

A link is shown to every visitor, so only http and https count, credentials are cut off, and what a URL may not hold is
escaped. A document names its own address, or its collection makes one from a template (`base_url`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, urlsplit, urlunsplit

from rag.credentials import link_without_credentials
from rag.link_template import fill, site_of, tells_rows_apart

_KEPT = "%/?!$&'()*+,;=:@~"
_STRAY = re.compile(r"%(?![0-9A-Fa-f]{2})")
_LONGEST = 2_000
_HOST = re.compile(r"(?:[^\s/?#@:\[\]<>\"'\\]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")


def web_link(address: str) -> str:
    """Return an address as a link that every visitor may see and follow; "" where it is none."""
    try:
        parts = urlsplit(link_without_credentials(address.strip()))
    except ValueError:  # brackets that hold no address
        return ""
    if parts.scheme.lower() not in {"http", "https"} or not _HOST.fullmatch(parts.netloc):
        return ""
    path, query, fragment = (_escaped(part) for part in (parts.path, parts.query, parts.fragment))
    link = urlunsplit((parts.scheme.lower(), parts.netloc, path, query, fragment))
    return link if len(link) <= _LONGEST else ""


def with_anchor(link: str, anchor: str) -> str:
    """Return a link that leads to a heading; one that leads somewhere in its page already stays as it is."""
    return f"{link}#{_escaped(anchor)}" if link and anchor and "#" not in link else link


def page_link(own: Iterable[str], template: str | None, path: str, row_id: str = "") -> str:
    """Return where readers find a document: the first of its `own` addresses, else what the template makes.

    `path` is its file's below the listed folder; `row_id` is the id of a row of that file, which has a page of its own
    only where the template tells rows apart. An own address may be a path of the site (`/install/`).
    """
    for address in own:
        if link := web_link(address) or _on_the_site(address, template):
            return link
    if template is None or (row_id and not tells_rows_apart(template)):
        return ""
    return web_link(fill(template, path, row_id or path))


def _on_the_site(address: str, template: str | None) -> str:
    """Return the link of a path of the site, below what the template begins with."""
    address = address.strip()
    if template is None or not address.startswith("/") or address.startswith("//") or ":" in address:
        return ""
    return web_link(site_of(template) + address)


def _escaped(part: str) -> str:
    return quote(_STRAY.sub("%25", part), safe=_KEPT)
