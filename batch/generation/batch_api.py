"""Generation through a server's Batch API: half the price, for answers within a day.

The prompts are handed out in files, the run waits for their batches, and what they hold goes to the store. The run can
be stopped at any moment and continued, by the next run too: it waits for the same batches (`batch.generation.
submissions`). What an expired batch has answered is kept; the rest is handed out again.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from batch import progress
from batch.generation.answer_stream import GenerationTask
from batch.generation.batch_lines import Failure, read_results, write_requests
from batch.generation.prompt_files import ChatRow, order_prompts
from batch.generation.submissions import (
    Submission,
    covered,
    forget,
    keep_failures,
    note,
    open_submissions,
    submission_file,
    take_failures,
)
from batch.plan import RunPlan
from batch.stores.generation_store import write_generations
from batch.stores.parquet import empty_folder, read_file_rows
from rag.errors import AnswersPendingError, LlmMisconfiguredError, LlmRefusedError, LlmUnavailableError
from rag.llm.openai_batches import MOST_BYTES, Batch, OpenAIBatches

ATTEMPTS = 3  # batches in which a prompt may stay without an answer
_PATIENCE = 20  # failed looks at a batch in a row
_QUEUE_FULL = "token_limit_exceeded"


@dataclass
class _Work:
    """A run's batches: which prompts have an outcome, and how often the others were handed out.

    `ending` are the batches that were being cancelled when the run began. Once the account's queue was full
    (`queue_full`), batches go one after the other, and the one that is `alone` has no other to wait for.
    """

    plan: RunPlan
    source: str
    task: GenerationTask
    client: OpenAIBatches
    settled: set[str] = field(default_factory=set)
    attempts: dict[str, int] = field(default_factory=dict)
    ending: set[str] = field(default_factory=set)
    queue_full: bool = False
    alone: str = ""
    shown: int = 0


def generate_in_batches(plan: RunPlan, source: str, order: Sequence[str], task: GenerationTask) -> list[Failure]:
    """Have a Batch API answer those prompts of a folder of prompts tables whose fingerprints are in `order`.

    Returns what failed. Raises:
        LlmError: the server refuses the batches, or can't be reached for long; what is under way stays so.
        AnswersPendingError: a batch was cancelled.
    """
    failures = take_failures(plan, task.stage)
    progress.expect("waiting for the batches of the language model", len(order), "answers")
    refused = {each.fingerprint for each in failures}
    asyncio.run(_answer(plan, source, [each for each in order if each not in refused], task))
    return take_failures(plan, task.stage)


def batch_client(plan: RunPlan) -> OpenAIBatches:
    """Return the client for the plan's Batch API."""
    llm = plan.llm
    key = llm.api_key.get_secret_value() if llm.api_key else None
    return OpenAIBatches(llm.endpoints[0].get_secret_value(), key, llm.timeout_seconds)


async def _answer(plan: RunPlan, source: str, order: Sequence[str], task: GenerationTask) -> None:
    async with aclosing(batch_client(plan)) as client:
        work = _Work(plan, source, task, client)
        await _find_unconfirmed(work)
        for submission in _under_way(work):
            if (await _look(work, submission)).status in ("cancelling", "cancelled"):
                work.ending.add(submission.name)
        while True:
            await _hand_out(work, order)
            left = set(order) - work.settled
            if not left:
                return
            if not await _collect_ended(work, left):
                await asyncio.sleep(plan.settings.poll_seconds)


def _under_way(work: _Work) -> list[Submission]:
    """Return the submissions at a Batch API; one at another server can't be asked about."""
    found = [each for each in open_submissions(work.plan.data) if each.kind == "batch_api"]
    for each in found:
        if each.address != work.client.address:
            raise LlmMisconfiguredError(
                f"{len(each.fingerprints)} prompts wait in a batch at {each.address}, but the configured server is "
                f"{work.client.address}; name that one again, or remove {submission_file(work.plan.data, each)} to "
                "have them answered here"
            )
    return found


async def _find_unconfirmed(work: _Work) -> None:
    """Find the batches whose creation was not confirmed; those that don't exist are forgotten."""
    for submission in _under_way(work):
        if not submission.batch:
            batch = await work.client.find(submission.name)
            if batch is None:
                forget(work.plan.data, submission)
            else:
                note(work.plan.data, replace(submission, batch=batch.id))


# -- handing out -----------------------------------------------------------------------------------------------------


async def _hand_out(work: _Work, order: Sequence[str]) -> None:
    """Submit the prompts that are not under way."""
    under_way = _under_way(work)
    if work.queue_full and under_way:
        return
    busy = covered(under_way)
    rest = [each for each in order if each not in work.settled and each not in busy]
    for attempt in sorted({work.attempts.get(each, 0) for each in rest})[: 1 if work.queue_full else None]:
        await _submit(work, [each for each in rest if work.attempts.get(each, 0) == attempt], attempt + 1)


