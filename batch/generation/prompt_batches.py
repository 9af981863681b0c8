"""Batches of prompts into generations, through Beam's RunInference; answers and proposals are both made here.

RunInference gets one batch per element and does not batch again, since a batch's composition decides the speed.
Each finished batch goes to the generation store at once: that is the checkpoint. A prompt that the model refuses
(too long, say) is a reject, and the others of its batch go on.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import attrgetter
from typing import TypedDict

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference

from batch import progress
from batch.generation.endpoint_fleet import EndpointFleet
from batch.pipeline import running_pipeline
from batch.plan import LlmSource, RunPlan
from batch.rejects import reject_row
from batch.stores.generation_store import GenerationRow, write_generations
from batch.stores.parquet import WriteRows, count_rows, empty_folder, make_folder
from rag.errors import LlmError, LlmRefusedError
from rag.llm.protocol import Completion, Llm, Message, Sampling, complete_all
from rag.text.table_files import Reject
from warehouse.tables import RejectRow


class ChatRow(TypedDict):
    """A prompt to be generated: `question` names it in a reject, `messages` is the chat as JSON.

    Rows of the prompts table are such prompts too.
    """

    collection: str
    question: str
    fingerprint: str
    messages: str


@dataclass(frozen=True)
class PromptBatch:
    """Prompts that are generated and checkpointed together."""

    prompts: tuple[ChatRow, ...]


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


def generate_batches(plan: RunPlan, batches: Sequence[PromptBatch], task: GenerationTask, unit: str) -> int:
    """Run the pipeline over the batches, if there are any, and return how many prompts were rejected.

    `unit` is what the progress display counts. The model is not loaded where there is nothing to do.
    """
    rejects = f"{plan.folder(task.stage)}/rejects"
    empty_folder(rejects)
    if batches:
        make_folder(task.store)
        progress.expect("loading the language model", sum(len(each.prompts) for each in batches), unit)
        with running_pipeline(plan) as pipeline:
            _ = (
                pipeline
                # in this process the order is kept; other runners spread the batches over their workers
                | "Batches" >> beam.Create(batches, reshuffle=plan.settings.runner != "embedded")
                | "Generate" >> RunInference(LlmHandler(task))
                | "Rejects" >> beam.FlatMap(list)
                | "WriteRejects" >> WriteRows(rejects, RejectRow)
            )
    return count_rows(rejects)


class LlmHandler(ModelHandler):
    """Beam's handle on the language model.

    Beam calls `load_model` again for each pipeline; `batch.vllm.engine` returns the engine that the process has.
    """

    def __init__(self, task: GenerationTask) -> None:
        super().__init__()
        self._task = task

    def load_model(self) -> LlmSource:
        """Start the engine if it runs in this process; endpoints need no start."""
        if self._task.llm.kind == "engine":
            _engine(self._task.llm)
        return self._task.llm

    def run_inference(
        self, batch: Sequence[PromptBatch], model: LlmSource, inference_args: dict[str, object] | None = None
    ) -> Iterable[list[RejectRow]]:
        """Generate and checkpoint each batch; yield its rejects."""
        assert not inference_args, "the sampling parameters come from the plan"
        for each in batch:
            yield generate_batch(each, model, self._task)

    def batch_elements_kwargs(self) -> dict[str, int]:
        """Return Beam's batch sizes: an element is a whole batch already."""
        return {"min_batch_size": 1, "max_batch_size": 1}

    def get_metrics_namespace(self) -> str:
        """Return the name of Beam's own counters."""
        return "beforehand_generate"


def generate_batch(batch: PromptBatch, source: LlmSource, task: GenerationTask) -> list[RejectRow]:
    """Generate one batch, write it to its store, and return the rejects.

    Raises:
        LlmError: the model is away or misconfigured; what was generated is in the store.
    """
    started = time.monotonic()
    outcomes = asyncio.run(_complete(batch, source, task.sampling))
    if task.sampling.top_logprobs:
        outcomes = _without_logprobs(batch, outcomes, source, task.sampling)
    seconds = (time.monotonic() - started) / len(batch.prompts)
    generated: list[GenerationRow] = []
    rejects: list[RejectRow] = []
    failures: list[LlmError] = []
    for prompt, outcome in zip(batch.prompts, outcomes, strict=True):
        if isinstance(outcome, Completion):
            generated.append(_generation(prompt, outcome, task, seconds))
        elif task.optional or isinstance(outcome, LlmRefusedError):
            reject = Reject(prompt["question"], str(outcome))
            rejects.append(reject_row(task.run_id, task.stage, prompt["collection"], reject))
        else:
            failures.append(outcome)
    write_generations(task.store, generated)
    if failures:  # what was generated is kept; the stage's retry asks for the rest
        raise failures[0]
    return rejects


def _without_logprobs(
    batch: PromptBatch, outcomes: list[Completion | LlmError], source: LlmSource, sampling: Sampling
) -> list[Completion | LlmError]:
    """Ask again for what was refused, without probabilities: not every server gives them."""
    refused = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, LlmRefusedError)]
    if refused:
        again = PromptBatch(tuple(batch.prompts[number] for number in refused))
        said = asyncio.run(_complete(again, source, replace(sampling, top_logprobs=0)))
        for number, outcome in zip(refused, said, strict=True):
            outcomes[number] = outcome
    return outcomes


async def _complete(batch: PromptBatch, source: LlmSource, sampling: Sampling) -> list[Completion | LlmError]:
    chats = [[Message(**message) for message in json.loads(prompt["messages"])] for prompt in batch.prompts]

    def done(outcome: Completion | LlmError) -> None:
        progress.advance(1, outcome.completion_tokens if isinstance(outcome, Completion) else 0)

    async with _opened(source, len(chats)) as llm:
        return await complete_all(llm, chats, sampling, len(chats), done)


@asynccontextmanager
async def _opened(source: LlmSource, concurrency: int) -> AsyncIterator[Llm]:
    """Yield the LLM for one batch: connections belong to an event loop, an engine to the process."""
    if source.kind == "endpoints":
        fleet = EndpointFleet(source, concurrency)
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


def _generation(prompt: ChatRow, completion: Completion, task: GenerationTask, seconds: float) -> GenerationRow:
    return {
        "fingerprint": prompt["fingerprint"],
        "text": task.text(completion),
        "finish_reason": completion.finish_reason,
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
        "cached_tokens": completion.cached_tokens,
        "run_id": task.run_id,
        "generated_at": datetime.now(UTC),
        "seconds": seconds,
    }
