"""Where the language model and the business logic meet: one small protocol.

Two implementations: `rag.llm.openai_client.OpenAIEndpoint` (any OpenAI-compatible server over HTTP) and
`batch.vllm.engine.VllmEngine` (vLLM in this process). The front door hands a room its LLM; the room
does not know which. Both take many concurrent calls and batch them continuously, so a batch job is
nothing but many calls at once (`complete_all`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, runtime_checkable

from rag.errors import LlmError


@dataclass(frozen=True)
class Message:
    """One turn of a chat. `role` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True)
class Sampling:
    """How the model draws its tokens. `stop` holds strings at which it ends."""

    max_tokens: int = 192
    temperature: float = 0.0
    top_p: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = 0
    stop: tuple[str, ...] = ()

    def identity(self) -> dict[str, object]:
        """Return what enters an answer's fingerprint."""
        return {
            name: value
            for name, value in asdict(self).items()
            if name not in _CAME_LATER or value != getattr(Sampling, name)
        }


# Left out of the identity where they do nothing, so that what was generated before keeps its fingerprint.
_CAME_LATER = frozenset(("presence_penalty", "repetition_penalty"))


@dataclass(frozen=True)
class Completion:
    """What the model said. `finish_reason` is stop, length or whatever the server gave.

    `message` is the server's whole message object (a `reasoning_content`, tool calls), not its text
    alone. Tokens are counted by the server; `cached_tokens` came from its prefix cache.
    """

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    model: str
    cached_tokens: int = 0
    message: dict[str, object] = field(default_factory=dict)

    @property
    def others(self) -> dict[str, str]:
        """The texts of the message beside the answer, by name: a `reasoning_content` and its like."""
        texts = {name: said for name, said in self.message.items() if isinstance(said, str) and said}
        return {name: said for name, said in texts.items() if name not in {"role", "content"}}


@dataclass(frozen=True)
class Delta:
    """A piece of a streamed completion; the last one carries the whole `completion`.

    `others` are pieces of the other texts of the message, by name (a `reasoning_content`).
    """

    text: str
    completion: Completion | None = None
    others: Mapping[str, str] = field(default_factory=dict)

    @property
    def says_something(self) -> bool:
        """Whether it adds to the message."""
        return bool(self.text or self.others)


class Llm(Protocol):
    """A language model that can be asked. Implementations raise `rag.errors.LlmError` and its children."""

    @property
    def model(self) -> str:
        """The name of the model, with its revision where known."""
        ...

    async def complete(self, messages: Sequence[Message], sampling: Sampling) -> Completion:
        """Answer one chat."""
        ...

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Delta, None]:
        """Answer one chat piece by piece. Closing the iterator cancels the request at the model."""
        ...


@runtime_checkable
class Forwarder(Protocol):
    """A language model that takes a whole OpenAI request as it is: tools, formats and whatever comes next."""

    def forward(self, body: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        """Send a chat completion request and yield the bytes of the response, streamed if it asks so.

        A stream that ends without `[DONE]` raises after what came of it.
        """
        ...


async def complete_all(
    llm: Llm,
    chats: Sequence[Sequence[Message]],
    sampling: Sampling,
    concurrency: int,
    on_done: Callable[[Completion | LlmError], None] = lambda _: None,
) -> list[Completion | LlmError]:
    """Answer many chats at once, at most `concurrency` in flight; one failure is one row, not the batch.

    `on_done` is called for each as it ends, for a progress display.
    """
    gate = asyncio.Semaphore(concurrency)

    async def one(messages: Sequence[Message]) -> Completion | LlmError:
        async with gate:
            try:
                outcome: Completion | LlmError = await llm.complete(messages, sampling)
            except LlmError as error:
                outcome = error
        on_done(outcome)
        return outcome

    return list(await asyncio.gather(*(one(messages) for messages in chats)))
