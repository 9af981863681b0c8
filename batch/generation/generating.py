"""Prompts into generations, through Beam's RunInference; answers and proposals are both made here.

An element is the name of a file of prompts, and RunInference hands a whole bundle of names to the model at once: one
continuous stream (`batch.generation.answer_stream`), however many files there are. The embedded runner has one bundle.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.ml.inference.base import ModelHandler, RunInference

from batch import progress
from batch.generation.answer_stream import AnswerStream, GenerationTask
from batch.generation.batch_api import generate_in_batches
from batch.generation.batch_files import hand_out
from batch.generation.batch_lines import Failure
from batch.generation.fleet import Fleet
from batch.generation.prompt_files import ChatRow, order_prompts, write_prompts
from batch.pipeline import running_pipeline
from batch.plan import LlmSource, RunPlan, Window
from batch.rejects import reject_row
from batch.rows import PROMPTS
from batch.stores.parquet import (
    WriteRows,
    count_rows,
    empty_folder,
    make_folder,
    read_table,
    rows_to_table,
    write_table,
)
from rag.errors import TooManyRejectsError
from rag.llm.openai_client import OpenAIEndpoint
from rag.llm.protocol import Llm
from rag.text.table_files import Reject
from warehouse.tables import RejectRow

_WHOLE_BUNDLE = 1_000_000  # files


def generate_rows(plan: RunPlan, rows: Sequence[ChatRow], task: GenerationTask, unit: str) -> int:
    """Generate prompts, in order, if there are any, and return how many were rejected.

    `unit` is what the progress display counts. The model is not loaded where there is nothing to do.
    """
    return _generate(plan, write_prompts(_pending(plan, task), rows), len(rows), task, unit)


def generate_ordered(plan: RunPlan, source: str, order: Sequence[str], task: GenerationTask, unit: str) -> int:
    """Generate those prompts of a folder of prompts tables whose fingerprints are in `order`, in that order.

    Otherwise as `generate_rows`.

    Raises:
        AnswersPendingError: they are answered elsewhere, and the answers are not there yet.
    """
    if plan.settings.generate_with == "batch_api":
        return _write_failures(plan, source, order, task, generate_in_batches(plan, source, order, task))
    if plan.settings.generate_with == "batch_files":
        return _write_failures(plan, source, order, task, hand_out(plan, source, order, task))
    places = {fingerprint: place for place, fingerprint in enumerate(order)}
    return _generate(plan, order_prompts(source, places, _pending(plan, task)), len(order), task, unit)


def _pending(plan: RunPlan, task: GenerationTask) -> str:
    return f"{plan.folder(task.stage)}/pending"


def _generate(plan: RunPlan, paths: Sequence[str], count: int, task: GenerationTask, unit: str) -> int:
    rejects = f"{plan.folder(task.stage)}/rejects"
    empty_folder(rejects)
    if paths:
        make_folder(task.store)
        progress.expect("loading the language model", count, unit)
        with running_pipeline(plan) as pipeline:
            _ = (
                pipeline
                # in this process the order is kept; other runners spread the files over their workers
                | "Files" >> beam.Create(paths, reshuffle=plan.settings.runner != "embedded")
                | "Generate" >> RunInference(LlmHandler(task, plan.window, datetime.now(UTC)))
                | "Rejects" >> beam.FlatMap(list)
                | "WriteRejects" >> WriteRows(rejects, RejectRow)
            )
        empty_folder(_pending(plan, task))
    return _accepted(plan, task, count_rows(rejects))


def _write_failures(
    plan: RunPlan, source: str, order: Sequence[str], task: GenerationTask, failures: Sequence[Failure]
) -> int:
    """Write what was wrong with results as rejects, and return how many prompts are without an answer."""
    wanted, failed = set(order), {each.fingerprint for each in failures}
    columns = ["fingerprint", "collection", "question"]
    table = read_table(source, PROMPTS, columns)
    rows = table.filter(pc.is_in(table["fingerprint"], pa.array(sorted(failed & wanted), pa.string()))).to_pylist()
    asked = {row["fingerprint"]: (row["collection"], row["question"]) for row in rows}
    rejects = [
        reject_row(plan.run_id, task.stage, collection, Reject(question, each.reason))
        for each in failures
        for collection, question in [asked.get(each.fingerprint, ("", each.item))]
    ]
    folder = f"{plan.folder(task.stage)}/rejects"
    empty_folder(folder)
    write_table(f"{folder}/rejects.parquet", rows_to_table(rejects, RejectRow))
    return _accepted(plan, task, len(asked))


def _accepted(plan: RunPlan, task: GenerationTask, count: int) -> int:
    """Return how many prompts were rejected, or raise if they are too many."""
    if not task.optional and count > plan.window.most_rejected:
        raise TooManyRejectsError(
            f"{count} prompts have no answer, more than [batch] most_rejected = {plan.window.most_rejected}; "
            f"their reasons are in {plan.folder(task.stage)}/rejects; mend the cause, or raise the setting"
        )
    return count


class LlmHandler(ModelHandler):
    """Beam's handle on the language model.

    Beam calls `load_model` again for each pipeline; `batch.vllm.engine` returns the engine that the process has.
    """

    def __init__(self, task: GenerationTask, window: Window, began: datetime) -> None:
        super().__init__()
        self._task = task
        self._window = window
        self._began = began

    def load_model(self) -> LlmSource:
        """Start the engine if it runs in this process; endpoints need no start."""
        if self._task.llm.kind == "engine":
            _engine(self._task.llm)
        return self._task.llm

    def run_inference(
        self, batch: Sequence[str], model: LlmSource, inference_args: dict[str, object] | None = None
    ) -> Iterable[list[RejectRow]]:
        """Generate and checkpoint the prompts of all files; yield the rejects."""
        assert not inference_args, "the sampling parameters come from the plan"
        yield asyncio.run(generate_files(batch, model, self._task, self._window, self._began))

    def batch_elements_kwargs(self) -> dict[str, int]:
        """Return Beam's batch sizes: a bundle is one batch, so that its files are one stream."""
        return {"min_batch_size": _WHOLE_BUNDLE, "max_batch_size": _WHOLE_BUNDLE}

    def get_metrics_namespace(self) -> str:
        """Return the name of Beam's own counters."""
        return "beforehand_generate"


