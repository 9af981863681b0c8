"""In place of a language model where there is none: only prepared answers are served, as `[llm] mode = "none"` says."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from rag.errors import LlmUnavailableError
from rag.llm.protocol import Completion, Delta, Message, Sampling


@dataclass(frozen=True)
class NoModel:
    """An `Llm` that is never asked: `LanguageModel` refuses before."""

    model: str = "none"

    async def complete(self, messages: Sequence[Message], sampling: Sampling) -> Completion:  # noqa: ARG002
        """Raise: there is no model."""
        raise LlmUnavailableError("there is no language model")

    async def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Delta, None]:
        """Raise: there is no model."""
        await self.complete(messages, sampling)
        yield Delta("")
