"""Files of requests and of results in OpenAI's batch format, which vLLM's `run-batch` reads and writes too.

A request's `custom_id` is its prompt's fingerprint, so a result says which answer it is, whoever made it and when.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batch.generation.prompt_files import ChatRow
from batch.stores.generation_store import GenerationRow
from rag.llm.openai_errors import is_transient, said_in
from rag.llm.openai_replies import completion_of
from rag.llm.openai_requests import batch_line
from rag.llm.protocol import Message, Sampling

_NOT_OF_A_PROMPT = {401, 403, 404}  # the key or the model is wrong
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True)
class Failure:
    """A line of results that holds no answer that can be used.

    `fingerprint` names the prompt that is thereby refused, "" where the line says nothing about a prompt of ours.
    """

    fingerprint: str
    item: str
    reason: str


@dataclass(frozen=True)
class Results:
    """What files of results hold.

    Prompts that the server did not get to, or failed with by itself, have neither. `known` counts the answers to
    prompts that had one before.
    """

    answers: list[GenerationRow]
    failures: list[Failure]
    known: int


def write_requests(
    rows: Iterable[ChatRow], model: str, sampling: Sampling, folder: Path, most: int, most_bytes: int
) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Write prompts as files of at most `most` requests and `most_bytes` bytes; yield each with its fingerprints."""
    lines: list[bytes] = []
    names: list[str] = []
    size = number = 0
    for row in rows:
        messages = [Message(**message) for message in json.loads(row["messages"])]
        line = (
            json.dumps(batch_line(row["fingerprint"], model, messages, sampling), ensure_ascii=False).encode() + b"\n"
        )
        if lines and (len(lines) >= most or size + len(line) > most_bytes):
            yield _written(folder, number, lines), tuple(names)
            lines, names, size, number = [], [], 0, number + 1
        lines.append(line)
        names.append(row["fingerprint"])
        size += len(line)
    if lines:
        yield _written(folder, number, lines), tuple(names)


def _written(folder: Path, number: int, lines: Sequence[bytes]) -> Path:
    path = folder / f"requests-{number:03}.jsonl"
    with path.open("wb") as stream:
        stream.writelines(lines)
    return path


def read_results(
    paths: Sequence[Path], expected: Mapping[str, str], run_id: str, known: Collection[str] = ()
) -> Results:
    """Read files of results.

    `expected` are the models that were asked, by fingerprint; `known` are the prompts that are answered already.
    """
    answers: dict[str, GenerationRow] = {}
    failures: list[Failure] = []
    skipped = 0
    for line, place in _lines(paths):
        outcome = _read(line, place, expected, run_id)
        if isinstance(outcome, Failure):
            failures.append(outcome)
        elif outcome is not None and outcome["fingerprint"] in answers:
            reason = f"{place} answers {outcome['fingerprint']} once more; the first answer is kept"
            failures.append(Failure("", place, reason))
        elif outcome is not None and outcome["fingerprint"] in known:
            skipped += 1
        elif outcome is not None:
            answers[outcome["fingerprint"]] = outcome
    refused = [each for each in failures if each.fingerprint not in answers]  # of two lines the answer counts
    return Results(list(answers.values()), refused, skipped)


def _lines(paths: Sequence[Path]) -> Iterator[tuple[bytes, str]]:
    for path in paths:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield line, f"line {number} of {path.name}"


def _read(line: bytes, place: str, expected: Mapping[str, str], run_id: str) -> GenerationRow | Failure | None:
    """Return the answer of a line, what is wrong with it, or None where its prompt should be asked again."""
    try:
        result = json.loads(line)
        fingerprint = str(result["custom_id"])
    except _UNREADABLE:
        return Failure("", place, f"{place} is no result: half a line, or not in OpenAI's batch format")
    if fingerprint not in expected:
        reason = f"{place} answers {fingerprint[:64]!r}, which was not asked; is it of another project?"
        return Failure("", place, reason)
    return _outcome(result, fingerprint, place, expected[fingerprint], run_id)


def _outcome(
    result: dict[str, Any], fingerprint: str, place: str, model: str, run_id: str
) -> GenerationRow | Failure | None:
    try:
        response, error = result.get("response") or {}, result.get("error")
        body = response.get("body") or {}
        status = int(response.get("status_code") or 0)
        if error or not 200 <= status < 300:
            said = f"{place}: the model answered {status or 'nothing'}: {said_in(error or body)}"
            if is_transient(status) or status < 400:
                return None
            return Failure("" if status in _NOT_OF_A_PROMPT else fingerprint, place, said)
        if not is_model(str(body.get("model") or model), model):
            reason = f"{place} is of the model {str(body['model'])[:100]!r}, but {model!r} was asked"
            return Failure("", place, reason)
        completion = completion_of(body, model)
    except _UNREADABLE as unreadable:
        return Failure("", place, f"{place} holds no chat completion ({unreadable!r})"[:300])
    return {
        "fingerprint": fingerprint,
        "text": completion.text,
        "finish_reason": completion.finish_reason,
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
        "cached_tokens": completion.cached_tokens,
        "run_id": run_id,
        "generated_at": datetime.now(UTC),
        "seconds": 0.0,
    }


def is_model(said: str, asked: str) -> bool:
    """Whether a result's model is the one that was asked: hosts add the date of a snapshot, vLLM has paths."""
    return said == asked or said.startswith(f"{asked}-") or said.rstrip("/").rpartition("/")[2] == asked
