"""Credentials: the types that hold them in the settings, and how they are kept out of texts and files.

What is recorded of settings is an allow-list (`RoomSettings.recorded`). The error texts of other packages can't be on
one, so they pass through `hide`, which masks what the configuration is known to hold and what a URL may hold. A mask
may take a harmless value with it: a value of an option for Beam looks the same as a key.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields, is_dataclass
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

from pydantic import BaseModel, Secret, SecretStr

MASK = "**********"
_LEAST = 6  # characters; a shorter value is no secret, and masking it would garble every sentence
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]*[^\s'\"<>),.;:]")
_HOST = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(:\d*)?")
_QUERY = re.compile(r"[?#][^/]*=.*", re.DOTALL)  # `s3://bucket/page?.md` is a pattern
_QUERY_OF_HTTP = re.compile(r"\?.*|#.*=.*", re.DOTALL)
_SIGNED = re.compile(
    r"(?:x-amz-.*|x-goog-.*|.*signature|sig|.*token|.*secret|.*password|.*credential|(?:api|access|aws)[-_]?.*key.*)",
    re.I,
)
_OPTION = re.compile(r"(--[\w-]+)(=.*)?", re.DOTALL)


class SecretAddress(Secret[str]):
    """A path or URL that may hold a password or a signature; it is shown without."""

    def _display(self) -> str:
        return public_address(self.get_secret_value())


# Options for Beam that say where something is, as a host and a port: a message has to quote them.
_ADDRESSING = re.compile(
    r"--(?:job_endpoint|artifact_endpoint|environment_(?:type|config)|flink_master|spark_master_url|parallelism"
    r"|sdk_worker_parallelism|direct_num_workers)=(?:https?://|spark://)?[\w.\[\]:-]+"
)


class SecretOption(Secret[str]):
    """An option as on a command line; only its name is shown."""

    def _display(self) -> str:
        named = _OPTION.fullmatch(self.get_secret_value())
        if named is None:
            return MASK
        return f"{named[1]}={MASK}" if named[2] else named[1]


def public_address(address: str) -> str:
    """Return a path or URL without user name, password and query; a path is returned as it is."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        before, at, behind = address.rpartition("@")
        return f"…@{public_address(behind)}" if at and ":" in before else _QUERY.sub("?…", address)
    cut = _query(scheme, rest)
    head = rest[: cut.start()] if cut else rest
    authority = head.partition("/")[0]
    host = authority.rpartition("@")[2]
    astray = "@" in rest and "@" not in authority and ":" in host  # a password with an unescaped / or ?
    if astray or not _HOST.fullmatch(host):
        return f"{scheme}://…"
    return f"{scheme}://{host}{head[len(authority) :]}{'?…' if cut else ''}"


def link_without_credentials(link: str) -> str:
    """Return a link that visitors may see: without user name and password, and without the signature of a signed URL.

    The rest of its query stays, since it may say which page is meant.
    """
    if "://" not in link:
        return link
    try:
        parts = urlsplit(link)
    except ValueError:  # brackets that hold no address
        return public_address(link)
    query = "&".join(each for each in parts.query.split("&") if not _SIGNED.fullmatch(each.partition("=")[0]))
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query))


def _query(scheme: str, rest: str) -> re.Match[str] | None:
    return (_QUERY_OF_HTTP if scheme.lower() in ("http", "https") else _QUERY).search(rest)


def hide(text: str, secrets: Collection[str] = ()) -> str:
    """Return a text with each of the secrets masked, and the credentials in its URLs removed."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return _URL.sub(lambda found: public_address(found[0]), text)


def secret_values(*holders: object) -> frozenset[str]:
    """Return the secrets in settings and plans, also as they are written in JSON, in a URL and by `repr`."""
    found = {each for holder in holders for each in _secrets_in(holder) if len(each) >= _LEAST}
    written = {
        form for each in found for form in (repr(each)[1:-1], json.dumps(each)[1:-1], quote(each, safe=""), quote(each))
    }
    return frozenset(found | written)


def reveal(value: object) -> str:
    """Return the text of a secret, or of anything else; the `default` of `json.dumps` for a process of our own."""
    return str(value.get_secret_value() if isinstance(value, (Secret, SecretStr)) else value)


def _secrets_in(holder: object) -> Iterator[str]:
    match holder:
        case SecretAddress():
            yield from _secrets_of_url(holder.get_secret_value())
        case SecretOption():
            if _ADDRESSING.fullmatch(holder.get_secret_value()):
                return
            yield holder.get_secret_value().partition("=")[2] or ("" if str(holder) != MASK else reveal(holder))
        case Secret() | SecretStr():
            yield reveal(holder)
        case BaseModel():
            yield from (each for value in holder.__dict__.values() for each in _secrets_in(value))
        case Mapping():
            yield from (each for value in holder.values() for each in _secrets_in(value))
        case list() | tuple():
            yield from (each for value in holder for each in _secrets_in(value))
        case _ if is_dataclass(holder):
            yield from (each for field in fields(holder) for each in _secrets_in(getattr(holder, field.name)))


def _secrets_of_url(address: str) -> Iterator[str]:
    scheme, separator, rest = address.partition("://")
    if not separator:
        return
    cut = _query(scheme, rest)
    user, at, _ = rest[: cut.start() if cut else None].rpartition("@")
    if at:
        yield from {user, unquote(user), *user.split(":", 1), *map(unquote, user.split(":", 1))}
    if cut:
        query = rest[cut.start() + 1 :]
        yield from {query, *(value for _, value in parse_qsl(query))}


class HidingFormatter(logging.Formatter):
    """Writes log records without secrets; `secrets` is set as soon as the configuration has been read."""

    secrets: Collection[str] = ()

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's text, its traceback included."""
        return hide(super().format(record), self.secrets)
