"""A fleet of endpoints that take turns: one that is away passes its work on, and where all ask to wait, we wait."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncGenerator, Sequence

from batch.plan import LlmSource
from rag.errors import LlmUnavailableError
from rag.llm.openai_client import OpenAIEndpoint
from rag.llm.protocol import Completion, Delta, Message, Sampling

_LONGEST_WAIT = 60.0  # seconds
_TRIES = 5  # of a chat whose endpoints all ask to wait


class EndpointFleet:
    """Several servers of one model behind the protocol of `rag.llm.protocol`; each chat goes to the next one."""

    def __init__(self, source: LlmSource, concurrency: int) -> None:
        key = source.api_key.get_secret_value() if source.api_key else None
        self._members = [
            OpenAIEndpoint(url.get_secret_value(), source.name, key, source.timeout_seconds, concurrency)
            for url in source.endpoints
        ]
        self._turns = itertools.count()

    @property
    def model(self) -> str:
        """The model's name."""
        return self._members[0].model

    async def complete(self, messages: Sequence[Message], sampling: Sampling) -> Completion:
        """Ask the next endpoint, then the others; wait and start over if all of them ask to wait."""
        first = next(self._turns)  # each chat counts for itself, so that concurrent ones don't skip an endpoint
        for attempt in range(1, _TRIES * len(self._members) + 1):
            try:
                return await self._members[(first + attempt) % len(self._members)].complete(messages, sampling)
            except LlmUnavailableError as error:
                all_asked = attempt % len(self._members) == 0
                if all_asked and (error.retry_after is None or attempt == _TRIES * len(self._members)):
                    raise
                if all_asked and error.retry_after is not None:
                    await asyncio.sleep(min(error.retry_after, _LONGEST_WAIT) + random.random())
        raise AssertionError("unreachable")

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Delta, None]:
        """Stream from the next endpoint."""
        return self._members[next(self._turns) % len(self._members)].stream(messages, sampling)

    async def aclose(self) -> None:
        """Close the connections of all endpoints."""
        for member in self._members:
            await member.aclose()