async def _submit(work: _Work, names: Sequence[str], attempt: int) -> None:
    plan, task = work.plan, work.task
    pending = f"{plan.folder(task.stage)}/pending"
    paths = order_prompts(work.source, {name: place for place, name in enumerate(names)}, pending)
    rows = chain.from_iterable(read_file_rows(path, ChatRow) for path in paths)
    with tempfile.TemporaryDirectory() as folder:
        most = plan.settings.batch_requests
        for path, group in write_requests(rows, plan.llm.name, task.sampling, Path(folder), most, MOST_BYTES):
            submission = Submission.of(plan.run_id, "batch_api", plan.llm.name, group)
            await _submit_file(work, path, replace(submission, address=work.client.address, attempt=attempt))
            path.unlink()
            if work.queue_full:
                work.alone = submission.name
                break
    empty_folder(pending)


async def _submit_file(work: _Work, path: Path, submission: Submission) -> None:
    """Note a submission, make its batch and note that; whatever is not known to have failed stays noted."""
    file = await work.client.upload(path)
    note(work.plan.data, submission)
    try:
        batch = await work.client.create(file, submission.name)
    except (LlmRefusedError, LlmMisconfiguredError):
        forget(work.plan.data, submission)
        raise
    note(work.plan.data, replace(submission, batch=batch.id))


# -- collecting ------------------------------------------------------------------------------------------------------


async def _collect_ended(work: _Work, left: set[str]) -> bool:
    """Look at all batches and collect those that have ended; return whether there was one that is waited for."""
    waited_for, done = False, len(work.settled)
    for submission in _under_way(work):
        batch = await _look(work, submission)
        wanted = not left.isdisjoint(submission.fingerprints)
        if batch.ended:
            await _collect(work, submission, batch)
            waited_for = waited_for or wanted
        elif wanted:
            done += batch.done
    progress.advance(max(0, done - work.shown), 0)
    work.shown = max(work.shown, done)
    return waited_for


async def _look(work: _Work, submission: Submission) -> Batch:
    """Return the state of a batch, over failures of the network."""
    for attempt in range(1, _PATIENCE + 1):
        try:
            return await work.client.get(submission.batch)
        except LlmUnavailableError as error:
            if attempt == _PATIENCE:
                raise
            await asyncio.sleep(max(error.retry_after or 0.0, work.plan.settings.poll_seconds))
        except LlmRefusedError as error:
            raise LlmMisconfiguredError(
                f"the batch {submission.batch} with {len(submission.fingerprints)} prompts is not found: {error}; use "
                f"the key that made it, or remove {submission_file(work.plan.data, submission)} to have them answered "
                "anew"
            ) from error
    raise AssertionError("unreachable")


async def _collect(work: _Work, submission: Submission, batch: Batch) -> None:
    """Write what a batch answered to the store, and forget the batch."""
    plan = work.plan
    if batch.status == "failed":
        _give_up_or_wait(work, submission, batch)
        return
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, file in (("output", batch.output_file), ("errors", batch.error_file)):
            if file:
                paths.append(Path(folder) / f"{batch.id}-{name}.jsonl")
                await work.client.download(file, paths[-1])
        results = read_results(paths, dict.fromkeys(submission.fingerprints, submission.model), plan.run_id)
    write_generations(work.task.store, results.answers)
    settled = {row["fingerprint"] for row in results.answers} | {each.fingerprint for each in results.failures}
    silent = [each for each in submission.fingerprints if each not in settled]
    failures = list(results.failures)
    if submission.attempt >= ATTEMPTS:
        reason = f"it has no answer after {ATTEMPTS} batches, the last of which is {batch.status}"
        failures += [Failure(each, each, reason) for each in silent]
        settled.update(silent)
    keep_failures(plan.data, submission.name, failures)
    forget(plan.data, submission)
    work.settled |= settled
    work.attempts |= dict.fromkeys(silent, submission.attempt)
    progress.advance(0, sum(row["completion_tokens"] for row in results.answers))
    if batch.status == "cancelled" and submission.name not in work.ending:
        raise AnswersPendingError(
            f"the batch {batch.id} was cancelled; its {len(results.answers)} answers are kept, and `beforehand run` "
            f"has the other {len(silent)} prompts answered"
        )


def _give_up_or_wait(work: _Work, submission: Submission, batch: Batch) -> None:
    """Deal with a batch that the server did not begin, so that nothing was paid."""
    forget(work.plan.data, submission)
    code, said = batch.faults[0] if batch.faults else ("", "it gives no reason")
    if code == _QUEUE_FULL and submission.name != work.alone:
        work.queue_full = True
        return
    advice = "lower [batch] batch_requests" if code == _QUEUE_FULL else "check [llm] model and [batch]"
    raise LlmMisconfiguredError(f"{work.client.address} refuses the batch {batch.id}: {said}; {advice}")
