"""Generate: prompts into answers, with vLLM, through Beam's RunInference.

Only what the answer store does not know is generated. The prompts are ordered by shared prefix and cut into
batches here, since a batch's composition is what decides the speed; RunInference gets one batch an element
and does not batch again. Each finished batch is written to the answer store at once: that is the checkpoint.
A prompt that the model refuses (too long, say) is a reject, the others of its batch go on.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference

from batch import progress
from batch.generation.prompt_order import batches, order_by_prefix
from batch.pipeline import running_pipeline
from batch.plan import Figures, LlmSource, RunPlan
from batch.reading.documents import Reject
from batch.rejects import reject_row
from batch.stages.retrieve import PROMPTS
from batch.stores.generation_store import known_fingerprints, made_by_run, write_checkpoint
from batch.stores.parquet import WriteRows, count_rows, empty_folder, make_folder, read_table
from rag.errors import LlmError, LlmRefusedError, LlmUnavailableError
from rag.llm.openai_client import OpenAIEndpoint
from rag.llm.protocol import Completion, Llm, Message, Sampling, complete_all
from warehouse.tables import REJECTS

STAGE = "generate"


_LONGEST_WAIT = 60.0  # seconds
_TRIES = 5  # of a chat whose endpoints all ask to wait


@dataclass(frozen=True)
class PromptBatch:
    """Prompts that are generated together and checkpointed together; rows of the prompts table."""

    rows: tuple[dict[str, Any], ...]


class _Fleet:
    """Endpoints that take turns; each chat goes to the next one. Implements what `complete_all` needs."""

    def __init__(self, source: LlmSource, concurrency: int) -> None:
        key = source.api_key.get_secret_value() if source.api_key else None
        self._members = [
            OpenAIEndpoint(url, source.name, key, source.timeout_seconds, concurrency) for url in source.endpoints
        ]
        self._turns = itertools.count()

    @property
    def model(self) -> str:
        return self._members[0].model

    async def complete(self, messages: Sequence[Message], sampling: Sampling) -> Completion:
        """Ask the next endpoint; one that is away passes the chat on, and where all ask to wait, wait."""
        first = next(self._turns)  # its own order: others that ask meanwhile must not lead it to the same one twice
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

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> Any:
        return self._members[next(self._turns) % len(self._members)].stream(messages, sampling)

    async def aclose(self) -> None:
        for member in self._members:
            await member.aclose()


@asynccontextmanager
async def _opened(source: LlmSource, concurrency: int) -> Any:
    """Give the source's LLM for one batch: connections belong to an event loop, an engine to the process."""
    if source.kind == "endpoints":
        fleet = _Fleet(source, concurrency)
        try:
            yield fleet
        finally:
            await fleet.aclose()
    else:
        yield _engine(source)


def _engine(source: LlmSource) -> Llm:
    from batch.vllm.engine import engine_for

    assert source.folder is not None, "an engine needs the model's folder"
    return engine_for(source.folder, source.vllm, source.context_tokens)


@dataclass(frozen=True)
class Writing:
    """What a stage has the language model write: how the text is drawn, and the store of its checkpoints."""

    stage: str
    store: str
    sampling: Sampling
    run_id: str
    llm: LlmSource


class VllmHandler(ModelHandler):
    """Beam's handle on the language model. `load_model` keeps the engine in an importable module.

    Beam calls `load_model` again for each pipeline; `batch.vllm.engine` returns the engine that it has.
    """

    def __init__(self, writing: Writing) -> None:
        super().__init__()
        self._writing = writing

    def load_model(self) -> LlmSource:
        """Start the engine where it is in this process; endpoints need no start."""
        if self._writing.llm.kind == "engine":
            _engine(self._writing.llm)
        return self._writing.llm

    def run_inference(
        self, batch: Sequence[PromptBatch], model: LlmSource, inference_args: dict[str, Any] | None = None
    ) -> Iterable[list[dict[str, Any]]]:
        """Generate each batch and write its checkpoint; gives the rejects of each."""
        assert not inference_args, "the sampling parameters come from the plan"
        for each in batch:
            yield generate_batch(each, model, self._writing)

    def batch_elements_kwargs(self) -> dict[str, int]:
        """One element is a whole batch already."""
        return {"min_batch_size": 1, "max_batch_size": 1}

    def get_metrics_namespace(self) -> str:
        """Name Beam's own counters."""
        return "beforehand_generate"