async def generate_files(
    paths: Sequence[str], source: LlmSource, task: GenerationTask, window: Window, began: datetime
) -> list[RejectRow]:
    """Generate the prompts of some files, write the answers to the task's store, and return the rejects.

    Prompts whose answers came after the work `began` are left out: an attempt at it failed on the way.

    Raises:
        LlmError: the model is away or misconfigured; what was generated is in the store.
        TooManyRejectsError: more prompts were rejected than the window allows.
    """
    async with _opened(source, window.in_flight) as fleet:
        stream = AnswerStream(fleet, task, window, began)
        await stream.run(paths)
        return stream.rejects


@asynccontextmanager
async def _opened(source: LlmSource, in_flight: int) -> AsyncIterator[Fleet]:
    """Yield the fleet for one stream: connections belong to an event loop, an engine to the process."""
    if source.kind == "engine":
        fleet = Fleet([_engine(source)], in_flight, slow_start=False, patience=0)
        endpoints = []
    else:
        key = source.api_key.get_secret_value() if source.api_key else None
        endpoints = [
            # one more connection, for a probe
            OpenAIEndpoint(url.get_secret_value(), source.name, key, source.timeout_seconds, in_flight + 1)
            for url in source.endpoints
        ]
        fleet = Fleet(endpoints, in_flight, source.timeout_seconds)
    try:
        yield fleet
    finally:
        await fleet.aclose()
        for each in endpoints:
            await each.aclose()


def _engine(source: LlmSource) -> Llm:
    from batch.vllm.engine import engine_for

    assert source.folder is not None, "an engine needs the model's folder"
    return engine_for(source.folder, source.vllm, source.context_tokens)
