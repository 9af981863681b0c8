"""One stream of prompts through the language model: as many in flight as it bears, checkpointed as answers come.

There is no batch to wait for: an answer that is done makes room for the next prompt. Each group of finished answers
goes to the generation store at once, so a run that is killed loses at most a group and what was in flight. A prompt
that the model refuses (too long, say) or that fails wherever it is tried is a reject, and the others go on, until there
are too many rejects.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import attrgetter

from batch import progress
from batch.generation.fleet import Fleet
from batch.generation.prompt_files import ChatRow
from batch.plan import LlmSource, Window
from batch.rejects import reject_row
from batch.stores.generation_store import GenerationRow, generated_since, write_generations
from batch.stores.parquet import read_file_rows
from rag.errors import LlmError, LlmRefusedError, TooManyRejectsError
from rag.llm.protocol import Completion, Message, Sampling
from rag.text.table_files import Reject
from warehouse.tables import RejectRow


@dataclass(frozen=True)
class GenerationTask:
    """What a stage has the language model write: with which sampling, and into which store.

    `text` returns what is stored of a completion. The run goes on without prompts that are `optional`: where the model
    is away, they are rejects.
    """

    stage: str
    store: str
    sampling: Sampling
    run_id: str
    llm: LlmSource
    text: Callable[[Completion], str] = attrgetter("text")
    optional: bool = False


class AnswerStream:
    """The prompts of some files through a fleet; `rejects` are those without an answer."""

    def __init__(self, fleet: Fleet, task: GenerationTask, window: Window, began: datetime) -> None:
        self.rejects: list[RejectRow] = []
        self._fleet = fleet
        self._task = task
        self._window = window
        self._began = began
        self._finished: list[GenerationRow] = []
        self._since = time.monotonic()

    async def run(self, paths: Sequence[str]) -> None:
        """Generate what has not been generated since the work began, and write it to the store.

        Raises:
            LlmError: the model is away or misconfigured; what was generated is in the store.
            TooManyRejectsError: more prompts were rejected than the window allows.
        """
        room = asyncio.Semaphore(self._fleet.window)
        try:
            async with asyncio.TaskGroup() as group:
                async for prompt in self._unknown(paths):
                    await room.acquire()
                    group.create_task(self._answer(prompt, room))
                self._fleet.finishing()
        except BaseExceptionGroup as failures:  # the others were cancelled
            raise failures.exceptions[0] from failures
        finally:
            self._write(self._taken())

    async def _unknown(self, paths: Sequence[str]) -> AsyncIterator[ChatRow]:
        """Yield the prompts without an answer since the work began: an earlier attempt may have answered some."""
        known = await asyncio.to_thread(generated_since, self._task.store, self._began)
        for path in paths:
            for row in await asyncio.to_thread(read_file_rows, path, ChatRow):
                if row["fingerprint"] not in known:
                    yield row

    async def _answer(self, prompt: ChatRow, room: asyncio.Semaphore) -> None:
        tokens = 0
        try:
            completion = await self._ask(prompt)
        except LlmError as error:
            if not (self._task.optional or isinstance(error, LlmRefusedError)):
                raise
            self._reject(prompt, error)
        else:
            tokens = completion.completion_tokens
            self._finished.append(_generation(prompt, completion, self._task))
        room.release()
        progress.advance(1, tokens)
        if len(self._finished) >= self._window.checkpoint:
            await asyncio.to_thread(self._write, self._taken())

    async def _ask(self, prompt: ChatRow) -> Completion:
        messages = [Message(**message) for message in json.loads(prompt["messages"])]
        sampling = self._task.sampling
        try:
            return await self._fleet.complete(messages, sampling, prompt["prefix"])
        except LlmRefusedError:
            if not sampling.top_logprobs:
                raise
        # not every server gives probabilities
        return await self._fleet.complete(messages, replace(sampling, top_logprobs=0), prompt["prefix"])

    def _reject(self, prompt: ChatRow, error: LlmError) -> None:
        reject = Reject(prompt["question"], str(error))
        self.rejects.append(reject_row(self._task.run_id, self._task.stage, prompt["collection"], reject))
        if not self._task.optional and len(self.rejects) > self._window.most_rejected:
            raise TooManyRejectsError(
                f"more than [batch] most_rejected = {self._window.most_rejected} prompts have no answer, the last one "
                f'being "{prompt["question"]}": {error}; mend the cause, or raise the setting'
            )

    def _taken(self) -> list[GenerationRow]:
        """Take the answers that are not written; each took its share of the time since the last ones."""
        rows, self._finished = self._finished, []
        now = time.monotonic()
        seconds, self._since = (now - self._since) / max(len(rows), 1), now
        return [{**row, "seconds": seconds} for row in rows]

    def _write(self, rows: list[GenerationRow]) -> None:
        write_generations(self._task.store, rows)


def _generation(prompt: ChatRow, completion: Completion, task: GenerationTask) -> GenerationRow:
    return {
        "fingerprint": prompt["fingerprint"],
        "text": task.text(completion),
        "finish_reason": completion.finish_reason,
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
        "cached_tokens": completion.cached_tokens,
        "run_id": task.run_id,
        "generated_at": datetime.now(UTC),
        "seconds": 0.0,
    }
