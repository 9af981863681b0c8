"""Which hosts the service answers for, and which sites' pages may use it.

A browser sends what any page tells it to, from inside the visitor's network. Three rules keep other sites out:
- *hosts*: a page of evil.example whose name was rebound to this machine is of the same origin as the service for the
  browser, but its `Host` says evil.example. So requests are answered only under known names, reads included.
- *origins*: whatever spends or changes (every method but GET, HEAD and OPTIONS) has to come from the service's own
  pages, from a listed origin, or from no page at all, by `Origin` and `Sec-Fetch-Site`. The scheme does not count:
  behind a proxy the service does not know its own.
- *CORS*: pages of listed origins may read responses. Keys travel in `Authorization`, so credentials are never allowed.

Starlette's middlewares for hosts and CORS loop over their lists for every request, answer in text, and would not cover
the refusals of the layers above them; here a known host is one lookup of its bytes.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from starlette.types import Scope

from online.errors import Problem
from online.http.proxies import Proxies
from online.http.responses import RawHeaders
from online.settings import ServiceSettings

Headers = Mapping[bytes, bytes]

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITE = frozenset({b"same-origin", b"same-site", b"none"})
_LOOPBACK = frozenset({"localhost", "*.localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?)(?::[0-9]{0,5})?")

_METHODS = b"GET, HEAD, POST"
_REQUEST_HEADERS = "authorization, cache-control, content-type, if-none-match, prefer, x-request-id"
_CLIENT_HEADER = re.compile(r"x-stainless-[a-z-]{1,40}")  # OpenAI's client for browsers sends a dozen of them
_EXPOSED = (
    b"age, cache-status, etag, location, preference-applied, retry-after, x-request-id, x-should-retry, "
    b"x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests"
)
_VARY = (b"vary", b"Origin")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a service that listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def answers_for_any_host(settings: ServiceSettings) -> bool:
    """Whether a keyless service answers under any name, so that pages of other sites can read it."""
    open_to_all = settings.allowed_hosts is None and not is_loopback(settings.host)
    return open_to_all and not settings.keys


@dataclass(frozen=True)
class SitePolicy:
    """The rules of one service. `hosts` is None if it answers for all."""

    hosts: frozenset[str] | None
    origins: frozenset[bytes]
    proxies: Proxies | None

    @classmethod
    def of(cls, settings: ServiceSettings) -> SitePolicy:
        """Return the rules that the settings ask for.

        Raises:
            ConfigurationError: a trusted proxy is no address.
        """
        named = settings.allowed_hosts
        unlimited = "*" in named if named is not None else not is_loopback(settings.host)
        hosts = _LOOPBACK | {settings.host} | {each.strip("[]").lower() for each in named or ()}
        return cls(
            None if unlimited else frozenset(hosts),
            frozenset(each.encode() for each in settings.allowed_origins),
            Proxies.named(settings.trusted_proxies) if settings.trusted_proxies else None,
        )

    def admit(self, scope: Scope, headers: Headers) -> None:
        """Let a request in; behind a trusted proxy, set its client.

        Raises:
            Problem: it is for another host, or from a page of another site.
        """
        host = headers.get(b"host", b"")
        own = [host]
        if self.proxies is not None and (forwarded := self.proxies.unwrap(scope, headers)) is not None:
            own.append(forwarded)
        for each in own:
            if not self._answers_for(each, scope):
                raise _misdirected(each)
        if scope["method"] not in _READING and (b"origin" in headers or b"sec-fetch-site" in headers):
            self._require_own_page(own, headers)

    def _answers_for(self, host: bytes, scope: Scope) -> bool:
        if self.hosts is None or _is_one_of(host, self.hosts):
            return True
        server = scope.get("server")  # an address at which a request arrives is no name that anybody could rebind
        return server is not None and name_of(host) == server[0]

    def _require_own_page(self, own: Collection[bytes], headers: Headers) -> None:
        origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site", b"same-origin")
        if origin in self.origins:
            return
        # A page that hides its address (Referrer-Policy: no-referrer) sends "null"; then the browser's word has to do.
        hidden = origin is None or (origin == b"null" and headers.get(b"sec-fetch-site") == b"same-origin")
        if site not in _OWN_SITE or not (hidden or _is_of(origin or b"", own)):
            raise Problem(
                "foreign-origin",
                "The request came from a page of another site; whoever runs the service can list it in "
                "[service] allowed_origins.",
            )

    def preflight(self, scope: Scope, headers: Headers) -> RawHeaders | None:
        """Return the headers that answer a pre-flight, or None if the request is none.

        Raises:
            Problem: its origin is not listed.
        """
        if scope["method"] != "OPTIONS" or b"origin" not in headers or b"access-control-request-method" not in headers:
            return None
        if headers[b"origin"] not in self.origins:
            raise Problem("foreign-origin", "Pages of this origin may not use the service.")
        asked = headers.get(b"access-control-request-headers", b"").decode("latin-1").lower().split(",")
        of_client = sorted({each.strip() for each in asked if _CLIENT_HEADER.fullmatch(each.strip())})
        return [
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", ", ".join([_REQUEST_HEADERS, *of_client]).encode()),
            (b"access-control-max-age", b"600"),
            (b"vary", b"Access-Control-Request-Headers"),
        ]

    def reading(self, headers: Headers) -> RawHeaders:
        """Return the headers of a response by which pages of listed origins may read it."""
        if not self.origins:
            return []
        origin = headers.get(b"origin")
        if origin is None or origin not in self.origins:
            return [_VARY]
        return [_VARY, (b"access-control-allow-origin", origin), (b"access-control-expose-headers", _EXPOSED)]


@functools.lru_cache(maxsize=256)
def _is_one_of(host: bytes, hosts: frozenset[str]) -> bool:
    name = name_of(host)
    if name is None:
        return False
    parents = [name[dot:] for dot in range(len(name)) if name[dot] == "."]
    return name in hosts or any(f"*{parent}" in hosts for parent in parents)


def name_of(host: bytes) -> str | None:
    """Return the name in a Host header, without its port, or None if it is not well formed."""
    found = _HOST.fullmatch(host.decode("latin-1").lower()) if len(host) <= 300 else None
    return None if found is None else found[1] or found[2]


def _is_of(origin: bytes, hosts: Collection[bytes]) -> bool:
    """Whether an origin is one of the hosts; some proxies name the scheme's own port, which no browser does."""
    scheme, _, authority = origin.partition(b"://")
    port = {b"http": b":80", b"https": b":443"}.get(scheme)
    return port is not None and authority.lower() in {each.lower().removesuffix(port) for each in hosts}


def _misdirected(host: bytes) -> Problem:
    shown = name_of(host) or "without a name that can be read"
    return Problem(
        "misdirected",
        f"The service does not answer for the host {shown!r}; whoever runs it can list it in [service] allowed_hosts.",
    )
