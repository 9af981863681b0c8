"""OpenAI's response shapes: a chat completion whole, and in chunks."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from online.http.openai_schemas import ChatCompletion, Choice, Provenance
from online.http.schemas import JsonObject

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

    def chunk(
        self, delta: Mapping[str, str], finish_reason: str | None = None, about: Provenance | None = None
    ) -> bytes:
        """Return one chunk as a server-sent event; the last one says where the answer came from."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self._event([choice], {} if about is None else {"beforehand": about})

    def usage(self, usage: Usage, about: Provenance | None) -> bytes:
        """Return the chunk that closes a stream with what it cost, and where the answer came from."""
        return self._event([], {"usage": usage.as_json()} | ({} if about is None else {"beforehand": about}))

    def _event(self, choices: Sequence[Mapping[str, object]], more: Mapping[str, object]) -> bytes:
        body = {"id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model}
        return b"data: %b\n\n" % msgspec.json.encode({**body, "choices": choices, **more})

    def whole(self, message: JsonObject, finish_reason: str, usage: Usage, about: Provenance | None) -> bytes:
        """Return a whole completion."""
        completion = ChatCompletion(
            id=self.id,
            object="chat.completion",
            created=self.created,
            model=self.model,
            choices=[Choice(index=0, message=message, finish_reason=finish_reason)],
            usage=usage.as_json(),
            beforehand=about or msgspec.UNSET,
        )
        return msgspec.json.encode(completion)


DONE = b"data: [DONE]\n\n"


def pieces(text: str) -> list[str]:
    """Cut a prepared answer into pieces of a few words, as a live one streams; joined they are the text."""
    words = _PIECE.findall(text)
    return ["".join(words[start : start + _WORDS_A_CHUNK]) for start in range(0, len(words), _WORDS_A_CHUNK)]


def said_in_reply(body: bytes) -> str:
    """Return all that a completion says, in all choices, tool calls included."""
    texts: dict[object, str] = {}
    _gather(json.loads(body).get("choices"), (), texts)
    return "\n".join(texts.values())


def said_in_stream(stream: Iterable[bytes]) -> str:
    """Return all that a stream says, each text of each choice joined from its pieces."""
    texts: dict[object, str] = {}
    for line in b"".join(stream).split(b"\n"):
        if line.startswith(b"data:") and line.removeprefix(b"data:").strip() != b"[DONE]":
            with contextlib.suppress(ValueError, AttributeError):
                _gather(json.loads(line.removeprefix(b"data:")).get("choices"), (), texts)
    return "\n".join(texts.values())


def _gather(value: object, place: tuple[object, ...], texts: dict[object, str]) -> None:
    """Add the texts of a reply, or of a piece of one, to those that are known from the same place."""
    if isinstance(value, str):
        texts[place] = texts.get(place, "") + value
    elif isinstance(value, dict):
        for name, inside in value.items():
            _gather(inside, (*place, name), texts)
    elif isinstance(value, list):
        for number, inside in enumerate(value):
            of_its_own = inside.get("index", number) if isinstance(inside, dict) else number
            _gather(inside, (*place, of_its_own), texts)
