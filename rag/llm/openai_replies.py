"""Reads the replies of an OpenAI-compatible server: whole completions, and the chunks of a stream.

Every text is made encodable here. JSON can express half a character (a lone surrogate, as in "\\ud83d"), and a server
that splits characters into tokens may send one; no socket or file accepts such a text. Halves that belong together
are joined, even across chunks; a lone one becomes U+FFFD.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from typing import Any, TypedDict

from rag.errors import Refusal
from rag.llm.protocol import Completion, Delta

_CONTENT = "content"
_OWN_FIELDS = {"role", _CONTENT}
_BAD_REQUEST = {400, 422}
_LONGEST_REFUSAL = 1000


def valid_text(text: str) -> str:
    """Replace lone surrogates, so that the text can be encoded."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def valid(said: Any) -> Any:
    """Apply `valid_text` to every text of decoded JSON."""
    if isinstance(said, str):
        return valid_text(said)
    if isinstance(said, dict):
        return {valid_text(name): valid(value) for name, value in said.items()}
    return [valid(each) for each in said] if isinstance(said, list) else said


def completion_of(body: Any, model: str) -> Completion:
    """Read a whole completion; a reply of another shape raises an exception of any kind."""
    body = valid(body)
    choice = body["choices"][0]
    message = dict(choice["message"])
    text = message.get(_CONTENT) or ""
    if not isinstance(text, str):
        raise TypeError(f"its content must be text, not {type(text).__name__}")
    return Completion(
        text=text,
        finish_reason=choice.get("finish_reason") or "stop",
        model=str(body.get("model") or model),
        message=message,
        **_usage(body.get("usage") or {}),
        first_tokens=_first_tokens(choice),
    )


def _first_tokens(choice: dict[str, Any]) -> dict[str, float]:
    """Return the probabilities of the first token's alternatives; none where the server gives none that can be read."""
    try:
        likeliest = choice["logprobs"]["content"][0]["top_logprobs"]
        return {str(each["token"]): math.exp(min(float(each["logprob"]), 0.0)) for each in likeliest}
    except (LookupError, TypeError, ValueError):
        return {}


def refusal_of(status: int, body: bytes) -> Refusal | None:
    """Read the reason of a 400 or 422; None for another status or a body that is not in OpenAI's form."""
    if status not in _BAD_REQUEST:
        return None
    try:
        said = valid(json.loads(body))
        error = said.get("error", said)  # older versions of vLLM put the fields at the top level
        message, param, code = (_text(error.get(name)) for name in ("message", "param", "code"))
    except (ValueError, AttributeError, RecursionError):
        return None
    return Refusal(status, message[:_LONGEST_REFUSAL], param, code) if message else None


def _text(said: object) -> str | None:
    return said.strip() or None if isinstance(said, str) else None


class _Usage(TypedDict):
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


def _usage(usage: dict[str, Any]) -> _Usage:
    details = usage.get("prompt_tokens_details") or {}
    return {
        "prompt_tokens": int(usage.get("prompt_tokens") or 0),
        "completion_tokens": int(usage.get("completion_tokens") or 0),
        "cached_tokens": int(details.get("cached_tokens") or 0),
    }


class _Text:
    """A text that arrives in pieces, which may end in the middle of a character."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._half = ""

    def take(self, piece: str) -> str:
        """Add a piece and return the text that is complete so far."""
        text = self._half + piece
        self._half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return self._say(text.removesuffix(self._half))

    def end(self) -> str:
        """Return what was held back: half a character whose other half never came."""
        half, self._half = self._half, ""
        return self._say(half)

    def _say(self, text: str) -> str:
        said = valid_text(text)
        self._pieces.append(said)
        return said

    def __str__(self) -> str:
        return "".join(self._pieces)


class StreamedReply:
    """A reply that arrives as a stream of chunks."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._texts: defaultdict[str, _Text] = defaultdict(_Text)
        self._usage = _usage({})
        self.finish_reason = ""

    def take(self, chunk: dict[str, Any]) -> Delta:
        """Add a chunk and return what it adds to the message."""
        self._model = valid_text(str(chunk.get("model") or self._model))
        if chunk.get("usage"):
            self._usage = _usage(chunk["usage"])
        if not chunk.get("choices"):
            return Delta("")
        choice = chunk["choices"][0]
        self.finish_reason = valid_text(str(choice.get("finish_reason") or self.finish_reason))
        delta = choice.get("delta") or {}
        others = {
            valid_text(name): said for name, said in delta.items() if name not in _OWN_FIELDS and isinstance(said, str)
        }
        said = {name: self._texts[name].take(piece) for name, piece in others.items()}
        return _delta({**said, _CONTENT: self._texts[_CONTENT].take(str(delta.get(_CONTENT) or ""))})

    def end(self) -> Delta:
        """Return the text that was held back."""
        return _delta({name: text.end() for name, text in self._texts.items()})

    def completion(self) -> Completion:
        """Return the whole completion."""
        texts = {name: str(text) for name, text in self._texts.items()}
        text = texts.pop(_CONTENT, "")
        message: dict[str, object] = {"role": "assistant", **texts, _CONTENT: text}
        return Completion(
            text=text, finish_reason=self.finish_reason, model=self._model, message=message, **self._usage
        )


def _delta(said: dict[str, str]) -> Delta:
    return Delta(said.pop(_CONTENT, ""), others={name: piece for name, piece in said.items() if piece})
