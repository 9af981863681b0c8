"""Anticipate: the questions that people are about to ask, each once.

They come from the team's lists, from the journal (what people asked and nobody had anticipated), from the corpus
(`batch.stages.propose`), and with curated pairs from the team itself. A question is identified by its normalised
form: the same one in other capitals or without its question mark is a duplicate, and the reject says of what.

A visitor's question in which something personal is found is refused, and its text is written nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import apache_beam as beam

from batch.pipeline import running_pipeline
from batch.plan import Figures, MissedQuestion, RunPlan
from batch.reading.personal_data import finder, is_public, refuse_personal, words_in, words_of
from batch.reading.question_attributes import completed
from batch.reading.question_files import (
    CuratedPair,
    Question,
    named_question,
    parse_curated,
    parse_questions,
    tidy_question,
)
from batch.reading.validity import has_expired
from batch.rejects import REJECTED, reject_row, tagged_reject, unexpected
from batch.rows import CuratedRow, curated_row, question_row
from batch.sources.source_files import SourceFile, find_sources
from batch.stores.parquet import WriteRows, count_rows, list_files, read_bytes, read_file_rows, read_rows
from rag.credentials import hide, secret_values
from rag.errors import QuestionError
from rag.filters import Filters, filters_from
from rag.identity import query_key
from rag.text.table_files import Reject
from warehouse.tables import ChunkRow, QuestionRow, RejectRow

STAGE = "anticipate"

# Which of several questions with one key is kept: the team's own come first, and visitors' last, so that a visitor
# takes neither a canary out of the audit nor a proposed question from the list.
_PRECEDENCE = {"curated": 0, "list": 1, "golden": 2, "canary": 3, "corpus": 4, "journal": 5}

_Keyed = tuple[str, Question | CuratedPair]


class _Parse(beam.DoFn):
    """Source file → (query_key, question or curated pair), and rejects."""

    def __init__(self, plan: RunPlan, *, curated: bool) -> None:
        self._run_id = plan.run_id
        self._longest = plan.settings.max_question_characters
        self._encodings = {name: each.encoding for name, each in plan.collections.items()}
        self._filtering = {name: each.filtering for name, each in plan.collections.items()}
        self._secrets = secret_values(plan.settings)
        self._curated = curated

    def process(self, source: SourceFile) -> Iterator[_Keyed | beam.pvalue.TaggedOutput]:
        try:
            data = read_bytes(source.path)
        except Exception as error:  # each file system has its own errors; a file that is gone is a reject
            reject = Reject(source.name, f"can't be opened ({hide(str(error), self._secrets)})")
            yield tagged_reject(self._run_id, STAGE, source.collection, reject)
            return
        try:
            for each in self._parse(source, data):
                if isinstance(each, Reject):
                    yield tagged_reject(self._run_id, STAGE, source.collection, each)
                else:
                    yield each.query_key, each
        except Exception as error:  # the last resort: one bad list must not end the run
            yield tagged_reject(self._run_id, STAGE, source.collection, unexpected(source.name, error))

    def _parse(self, source: SourceFile, data: bytes) -> Iterable[Question | CuratedPair | Reject]:
        collection = source.collection
        encoding, filtering = self._encodings[collection], self._filtering[collection]
        if self._curated:
            return parse_curated(source.name, data, collection, encoding, filtering)
        return parse_questions(source.name, data, collection, self._longest, encoding, filtering)


class _KeepFirst(beam.DoFn):
    """(query_key, questions) → the row of the first one by precedence; rejects name it for the others."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id

    def process(
        self, element: tuple[str, Iterable[Question | CuratedPair]]
    ) -> Iterator[QuestionRow | beam.pvalue.TaggedOutput]:
        kept, *repeated = sorted(element[1], key=lambda each: (_PRECEDENCE[each.origin], each.detail))
        kept = completed(kept, repeated)
        yield question_row(kept)
        if isinstance(kept, CuratedPair) and not has_expired(kept.metadata):  # else an answer is generated
            yield beam.pvalue.TaggedOutput("curated", curated_row(kept))
        for each in repeated:
            if each.origin in {"list", "curated"}:  # the other origins repeat by nature
                reason = f"{each.detail}: asks the same as {kept.detail}; it was kept once"
                yield tagged_reject(self._run_id, STAGE, each.collection, Reject(each.question, reason))


