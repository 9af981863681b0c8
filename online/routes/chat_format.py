"""OpenAI's response shapes: a chat completion whole, and in chunks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec

_PIECE = re.compile(r"\S+\s*|\s+")
_WORDS_A_CHUNK = 8


@dataclass(frozen=True)
class Usage:
    """Tokens; an anticipated answer costs none."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    def as_json(self) -> dict[str, int]:
        """Return the object of the API."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }


@dataclass(frozen=True)
class Frame:
    """What all chunks of an answer have in common."""

    id: str
    created: int
    model: str

    def chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        """Return one chunk as a server-sent event."""
        return self._event([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}])

    def usage(self, usage: Usage, about: dict[str, Any] | None) -> bytes:
        """Return the chunk that closes a stream with what it cost, and where the answer came from."""
        return self._event([], usage=usage.as_json(), **({} if about is None else {"beforehand": about}))

    def _event(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        body = {"id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model}
        return b"data: %b\n\n" % msgspec.json.encode({**body, "choices": choices, **more})

    def whole(self, message: dict[str, Any], finish_reason: str, usage: Usage, about: dict[str, Any] | None) -> bytes:
        """Return a whole completion."""
        body: dict[str, Any] = {
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}],
            "usage": usage.as_json(),
        }
        return msgspec.json.encode(body if about is None else {**body, "beforehand": about})


DONE = b"data: [DONE]\n\n"


def pieces(text: str) -> list[str]:
    """Cut a prepared answer as a live one comes: a few words at a time; joined they are the text."""
    words = _PIECE.findall(text)
    return ["".join(words[start : start + _WORDS_A_CHUNK]) for start in range(0, len(words), _WORDS_A_CHUNK)]
