"""Anticipate: the questions that people are about to ask, each once.

They come from the team's lists, from the journal (what people asked and nobody had anticipated), from the corpus
(`batch.stages.propose`), and with curated pairs from the team itself. A question is named by its normalised form, so
the same one with other capitals or without its question mark is a duplicate, and a reject that says of what.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
import pyarrow as pa

from batch.pipeline import running_pipeline
from batch.plan import Figures, RunPlan
from batch.reading.documents import Reject
from batch.reading.question_files import (
    Curated,
    Question,
    named_question,
    parse_curated,
    parse_questions,
    tidy_question,
)
from batch.rejects import REJECTED, reject_row, unexpected
from batch.settings import BatchSettings
from batch.sources.source_files import Source, find_sources
from batch.stores.parquet import WriteRows, count_rows, read_bytes, read_table
from rag.errors import QuestionError
from warehouse.tables import QUESTIONS, REJECTS

STAGE = "anticipate"

# An answer that the team wrote; documents are the ids that it rests on.
CURATED = pa.schema(
    [
        pa.field("collection", pa.string()),
        pa.field("query_key", pa.string()),
        pa.field("answer", pa.string()),
        pa.field("documents", pa.list_(pa.string())),
    ]
)

# Which of two askings of one question is kept: the team's own answer, its list, then what was seen.
_PRECEDENCE = {"curated": 0, "list": 1, "golden": 2, "journal": 3, "corpus": 4, "canary": 5}


class _Parse(beam.DoFn):
    """Source → (query_key, question or curated pair), rejects on the side."""

    def __init__(self, run_id: str, settings: BatchSettings, *, curated: bool) -> None:
        self._run_id = run_id
        self._longest = settings.max_question_characters
        self._curated = curated

    def process(self, source: Source) -> Iterator[Any]:
        try:
            data = read_bytes(source.path)
        except Exception as error:  # each file system has its own errors; a file that is gone is a reject
            yield _rejected(self._run_id, source.collection, Reject(source.name, f"can't be opened ({error})"))
            return
        try:
            for each in self._parse(source, data):
                if isinstance(each, Reject):
                    yield _rejected(self._run_id, source.collection, each)
                else:
                    yield each.query_key, each
        except Exception as error:  # the last resort: no list ends the run for all others
            yield _rejected(self._run_id, source.collection, unexpected(source.name, error))

    def _parse(self, source: Source, data: bytes) -> Iterable[Question | Curated | Reject]:
        if self._curated:
            return parse_curated(source.name, data, source.collection)
        return parse_questions(source.name, data, source.collection, self._longest)


class _KeepFirst(beam.DoFn):
    """One asking a query_key; the others are rejects that name the one that was kept."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id

    def process(self, element: tuple[str, Iterable[Question | Curated]]) -> Iterator[Any]:
        askings = sorted(element[1], key=lambda each: (_PRECEDENCE[_origin(each)], each.detail))
        kept, *repeated = askings
        yield question_row(kept)
        if isinstance(kept, Curated):
            yield beam.pvalue.TaggedOutput("curated", curated_row(kept))
        for each in repeated:
            if _origin(each) in {"list", "curated"}:  # others repeat by nature
                reason = f"{each.detail}: asks the same as {kept.detail}; it was kept once"
                yield _rejected(self._run_id, each.collection, Reject(each.question, reason))


def _origin(each: Question | Curated) -> str:
    return "curated" if isinstance(each, Curated) else each.origin


def _rejected(run_id: str, collection: str, reject: Reject) -> Any:
    return beam.pvalue.TaggedOutput(REJECTED, reject_row(run_id, STAGE, collection, reject))


def question_row(each: Question | Curated) -> dict[str, Any]:
    """Return a row of the questions table."""
    return {
        "collection": each.collection,
        "query_key": each.query_key,
        "question": each.question,
        "normalised": each.normalised,
        "origin": _origin(each),
        "detail": each.detail,
    }


def curated_row(each: Curated) -> dict[str, Any]:
    """Return a row of the curated table."""
    return {
        "collection": each.collection,
        "query_key": each.query_key,
        "answer": each.answer,
        "documents": list(each.documents),
    }


def anticipate(plan: RunPlan) -> Figures:
    """Run the pipeline over lists, curated pairs, what the journal and the corpus give, golden questions, canaries."""
    out = plan.folder(STAGE)
    lists = find_sources({name: each.questions for name, each in plan.collections.items()}, plan.settings)
    curated = find_sources({name: each.curated for name, each in plan.collections.items()}, plan.settings)
    seen, unusable = _seen(plan)
    unread = [row for each in (lists, curated) for row in each.reject_rows(plan.run_id, STAGE)] + unusable
    with running_pipeline(plan) as pipeline:
        listed = _parsed(pipeline, "Lists", lists.sources, _Parse(plan.run_id, plan.settings, curated=False))
        pairs = _parsed(pipeline, "Curated", curated.sources, _Parse(plan.run_id, plan.settings, curated=True))
        other = pipeline | "Other" >> beam.Create(
            [(each.query_key, each) for each in (*seen, *_proposed(plan), *_told(plan))]
        )
        kept = (
            (listed.askings, pairs.askings, other)
            | "Askings" >> beam.Flatten()
            | "ByKey" >> beam.GroupByKey()
            | "KeepFirst" >> beam.ParDo(_KeepFirst(plan.run_id)).with_outputs(REJECTED, "curated", main="questions")
        )
        lost = pipeline | "Unread" >> beam.Create(unread)
        rejects = (listed[REJECTED], pairs[REJECTED], kept[REJECTED], lost) | "Rejects" >> beam.Flatten()
        _ = kept.questions | "WriteQuestions" >> WriteRows(f"{out}/questions", QUESTIONS)
        _ = kept.curated | "WriteCurated" >> WriteRows(f"{out}/curated", CURATED)
        _ = rejects | "WriteRejects" >> WriteRows(f"{out}/rejects", REJECTS)
    return {table: count_rows(f"{out}/{table}") for table in ("questions", "curated", "rejects")}


def _parsed(pipeline: Any, label: str, files: list[Source], parse: _Parse) -> Any:
    sources = pipeline | f"{label}Files" >> beam.Create(files)
    return sources | f"Parse{label}" >> beam.ParDo(parse).with_outputs(REJECTED, main="askings")


def _seen(plan: RunPlan) -> tuple[list[Question], list[dict[str, Any]]]:
    """Return what visitors asked, and as rejects what of it is no question: they type anything, "???" too."""
    today = datetime.now(UTC).date().isoformat()
    questions: list[Question] = []
    rejects: list[dict[str, Any]] = []
    for miss in plan.misses:
        detail = f"asked {miss.times} times by {today}"
        try:
            text = tidy_question(miss.question, plan.settings.max_question_characters)
        except QuestionError as error:
            reject = Reject(miss.question, f"the journal, {detail}: {error}")
            rejects.append(reject_row(plan.run_id, STAGE, miss.collection, reject))
        else:
            questions.append(named_question(miss.collection, text, "journal", detail))
    return questions, rejects


def _proposed(plan: RunPlan) -> Iterator[Question]:
    for row in read_table(f"{plan.folder('propose')}/questions", QUESTIONS).to_pylist():
        yield Question(**row)


def _told(plan: RunPlan) -> Iterator[Question]:
    """Give the questions of the audit: golden ones, which are anticipated as any other, and canaries."""
    for golden in plan.golden:
        yield named_question(golden.collection, golden.question, "golden", golden.detail)
    for collection in plan.collections:
        for question in plan.canaries:
            yield named_question(collection, question, "canary", "[audit] canaries")