def anticipate(plan: RunPlan) -> Figures:
    """Collect the questions of lists, curated pairs, journal, corpus and audit; write each once."""
    out = plan.folder(STAGE)
    lists = find_sources({name: each.questions for name, each in plan.collections.items()}, plan.settings)
    curated = find_sources({name: each.curated for name, each in plan.collections.items()}, plan.settings)
    missed, unusable = _journal_questions(plan)
    unread = [row for each in (lists, curated) for row in each.reject_rows(plan.run_id, STAGE)] + unusable
    with running_pipeline(plan) as pipeline:
        listed = _parsed(pipeline, "Lists", lists.sources, _Parse(plan, curated=False))
        pairs = _parsed(pipeline, "Curated", curated.sources, _Parse(plan, curated=True))
        other = pipeline | "Other" >> beam.Create(
            [(each.query_key, each) for each in (*missed, *_corpus_questions(plan), *_audit_questions(plan))]
        )
        kept = (
            (listed.questions, pairs.questions, other)
            | "Questions" >> beam.Flatten()
            | "ByKey" >> beam.GroupByKey()
            | "KeepFirst" >> beam.ParDo(_KeepFirst(plan.run_id)).with_outputs(REJECTED, "curated", main="questions")
        )
        lost = pipeline | "Unread" >> beam.Create(unread)
        rejects = (listed[REJECTED], pairs[REJECTED], kept[REJECTED], lost) | "Rejects" >> beam.Flatten()
        _ = kept.questions | "WriteQuestions" >> WriteRows(f"{out}/questions", QuestionRow)
        _ = kept.curated | "WriteCurated" >> WriteRows(f"{out}/curated", CuratedRow)
        _ = rejects | "WriteRejects" >> WriteRows(f"{out}/rejects", RejectRow)
    return {table: count_rows(f"{out}/{table}") for table in ("questions", "curated", "rejects")}


def _parsed(pipeline: beam.Pipeline, label: str, files: list[SourceFile], parse: _Parse) -> beam.pvalue.DoOutputsTuple:
    sources = pipeline | f"{label}Files" >> beam.Create(files)
    return sources | f"Parse{label}" >> beam.ParDo(parse).with_outputs(REJECTED, main="questions")


def _journal_questions(plan: RunPlan) -> tuple[list[Question], list[RejectRow]]:
    """Return what visitors asked, and rejects for what is not a question, "???" say, or holds something personal.

    A reject names the question by its key alone: its text must not get into the release.
    """
    find = finder(plan.settings.pii_model if plan.misses else None)
    asked_with = {missed: _filters(plan, missed) for missed in plan.misses}
    findings = {
        missed: [*find(missed.question), *(one for _, value in filters for one in find(value))]
        for missed, filters in asked_with.items()
    }
    public = _public_words(plan, words_of([each for found in findings.values() for each in found]))
    questions: list[Question] = []
    rejects: list[RejectRow] = []
    for missed, found in findings.items():
        detail = f"asked {missed.times} times by {missed.askers} askers"
        try:
            text = tidy_question(missed.question, plan.settings.max_question_characters)
            refuse_personal([each for each in found if not is_public(each, public)])
        except QuestionError as error:
            item = query_key(missed.collection, missed.question, asked_with[missed])
            reject = Reject(item, f"the journal, {detail}: {error}")
            rejects.append(reject_row(plan.run_id, STAGE, missed.collection, reject))
        else:
            questions.append(named_question(missed.collection, text, "journal", detail, asked_with[missed]))
    return questions, rejects


def _filters(plan: RunPlan, missed: MissedQuestion) -> Filters:
    """Return what a visitor's question was asked with, as far as the collection still declares it."""
    found = json.loads(missed.filters or "{}")
    return plan.collections[missed.collection].filtering.of({str(name): str(value) for name, value in found.items()})


def _public_words(plan: RunPlan, wanted: set[str]) -> set[str]:
    """Return those of some words that stand in the team's documents."""
    found: set[str] = set()
    for path in list_files(f"{plan.folder('prepare')}/chunks/*.parquet") if wanted else []:
        for row in read_file_rows(path, ChunkRow):
            found.update(wanted.intersection(words_in(f"{row['heading']} {row['text']}")))
    return found


def _corpus_questions(plan: RunPlan) -> Iterator[Question]:
    """Yield the questions that were proposed about chunks."""
    for row in read_rows(f"{plan.folder('propose')}/questions", QuestionRow):
        asked = (row["collection"], row["query_key"], row["question"], row["normalised"], row["origin"], row["detail"])
        yield Question(*asked, filters=filters_from(row["filters"]))


def _audit_questions(plan: RunPlan) -> Iterator[Question]:
    """Yield the questions of the audit: golden ones, which are anticipated like any other, and canaries."""
    for golden in plan.golden:
        yield named_question(golden.collection, golden.question, "golden", golden.detail, golden.filters)
    for name, collection in plan.collections.items():
        for question in plan.canaries:
            yield named_question(name, question, "canary", "[audit] canaries", collection.filtering.defaults)
