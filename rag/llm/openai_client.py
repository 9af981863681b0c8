"""Client for any OpenAI-compatible server, over HTTP with pooled connections.

It makes one attempt: a repeated chat completion costs tokens again, and the caller knows better whether to retry. The
connections are those of `rag.llm.http_session`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
from pydantic import SecretStr

from rag.credentials import MASK, SecretAddress, hide, public_address, secret_values
from rag.errors import LlmError, LlmMisconfiguredError, LlmRefusedError, LlmUnavailableError
from rag.llm.http_session import HttpSession, NetworkError, never_arrived
from rag.llm.openai_replies import StreamedReply, completion_of, refusal_of
from rag.llm.protocol import Completion, Delta, Message, Sampling

_LONGEST_WAIT = 3600.0  # upper limit for Retry-After
# The settings to check when the server refuses every request; its other 4xx are about a single request.
_SETTINGS = {
    401: "check [llm] api_key",
    403: "check [llm] api_key",
    404: "check [llm] model and [llm] endpoint (where the batch has its own, [batch] endpoints)",
}
_BUSY = {429, 503}
_DONE = b"[DONE]"
_PENALTIES = (
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
)  # the last is vLLM's; others refuse it
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
        self._session = HttpSession(base_url, "/chat/completions", api_key, timeout, connections)

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
        response = await self._send(self._body(messages, sampling, stream=False), headers)
        try:
            return completion_of(json.loads(await response.read()), self._model)
        except NetworkError as error:
            raise self._unavailable(error) from error
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
        response = await self._send(self._body(messages, sampling, stream=True), headers)
        reply = StreamedReply(self._model)
        try:
            async for payload in _events(response):
                if payload == _DONE:
                    break
                chunk = json.loads(payload)
                if chunk.get("error"):
                    raise LlmUnavailableError(f"{self._base_url}: the stream broke off: {_said(chunk, self._secrets)}")
                if (delta := reply.take(chunk)).says_something:
                    yield delta
        except NetworkError as error:
            raise self._unavailable(error) from error
        except _UNREADABLE as error:
            raise LlmUnavailableError(f"{self._base_url}: a chunk of the stream can't be read ({error!r})") from error
        finally:
            response.close()
        if not reply.finish_reason:
            raise LlmUnavailableError(f"{self._base_url}: the stream broke off before the answer was complete")
        if (rest := reply.end()).says_something:
            yield rest
        yield Delta("", reply.completion())

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
            raise self._unavailable(error) from error
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

    def _body(self, messages: Sequence[Message], sampling: Sampling, *, stream: bool) -> dict[str, object]:
        body: dict[str, object] = {
            "model": self._model,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "stream": stream,
        }
        penalties = {name: getattr(sampling, name) for name in _PENALTIES}
        body |= {name: value for name, value in penalties.items() if value != getattr(Sampling, name)}
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        if sampling.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": sampling.top_logprobs}
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if stream:
            body["stream_options"] = {"include_usage": True}
        return body

    async def _send(self, body: dict[str, object], headers: Mapping[str, str] | None) -> aiohttp.ClientResponse:
        try:
            response = await self._session.post(body, {**self._carried(), **(headers or {})})
        except NetworkError as error:
            raise self._unavailable(error) from error
        if 200 <= response.status < 300:
            return response
        try:
            content = await response.read()
            refusal = _refusal(self._base_url, response, content, self._secrets)
            if isinstance(refusal, LlmRefusedError):
                refusal.refusal = refusal_of(response.status, _without(self._secrets, content))
            raise refusal
        except (*NetworkError, RecursionError) as error:
            raise self._unavailable(error) from error
        finally:
            response.close()

    def _unavailable(self, error: Exception) -> LlmUnavailableError:
        what = "took too long" if isinstance(error, TimeoutError) else "can't be reached"
        return LlmUnavailableError(
            f"the language model at {self._base_url} {what} ({type(error).__name__}); is `beforehand llm` running?",
            reached=not never_arrived(error),
        )


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
        return _said(chunk, secrets) if chunk.get("error") else ""
    except _UNREADABLE:
        return ""


def _without(secrets: Collection[str], content: bytes) -> bytes:
    for secret in secrets:
        content = content.replace(secret.encode(), MASK.encode())
    return content


def _refusal(base_url: str, response: aiohttp.ClientResponse, content: bytes, secrets: Collection[str]) -> LlmError:
    status = response.status
    try:
        said = _said(json.loads(content), secrets)
    except ValueError:
        said = hide(content.decode(errors="replace"), secrets)[:300]
    message = f"the language model at {base_url} answered {status}: {' '.join(said.split())}"
    if status in {408, 409, 429} or status >= 500:
        return LlmUnavailableError(message, _retry_after(response.headers), busy=status in _BUSY)
    if status in _SETTINGS:
        return LlmMisconfiguredError(f"{message}; {_SETTINGS[status]}")
    return LlmRefusedError(message)


def _said(body: object, secrets: Collection[str]) -> str:
    """Return the message of an error body, in OpenAI's form or any other, without secrets."""
    error = body.get("error", body) if isinstance(body, dict) else body
    said = error.get("message", error) if isinstance(error, dict) else error
    return hide(str(said), secrets)[:300]


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the wait that the server asks for in seconds, also if given as a date; None without one."""
    try:
        if "retry-after-ms" in headers:
            seconds = float(headers["retry-after-ms"]) / 1000
        elif headers.get("retry-after", "")[:1].isdigit():
            seconds = float(headers["retry-after"])
        else:
            seconds = (parsedate_to_datetime(headers["retry-after"]) - datetime.now(UTC)).total_seconds()
    except (KeyError, ValueError, TypeError):
        return None
    return min(max(0.0, seconds), _LONGEST_WAIT)
