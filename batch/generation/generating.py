"""Prompts into generations, in a Beam pipeline; answers and proposals are both made here.

An element is the name of a file of prompts, and a whole bundle of names goes to the model at once: one continuous
stream (`batch.generation.answer_stream`), however many files there are. The embedded runner has one bundle. Beam's
RunInference looks after an engine in the workers; endpoints do without it, and so without torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from batch import progress
from batch.generation.answer_stream import GenerationTask
from batch.generation.batch_api import generate_in_batches
from batch.generation.batch_files import hand_out
from batch.generation.batch_lines import Failure
from batch.generation.bundles import WHOLE_BUNDLE, engine_of, generate_bundle
from batch.generation.prompt_files import ChatRow, order_prompts, write_prompts
from batch.pipeline import running_pipeline
from batch.plan import RunPlan, Window
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
from rag.text.table_files import Reject
from warehouse.tables import RejectRow


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
                | "Generate" >> _generated(task, plan.window)
                | "WriteRejects" >> WriteRows(rejects, RejectRow)
            )
        empty_folder(_pending(plan, task))
    return _accepted(plan, task, count_rows(rejects))


def _generated(task: GenerationTask, window: Window) -> beam.PTransform:
    """Return the transform of names of files into rows of rejects."""
    generate = partial(generate_bundle, source=task.llm, task=task, window=window, began=datetime.now(UTC))
    if task.llm.kind == "engine":
        from batch.generation.inference import LlmInference  # loads torch, which endpoints do not need

        return LlmInference(partial(engine_of, task.llm), generate, WHOLE_BUNDLE)
    return "Bundle" >> beam.BatchElements(WHOLE_BUNDLE, WHOLE_BUNDLE) | "Ask" >> beam.FlatMap(generate)


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
