"""Client for any OpenAI-compatible server, over HTTP with pooled connections.

It makes one attempt: a repeated chat completion costs tokens again, and the caller knows better whether to retry. The
connections are those of `rag.llm.http_session`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence

import aiohttp
from pydantic import SecretStr

from rag.credentials import MASK, SecretAddress, public_address, secret_values
from rag.errors import LlmRefusedError, LlmUnavailableError
from rag.llm.http_session import HttpSession, NetworkError
from rag.llm.openai_errors import refused, said_in, unavailable
from rag.llm.openai_replies import StreamedReply, completion_of, refusal_of
from rag.llm.openai_requests import chat_body
from rag.llm.protocol import Completion, Delta, Message, Sampling

_DONE = b"[DONE]"
_UNAUTHORISED = 401
# Raised when a body has an unexpected shape.
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


class OpenAIEndpoint:
    """Implements `rag.llm.protocol.Llm`. `base_url` ends in /v1; `timeout` limits each wait for bytes, in seconds.

    A user name and password in it are sent as Basic authentication, in place of the `api_key`, and its query with each
    request. No error quotes them or the key, even where the server does.

    `carried` returns extra headers for each request, such as those of a trace.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key: str | None = None,
        timeout: float = 60.0,
        connections: int = 128,
        carried: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._carried = carried
        self._base_url = public_address(base_url).rstrip("/")  # for errors
        self._secrets = secret_values(SecretAddress(base_url), SecretStr(api_key or ""))
        self._model = model
        self._session = HttpSession(base_url, api_key, timeout, connections)
        self._url = self._session.url("/chat/completions")

    @property
    def model(self) -> str:
        """The model's name as the server knows it."""
        return self._model

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.aclose()

    async def complete(
        self, messages: Sequence[Message], sampling: Sampling, headers: Mapping[str, str] | None = None
    ) -> Completion:
        """Answer one chat.

        Raises:
            LlmRefusedError: the server rejects the request (4xx).
            LlmMisconfiguredError: it rejects the key, or doesn't know the model (401, 403, 404).
            LlmUnavailableError: it can't be reached, is too slow, overloaded, or sends an unreadable reply.
        """
        response = await self._send(chat_body(self._model, messages, sampling), headers)
        try:
            return completion_of(json.loads(await response.read()), self._model)
        except NetworkError as error:
            raise unavailable(self._base_url, error) from error
        except _UNREADABLE as error:
            raise LlmUnavailableError(f"{self._base_url}: the answer is not a chat completion ({error!r})") from error
        finally:
            response.close()

    async def stream(
        self, messages: Sequence[Message], sampling: Sampling, headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Delta, None]:
        """Stream the answer to one chat; the last delta carries the whole completion.

        Raises:
            LlmError: as for `complete`; also in the middle of an answer.
        """
        response = await self._send(chat_body(self._model, messages, sampling, stream=True), headers)
        reply = StreamedReply(self._model)
        try:
            async for payload in _events(response):
                if payload == _DONE:
                    break
                chunk = json.loads(payload)
                if chunk.get("error"):
                    raise LlmUnavailableError(
                        f"{self._base_url}: the stream broke off: {said_in(chunk, self._secrets)}"
                    )
                if (delta := reply.take(chunk)).says_something:
                    yield delta
        except NetworkError as error:
            raise unavailable(self._base_url, error) from error
        except _UNREADABLE as error:
            raise LlmUnavailableError(f"{self._base_url}: a chunk of the stream can't be read ({error!r})") from error
        finally:
            response.close()
        if not reply.finish_reason:
            raise LlmUnavailableError(f"{self._base_url}: the stream broke off before the answer was complete")
        if (rest := reply.end()).says_something:
            yield rest
        yield Delta("", reply.completion())

    async def listed_models(self) -> frozenset[str]:
        """Return the models that the server lists, which costs nothing; none if it is away or has no such list.

        Raises:
            LlmMisconfiguredError: the server rejects the key.
        """
        try:
            response = await self._session.request("GET", self._session.url("/models"))
            try:
                content = await response.read()
                if response.status == _UNAUTHORISED:
                    raise refused(self._base_url, response.status, response.headers, content, self._secrets)
                return frozenset(str(each["id"]) for each in json.loads(content)["data"])
            finally:
                response.close()
        except (*NetworkError, *_UNREADABLE):
            return frozenset()

    async def forward(self, body: Mapping[str, object]) -> AsyncGenerator[bytes, None]:
        """Send a raw chat completion request with this model's name; yield the response as it arrives.

        A stream is yielded in whole lines, any other response at once.

        Raises:
            LlmError: as for `complete`; also in the middle of a stream.
        """
        response = await self._send({**body, "model": self._model}, None)
        try:
            if body.get("stream"):
                async for lines in self._whole_lines(response):
                    yield lines
            else:
                content = await response.read()
                json.loads(content)
                yield content
        except NetworkError as error:
            raise unavailable(self._base_url, error) from error
        except _UNREADABLE as error:
            raise LlmUnavailableError(f"{self._base_url}: the answer is not JSON ({error!r})") from error
        finally:
            response.close()

    async def _whole_lines(self, response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
        """Yield a stream in whole lines; raise at its end if it holds an error or lacks `[DONE]`."""
        done, failure, rest = False, "", b""
        async for piece in response.content.iter_any():
            *lines, rest = (rest + piece).split(b"\n")
            for payload in map(_payload, lines):
                done = done or payload == _DONE
                failure = failure or _failure(payload, self._secrets)
            if lines:
                yield b"\n".join([*lines, b""])
        if _payload(rest) == _DONE:
            done = True
            yield rest + b"\n\n"
        if failure or not done:
            raise LlmUnavailableError(f"{self._base_url}: the stream broke off: {failure or 'it has no [DONE]'}")

    async def _send(self, body: dict[str, object], headers: Mapping[str, str] | None) -> aiohttp.ClientResponse:
        try:
            response = await self._session.post(self._url, body, {**self._carried(), **(headers or {})})
        except NetworkError as error:
            raise unavailable(self._base_url, error) from error
        if 200 <= response.status < 300:
            return response
        try:
            content = await response.read()
            refusal = refused(self._base_url, response.status, response.headers, content, self._secrets)
            if isinstance(refusal, LlmRefusedError):
                refusal.refusal = refusal_of(response.status, _without(self._secrets, content))
            raise refusal
        except (*NetworkError, RecursionError) as error:
            raise unavailable(self._base_url, error) from error
        finally:
            response.close()


async def _events(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    """Yield the payloads of an event stream; only a line feed ends a line, as U+2028 may be in an answer."""
    rest = b""
    async for piece in response.content.iter_any():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if payload := _payload(line):
                yield payload


def _payload(line: bytes) -> bytes:
    return line.removeprefix(b"data:").strip() if line.startswith(b"data:") else b""


def _failure(payload: bytes, secrets: Collection[str]) -> str:
    """Return the error message of a stream event, or ""."""
    if b'"error"' not in payload:  # within a text its quotes would be escaped
        return ""
    try:
        chunk = json.loads(payload)
        return said_in(chunk, secrets) if chunk.get("error") else ""
    except _UNREADABLE:
        return ""


def _without(secrets: Collection[str], content: bytes) -> bytes:
    for secret in secrets:
        content = content.replace(secret.encode(), MASK.encode())
    return content
