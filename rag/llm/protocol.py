"""The protocol between the business logic and the language model.

It has two implementations: `rag.llm.openai_client.OpenAIEndpoint` (any OpenAI-compatible server over HTTP) and
`batch.vllm.engine.VllmEngine` (vLLM in this process). The front door passes a room its LLM; the room doesn't know
which. Both accept many concurrent calls and batch them continuously, so a batch job is just many calls at once
(`complete_all`). What takes hours to answer is no call: prompts go to it as files (`batch.generation.batch_api`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Protocol, runtime_checkable

from rag.errors import LlmError


@dataclass(frozen=True)
class Message:
    """One turn of a chat. `role` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True)
class Sampling:
    """Sampling parameters. Generation ends at any string of `stop`.

    `top_logprobs` asks for the likeliest first tokens, where the server can name them.
    """

    max_tokens: int = 192
    temperature: float = 0.0
    top_p: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = 0
    stop: tuple[str, ...] = ()
    top_logprobs: int = 0

    def identity(self) -> dict[str, object]:
        """Return the parameters that are part of an answer's fingerprint."""
        return {
            name: value
            for name, value in ((each.name, getattr(self, each.name)) for each in fields(self))
            if name not in _ADDED_LATER or value != getattr(Sampling, name)
        }


# Left out of the identity at their defaults, so that older answers keep their fingerprints.
_ADDED_LATER = frozenset(("presence_penalty", "repetition_penalty", "top_logprobs"))


@dataclass(frozen=True)
class Completion:
    """A finished answer of the model. `finish_reason` is stop, length or another reason of the server.

    `message` is the server's whole message object, with a `reasoning_content` or tool calls if it has any. Token
    counts are the server's; `cached_tokens` came from its prefix cache. `first_tokens` are the probabilities of the
    likeliest first tokens, where they were asked for and given.
    """

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    model: str
    cached_tokens: int = 0
    message: dict[str, object] = field(default_factory=dict)
    first_tokens: Mapping[str, float] = field(default_factory=dict)

    @property
    def others(self) -> dict[str, str]:
        """The other texts of the message by name, such as a `reasoning_content`."""
        texts = {name: said for name, said in self.message.items() if isinstance(said, str) and said}
        return {name: said for name, said in texts.items() if name not in {"role", "content"}}


@dataclass(frozen=True)
class Delta:
    """A piece of a streamed completion; the last one carries the whole `completion`.

    `others` are pieces of the message's other texts by name, such as a `reasoning_content`.
    """

    text: str
    completion: Completion | None = None
    others: Mapping[str, str] = field(default_factory=dict)

    @property
    def says_something(self) -> bool:
        """Whether the delta adds to the message."""
        return bool(self.text or self.others)


class Llm(Protocol):
    """A language model. Implementations raise `rag.errors.LlmError` and its subclasses."""

    @property
    def model(self) -> str:
        """The model's name, with its revision if known."""
        ...

    async def complete(self, messages: Sequence[Message], sampling: Sampling) -> Completion:
        """Answer one chat."""
        ...

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Delta, None]:
        """Stream the answer to one chat. Closing the iterator cancels the request at the model."""
        ...


@runtime_checkable
class Forwarder(Protocol):
    """A language model that accepts a raw OpenAI request, with tools, formats and any other field."""

    def forward(self, body: Mapping[str, object]) -> AsyncGenerator[bytes, None]:
        """Send a chat completion request and yield the bytes of the response, streamed if the request says so.

        A stream that ends without `[DONE]` raises after its last line.
        """
        ...


async def complete_all(
    llm: Llm,
    chats: Sequence[Sequence[Message]],
    sampling: Sampling,
    concurrency: int,
    on_done: Callable[[Completion | LlmError], None] = lambda _: None,
) -> list[Completion | LlmError]:
    """Answer many chats, at most `concurrency` at a time; a failure takes its place in the list.

    `on_done` is called with each outcome as it arrives, for a progress display.
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