def generate_batch(batch: PromptBatch, source: LlmSource, writing: Writing) -> list[dict[str, Any]]:
    """Generate one batch, write it to its store, return the rejects.

    Raises:
        LlmUnavailableError: nothing of the batch could be generated because the model is away.
    """
    started = time.monotonic()
    outcomes = asyncio.run(_complete(batch, source, writing.sampling))
    seconds = (time.monotonic() - started) / len(batch.rows)
    answered = [
        _generation(row, outcome, writing.run_id, seconds)
        for row, outcome in zip(batch.rows, outcomes, strict=True)
        if isinstance(outcome, Completion)
    ]
    write_checkpoint(writing.store, answered)
    failed = [(row, each) for row, each in zip(batch.rows, outcomes, strict=True) if isinstance(each, LlmError)]
    away = [error for _, error in failed if not isinstance(error, LlmRefusedError)]
    if away:  # what was answered is kept; the rest is tried again by the stage's retry
        raise away[0]
    return [
        reject_row(writing.run_id, writing.stage, row["collection"], Reject(row["question"], str(error)))
        for row, error in failed
    ]


async def _complete(batch: PromptBatch, source: LlmSource, sampling: Sampling) -> list[Completion | LlmError]:
    chats = [[Message(**message) for message in json.loads(row["messages"])] for row in batch.rows]

    def done(outcome: Completion | LlmError) -> None:
        progress.advance(1, outcome.completion_tokens if isinstance(outcome, Completion) else 0)

    async with _opened(source, len(chats)) as llm:
        return await complete_all(llm, chats, sampling, len(chats), done)


def _generation(row: dict[str, Any], completion: Completion, run_id: str, seconds: float) -> dict[str, Any]:
    return {
        "fingerprint": row["fingerprint"],
        "text": completion.text,
        "finish_reason": completion.finish_reason,
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
        "cached_tokens": completion.cached_tokens,
        "run_id": run_id,
        "generated_at": datetime.now(UTC),
        "seconds": seconds,
    }


def plan_batches(plan: RunPlan) -> tuple[list[PromptBatch], frozenset[str]]:
    """Order and cut what is not known; also returns the fingerprints of all answers that the run needs."""
    rows = read_table(f"{plan.folder('retrieve')}/prompts", PROMPTS).to_pylist()
    written = set(curated_keys(plan))
    needed = {row["fingerprint"]: row for row in rows if row["query_key"] not in written}
    known = known_fingerprints(plan.answer_store)
    pending = [row for fingerprint, row in needed.items() if fingerprint not in known]
    order = order_by_prefix([row["chunk_ids"] for row in pending])
    cut = batches([pending[place] for place in order], plan.settings.batch_size)
    return [PromptBatch(tuple(each)) for each in cut], frozenset(needed)


def curated_keys(plan: RunPlan) -> Iterator[str]:
    """Give the questions whose answer the team wrote."""
    from batch.stages.anticipate import CURATED

    yield from read_table(f"{plan.folder('anticipate')}/curated", CURATED, ["query_key"])["query_key"].to_pylist()


def generate(plan: RunPlan) -> Figures:
    """Run the pipeline; the model is not even loaded where everything is known."""
    pending, needed = plan_batches(plan)
    rejected = write(plan, pending, Writing(STAGE, plan.answer_store, plan.sampling, plan.run_id, plan.llm), "answers")
    made, tokens = made_by_run(plan.answer_store, plan.run_id)
    generated = len(needed & made)
    return {"generated": generated, "reused": len(needed) - generated - rejected, "rejects": rejected, **tokens}


def write(plan: RunPlan, pending: Sequence[PromptBatch], writing: Writing, unit: str) -> int:
    """Run the pipeline over batches, if there are any, and return how many prompts were rejected.

    `unit` is what is counted while it runs.
    """
    rejects = f"{plan.folder(writing.stage)}/rejects"
    empty_folder(rejects)
    if pending:
        make_folder(writing.store)
        progress.expect("loading the language model", sum(len(each.rows) for each in pending), unit)
        with running_pipeline(plan) as pipeline:
            _ = (
                pipeline
                # in this process the order is kept; other runners spread the batches over their workers
                | "Batches" >> beam.Create(pending, reshuffle=plan.settings.runner != "embedded")
                | "Generate" >> RunInference(VllmHandler(writing))
                | "Rejects" >> beam.FlatMap(list)
                | "WriteRejects" >> WriteRows(rejects, REJECTS)
            )
    return count_rows(rejects)
