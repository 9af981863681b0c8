"""HTTP connections to one server of a language model, pooled, over aiohttp.

aiohttp takes 0.6 ms of processor time a call where httpx takes 2 to 4 (docs/measurements.md). Its connections belong to
one event loop, that of the first request; after `aclose` another one may begin. Idle connections are closed after 2
seconds, before vLLM and uvicorn close them (after 5), so that no request is written to a closing one.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import Callable, Mapping
from types import MappingProxyType
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from yarl import URL

_CONNECT_ATTEMPTS = 2
_KEEPALIVE_SECONDS = 2.0
_LOCAL = ("127.0.0.1", "localhost", "::1")
_NONE: Mapping[str, str] = MappingProxyType({})

NetworkError = (aiohttp.ClientError, asyncio.TimeoutError, OSError)
"""What a request or the reading of its response raises when the network or the server fails."""


class HttpSession:
    """Sends requests to paths below `base_url`. `timeout` limits each wait for bytes, in seconds.

    A user name and password in the address are sent as Basic authentication, in place of the `api_key`, and its query
    with each request.
    """

    def __init__(self, base_url: str, api_key: str | None, timeout: float, connections: int) -> None:
        address = urlsplit(base_url)
        self._address = address
        self._host = address.hostname or ""
        self._headers = _authorization(address.username, address.password)
        if api_key and "Authorization" not in self._headers:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._proxy = _proxy(address.scheme, self._host)
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=timeout, sock_connect=min(timeout, 5.0), sock_read=timeout
        )
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    def url(self, path: str, query: str = "") -> URL:
        """Return the address of a path, with the query of the base address and this one."""
        address = self._address
        queries = "&".join(filter(None, (address.query, query)))
        place = (address.scheme, address.netloc.rpartition("@")[2], address.path.rstrip("/") + path, queries, "")
        return URL(str(httpx.URL(urlunsplit(place))), encoded=True)

    async def post(self, url: URL, body: Mapping[str, object], headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        """Post JSON; otherwise as `request`."""
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        return await self.request("POST", url, lambda: content, {"Content-Type": "application/json", **headers})

    async def request(
        self, method: str, url: URL, data: Callable[[], object] = lambda: None, headers: Mapping[str, str] = _NONE
    ) -> aiohttp.ClientResponse:
        """Send one request, and return the response with its body unread; the caller closes it.

        Only a connection that could not be opened is tried again, since no request reached the server; `data` returns
        what to send.

        Raises:
            NetworkError: the server can't be reached, or is too slow.
        """
        for attempt in range(1, _CONNECT_ATTEMPTS + 1):
            try:
                return await self._opened().request(
                    method,
                    url,
                    data=data(),
                    headers={**self._headers, **headers},
                    proxy=self._proxy,
                    allow_redirects=False,
                )
            except aiohttp.ClientConnectorError:
                if attempt == _CONNECT_ATTEMPTS:
                    raise
                await asyncio.sleep(random.uniform(0.02, 0.1))  # jitter, since many callers are refused at once
        raise AssertionError("unreachable")

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            # the certificates that httpx trusts, on machines without a store of their own too
            ssl = httpx.create_ssl_context() if self._address.scheme == "https" else True
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=_KEEPALIVE_SECONDS, ssl=ssl),
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def never_arrived(error: Exception) -> bool:
    """Whether an error of the network means that the request did not get to the server."""
    return isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError))


def _authorization(user: str | None, password: str | None) -> dict[str, str]:
    if not user and not password:
        return {}
    pair = f"{unquote(user or '')}:{unquote(password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _proxy(scheme: str, host: str) -> str | None:
    """Return the environment's proxy for a server; the model is often on this machine, which no proxy can reach."""
    if host in _LOCAL or proxy_bypass(host):
        return None
    proxies = getproxies()
    return proxies.get(scheme) or proxies.get("all")
