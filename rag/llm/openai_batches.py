"""Client for OpenAI's Batch API: files of requests that a server answers within a day, for half the price.

It makes one attempt at each call; the caller knows whether to repeat it. A batch carries our own name for it in its
metadata, so that one whose creation was not confirmed (the process was killed, the connection broke) can be found again
and is not paid twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from pydantic import SecretStr

from rag.credentials import SecretAddress, public_address, secret_values
from rag.errors import LlmUnavailableError
from rag.llm.http_session import HttpSession, NetworkError
from rag.llm.openai_errors import refused, unavailable
from rag.llm.openai_requests import CHAT_PATH

MOST_REQUESTS, MOST_BYTES = 50_000, 200_000_000  # of a file, as OpenAI limits them
_NAME = "beforehand"  # of the metadata
_PAGE, _PAGES = 100, 50  # batches
_PIECE = 1 << 20  # bytes of a download
_NO_BATCHES = "it has no Batch API (/v1/files and /v1/batches); check [batch] endpoints, or [llm] endpoint"
_KEY: Mapping[int, str] = {401: "check [llm] api_key", 403: "check [llm] api_key"}
_SETTINGS: Mapping[int, str] = {**_KEY, 404: _NO_BATCHES, 405: _NO_BATCHES}
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError)


@dataclass(frozen=True)
class Batch:
    """A batch as the server describes it. `status` is OpenAI's, `name` ours; `faults` are (code, message)."""

    id: str
    status: str
    name: str = ""
    done: int = 0
    output_file: str | None = None
    error_file: str | None = None
    faults: tuple[tuple[str, str], ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in {"completed", "failed", "expired", "cancelled"}


class OpenAIBatches:
    """The batches of an account at a server. `base_url` ends in /v1; `timeout` limits each wait for bytes, in seconds.

    Every call raises `rag.errors.LlmError`, as `rag.llm.openai_client.OpenAIEndpoint` does.
    """

    def __init__(self, base_url: str, api_key: str | None, timeout: float) -> None:
        self.address = public_address(base_url).rstrip("/")
        self._secrets = secret_values(SecretAddress(base_url), SecretStr(api_key or ""))
        self._session = HttpSession(base_url, api_key, timeout, connections=4)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.aclose()

    async def check(self) -> None:
        """Raise unless the server has a Batch API and accepts the key."""
        await self._json("GET", "/batches", query="limit=1")

    async def upload(self, path: Path) -> str:
        """Upload a file of requests, and return its id."""
        with path.open("rb") as stream:

            def form() -> aiohttp.FormData:
                stream.seek(0)
                data = aiohttp.FormData()
                data.add_field("purpose", "batch")
                data.add_field("file", stream, filename=path.name, content_type="application/jsonl")
                return data

            try:
                response = await self._session.request("POST", self._session.url("/files"), form)
            except NetworkError as error:
                raise unavailable(self.address, error) from error
            return str((await self._read(response))["id"])

    async def create(self, file: str, name: str) -> Batch:
        """Start the batch of an uploaded file."""
        body = {
            "input_file_id": file,
            "endpoint": CHAT_PATH,
            "completion_window": "24h",
            "metadata": {_NAME: name},
        }
        try:
            response = await self._session.post(self._session.url("/batches"), body, {})
        except NetworkError as error:
            raise unavailable(self.address, error) from error
        return self._batch(await self._read(response))

    async def get(self, batch: str) -> Batch:
        """Return the present state of a batch; one that the account doesn't have raises `LlmRefusedError`."""
        return self._batch(await self._json("GET", f"/batches/{batch}", settings=_KEY))

    async def find(self, name: str) -> Batch | None:
        """Return the batch of a name, or None; the newest batches are looked through."""
        after = ""
        for _ in range(_PAGES):
            page = await self._json("GET", "/batches", query=f"limit={_PAGE}{after}")
            batches = [self._batch(each) for each in page.get("data") or ()]
            if found := next((batch for batch in batches if batch.name == name), None):
                return found
            if not batches or not page.get("has_more"):
                return None
            after = f"&after={batches[-1].id}"
        return None

    async def cancel(self, batch: str) -> Batch:
        """Ask the server to end a batch; what is answered stays."""
        return self._batch(await self._json("POST", f"/batches/{batch}/cancel", settings=_KEY))

    async def download(self, file: str, target: Path) -> None:
        """Write the content of a file to `target`."""
        try:
            response = await self._session.request("GET", self._session.url(f"/files/{file}/content"))
            try:
                await self._accept(response, _KEY)
                with target.open("wb") as stream:
                    async for piece in response.content.iter_chunked(_PIECE):
                        stream.write(piece)
            finally:
                response.close()
        except NetworkError as error:
            raise unavailable(self.address, error) from error

    async def _json(
        self, method: str, path: str, query: str = "", settings: Mapping[int, str] = _SETTINGS
    ) -> dict[str, Any]:
        try:
            response = await self._session.request(method, self._session.url(path, query))
        except NetworkError as error:
            raise unavailable(self.address, error) from error
        return await self._read(response, settings)

    async def _read(self, response: aiohttp.ClientResponse, settings: Mapping[int, str] = _SETTINGS) -> dict[str, Any]:
        """Return the object of a response, or raise what its status says."""
        try:
            await self._accept(response, settings)
            body = json.loads(await response.read())
            if not isinstance(body, dict):
                raise TypeError(f"it is a {type(body).__name__}")
        except NetworkError as error:
            raise unavailable(self.address, error) from error
        except _UNREADABLE as error:
            raise LlmUnavailableError(f"{self.address}: the answer is not JSON of the Batch API ({error!r})") from error
        else:
            return body
        finally:
            response.close()

    async def _accept(self, response: aiohttp.ClientResponse, settings: Mapping[int, str]) -> None:
        if not 200 <= response.status < 300:
            content = await response.read()
            raise refused(self.address, response.status, response.headers, content, self._secrets, settings)

    def _batch(self, body: dict[str, Any]) -> Batch:
        try:
            counts = body.get("request_counts") or {}
            faults = (body.get("errors") or {}).get("data") or ()
            return Batch(
                id=str(body["id"]),
                status=str(body["status"]),
                name=str((body.get("metadata") or {}).get(_NAME) or ""),
                done=int(counts.get("completed") or 0) + int(counts.get("failed") or 0),
                output_file=body.get("output_file_id") or None,
                error_file=body.get("error_file_id") or None,
                faults=tuple((str(each.get("code")), str(each.get("message"))) for each in faults),
            )
        except _UNREADABLE as error:
            raise LlmUnavailableError(f"{self.address}: the answer is no batch ({error!r})") from error
