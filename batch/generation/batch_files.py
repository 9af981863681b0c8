"""Generation on any machine, by files: prompts are exported in OpenAI's batch format, and results imported.

vLLM's `run-batch` reads and writes these files, and so do most hosts. A run exports what nobody was asked yet and ends
with a sentence that says what to do; once the results are imported, the next run goes on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from pathlib import Path

from batch.generation.answer_stream import GenerationTask
from batch.generation.batch_lines import Failure, Results, read_results, write_requests
from batch.generation.prompt_files import ChatRow, order_prompts
from batch.generation.submissions import (
    Submission,
    covered,
    forget,
    imported_fingerprints,
    keep_imported,
    note,
    open_submissions,
    take_failures,
)
from batch.plan import RunPlan
from batch.stores.generation_store import generated_since
from batch.stores.parquet import empty_folder, read_file_rows, write_bytes
from rag.errors import AnswersPendingError, ConfigurationError
from rag.identity import stable_hash

_UNLIMITED = 1 << 62


def hand_out(plan: RunPlan, source: str, order: Sequence[str], task: GenerationTask) -> list[Failure]:
    """Return what failed of the imported results, once every prompt has an answer or failed.

    Raises:
        AnswersPendingError: prompts wait for answers; the message says where they are.
    """
    failures = take_failures(plan, task.stage)
    refused = {each.fingerprint for each in failures}
    left = [each for each in order if each not in refused]
    for each in _handed_out(plan.data):
        if set(left).isdisjoint(each.fingerprints):
            forget(plan.data, each)
    busy = covered(_handed_out(plan.data))
    if rest := [each for each in left if each not in busy]:
        export(plan, source, rest, task)
    if left:
        raise AnswersPendingError(_what_to_do(plan, len(left)))
    return failures


def _handed_out(data: str) -> list[Submission]:
    return [each for each in open_submissions(data) if each.kind == "batch_files"]


def _what_to_do(plan: RunPlan, count: int) -> str:
    files = " and ".join(each.file for each in _handed_out(plan.data))
    return (
        f"{count} prompts wait for answers in {files}; generate them on any machine, as with `vllm run-batch "
        f"-i REQUESTS -o RESULTS --model FOLDER --served-model-name {plan.llm.name}`, then "
        "`beforehand generate import RESULTS` and `beforehand run`"
    )


def export(plan: RunPlan, source: str, order: Sequence[str], task: GenerationTask, target: Path | None = None) -> str:
    """Write prompts as a file of requests, by default in the data folder, and return the file."""
    submission = Submission.of(plan.run_id, "batch_files", plan.llm.name, order)
    pending = f"{plan.folder(task.stage)}/export"
    paths = order_prompts(source, {name: place for place, name in enumerate(order)}, pending)
    rows = chain.from_iterable(read_file_rows(path, ChatRow) for path in paths)
    file = str(target) if target else f"{plan.data}/batches/{submission.name}.jsonl"
    with tempfile.TemporaryDirectory() as folder:
        for path, _ in write_requests(rows, plan.llm.name, task.sampling, Path(folder), _UNLIMITED, _UNLIMITED):
            write_bytes(file, path.read_bytes())
    empty_folder(pending)
    note(plan.data, replace(submission, file=file))
    return file


def import_results(data: str, store: str, paths: Sequence[Path]) -> Results:
    """Read results and keep them for the next run.

    Raises:
        ConfigurationError: nothing was handed out, or a file can't be read.
    """
    submissions = open_submissions(data)
    if not submissions:
        raise ConfigurationError(
            "no prompts wait for answers, so there is nothing to import; `beforehand generate export` writes them"
        )
    expected = {fingerprint: each.model for each in submissions for fingerprint in each.fingerprints}
    begun = datetime.fromisoformat(submissions[0].begun)
    known = imported_fingerprints(data) | generated_since(store, begun)
    try:
        results = read_results(paths, expected, "", known)
    except OSError as error:
        raise ConfigurationError(
            f"{error.filename}: it can't be read ({error.strerror}); name a file of results"
        ) from error
    parts = [row["fingerprint"] for row in results.answers] + [each.reason for each in results.failures]
    keep_imported(data, stable_hash(*parts), results.answers, results.failures)
    return results
