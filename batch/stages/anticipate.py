"""Anticipate: the questions that people are about to ask, each once.

They come from the team's lists, from the journal (what people asked and nobody had anticipated), from the corpus
(`batch.stages.propose`), and with curated pairs from the team itself. A question is identified by its normalised
form: the same one in other capitals or without its question mark is a duplicate, and the reject says of what.
Several questions that want one answer become one question and its wordings (`batch.questions.wordings`), together with
what nights and people found to be wordings and fences (`warehouse.editorial.wordings`).

A visitor's question in which something personal is found is refused, and its text is written nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import apache_beam as beam

from batch.pipeline import running_pipeline
from batch.plan import Figures, RunPlan
from batch.questions.question_files import (
    CuratedPair,
    Question,
    named_question,
    parse_curated,
    parse_questions,
    tidy_question,
)
from batch.questions.wordings import (
    Asked,
    Fence,
    Item,
    Wording,
    answer_name,
    answered_anew,
    fence_row,
    is_over,
    keep_first,
    of_one_answer,
    ruled,
    unanswered,
    wording_row,
)
from batch.reading.personal_data import refuse_personal
from batch.rejects import REJECTED, tagged_reject, unexpected
from batch.retrieval.question_shelves import Place, Shelve, items_by_key, shelf_of
from batch.retrieval.retired_questions import may_retire, note_questions, retired_questions, retired_row
from batch.retrieval.settled_wordings import settle_wordings
from batch.rows import CuratedRow, curated_row, question_row
from batch.sharing import readable_sources
from batch.sources.file_contents import AT_ONCE, FileContents
from batch.sources.source_files import SourceFile, find_sources
from batch.stores.parquet import WriteRows, count_rows, read_rows, remove_folder
from batch.wordings.visitors import personal_in, refused_miss
from rag.credentials import hide, secret_values
from rag.errors import QuestionError
from rag.filters import filters_from
from rag.identity import normalise
from rag.text.table_files import Reject
from warehouse.editorial.decisions import Decisions
from warehouse.editorial.wordings import Ruling, standing_rulings
from warehouse.planning.retirement import Unasked
from warehouse.tables import AnswerWordingRow, FenceRow, QuestionRow, RejectRow, SetAsideRow

STAGE = "anticipate"
_SELDOM = ("wordings", "fences")


class _Parse(beam.DoFn):
    """Source files → questions or curated pairs; those of named answers are a second output, with the name; rejects."""

    def __init__(self, plan: RunPlan, *, curated: bool) -> None:
        self._contents = FileContents(plan.settings)
        self._run_id = plan.run_id
        self._longest = plan.settings.max_question_characters
        self._encodings = {name: each.encoding for name, each in plan.collections.items()}
        self._filtering = {name: each.filtering for name, each in plan.collections.items()}
        self._secrets = secret_values(plan.settings)
        self._curated = curated

    def process(self, sources: list[SourceFile]) -> Iterator[Asked | beam.pvalue.TaggedOutput]:
        read = self._contents.read_each([source.readable for source in sources])
        for source, (_, data) in zip(sources, read, strict=True):
            if isinstance(data, bytes):
                yield from self._parsed(source, data)
            else:  # a file that is gone is a reject
                reject = Reject(source.name, f"can't be opened ({hide(str(data), self._secrets)})")
                yield tagged_reject(self._run_id, STAGE, source.collection, reject)

    def _parsed(self, source: SourceFile, data: bytes) -> Iterator[Asked | beam.pvalue.TaggedOutput]:
        try:
            for each in self._parse(source, data):
                if isinstance(each, Reject):
                    yield tagged_reject(self._run_id, STAGE, source.collection, each)
                elif (name := answer_name(each)) is not None or each.variants:
                    yield beam.pvalue.TaggedOutput("named", (name or each.query_key, each))
                else:
                    yield each
        except Exception as error:  # the last resort: one bad list must not end the run
            yield tagged_reject(self._run_id, STAGE, source.collection, unexpected(source.name, error))

    def _parse(self, source: SourceFile, data: bytes) -> Iterable[Asked | Reject]:
        collection = source.collection
        encoding, filtering = self._encodings[collection], self._filtering[collection]
        if self._curated:
            return parse_curated(source.name, data, collection, encoding, filtering)
        return parse_questions(source.name, data, collection, self._longest, encoding, filtering)


class _ByAnswer(beam.DoFn):
    """(answer name, questions) → the primary question and the further wordings of the answer; rejects."""

    def __init__(self, plan: RunPlan) -> None:
        self._run_id = plan.run_id
        self._longest = plan.settings.max_question_characters

    def process(self, element: tuple[str, Iterable[Asked]]) -> Iterator[Item | beam.pvalue.TaggedOutput]:
        asked, wordings, rejects = of_one_answer(element[1], self._longest)
        yield from asked
        yield from wordings
        for each in rejects:
            yield tagged_reject(self._run_id, STAGE, asked[0].collection, each)


class _Ruled(beam.DoFn):
    """(shelf, its places and the rulings about its keys) → wordings, and fences as a second output."""

    def process(self, element: tuple[int, tuple[Iterable[Place], Iterable[Ruling]]]) -> Iterator[Item | Fence]:
        _, (places, rulings) = element
        about: dict[str, list[Ruling]] = {}
        for ruling in rulings:
            about.setdefault(ruling.query_key, []).append(ruling)
        items = {key: found for key, found in items_by_key(places if about else ()) if key in about}
        for key, each in about.items():
            for ruling in each:
                made = ruled(ruling, items.get(key, []))
                if isinstance(made, Fence):
                    yield beam.pvalue.TaggedOutput("fences", made)
                elif made is not None:
                    yield made


class _KeepFirst(beam.DoFn):
    """(shelf, its places) → of each key the row of the first item by precedence, if it has not retired.

    Rejects name it for the others.
    """

    def __init__(self, run_id: str, retired: Mapping[str, Unasked], *, has_model: bool) -> None:
        self._run_id = run_id
        self._retired = retired
        self._has_model = has_model

    def process(self, element: tuple[int, Iterable[Place]]) -> Iterator[QuestionRow | beam.pvalue.TaggedOutput]:
        for _, items in items_by_key(element[1]):
            yield from self._first(items)

    def _first(self, items: Sequence[Item]) -> Iterator[QuestionRow | beam.pvalue.TaggedOutput]:
        kept, rejects = keep_first(items)
        answered = isinstance(kept, CuratedPair) and not is_over(kept)
        if not (answered or self._has_model or isinstance(kept, Wording)):
            yield tagged_reject(self._run_id, STAGE, kept.collection, Reject(kept.question, unanswered(kept)))
        elif isinstance(kept, Wording):
            yield beam.pvalue.TaggedOutput("wordings", wording_row(kept))
        elif may_retire(kept) and (unasked := self._retired.get(kept.query_key)):
            yield beam.pvalue.TaggedOutput("set_aside", retired_row(kept, unasked))
        else:
            yield question_row(kept)
        if isinstance(kept, CuratedPair) and answered:
            yield beam.pvalue.TaggedOutput("curated", curated_row(kept))
        elif isinstance(kept, CuratedPair) and self._has_model:
            yield tagged_reject(self._run_id, STAGE, kept.collection, Reject(kept.question, answered_anew(kept)))
        for each in rejects:
            yield tagged_reject(self._run_id, STAGE, kept.collection, each)


def anticipate(plan: RunPlan) -> Figures:
    """Collect the questions of lists, curated pairs, journal, corpus and audit; write each answer's once."""
    out = plan.folder(STAGE)
    lists = find_sources({name: each.questions for name, each in plan.collections.items()}, plan.settings)
    curated = find_sources({name: each.curated for name, each in plan.collections.items()}, plan.settings)
    readable_lists = readable_sources(plan, f"{STAGE}/lists", lists.sources)
    readable_pairs = readable_sources(plan, f"{STAGE}/curated_lists", curated.sources)
    missed, unusable = _journal_questions(plan)
    rulings = _rulings(plan)
    retired = retired_questions(plan)
    shelves = f"{out}/shelves"
    remove_folder(shelves)  # of a run that was killed
    unread = [row for each in (lists, curated) for row in each.reject_rows(plan.run_id, STAGE)] + unusable
    with running_pipeline(plan) as pipeline:
        listed = _parsed(pipeline, "Lists", readable_lists, _Parse(plan, curated=False))
        pairs = _parsed(pipeline, "Curated", readable_pairs, _Parse(plan, curated=True))
        other = pipeline | "Other" >> beam.Create([*missed, *_corpus_questions(plan), *_audit_questions(plan)])
        answers = (
            (listed.named, pairs.named)
            | "Named" >> beam.Flatten()
            | "ByAnswer" >> beam.GroupByKey()
            | "Wordings" >> beam.ParDo(_ByAnswer(plan)).with_outputs(REJECTED, main="items")
        )
        sources = (listed.questions, pairs.questions, other, answers.items)
        places = (
            tuple(each | f"Shelve{number}" >> beam.ParDo(Shelve(shelves)) for number, each in enumerate(sources))
            | "Items" >> beam.Flatten()
        )
        if rulings:
            about = pipeline | "Rulings" >> beam.Create([(shelf_of(each.query_key), each) for each in rulings])
            made = (
                (places, about)
                | "ByRuled" >> beam.CoGroupByKey()
                | "Ruled" >> beam.ParDo(_Ruled()).with_outputs("fences", main="wordings")
            )
            worded = made.wordings | "ShelveWordings" >> beam.ParDo(Shelve(shelves))
            places = (places, worded) | "WithRuled" >> beam.Flatten()
            _ = made.fences | "FenceRows" >> beam.Map(fence_row) | "WriteFences" >> WriteRows(f"{out}/ruled", FenceRow)
        kept = (
            places
            | "ByShelf" >> beam.GroupByKey()
            | "KeepFirst"
            >> beam.ParDo(_KeepFirst(plan.run_id, retired, has_model=plan.llm.kind != "none")).with_outputs(
                REJECTED, "curated", "wordings", "set_aside", main="questions"
            )
        )
        lost = pipeline | "Unread" >> beam.Create(unread)
        rejects = (
            listed[REJECTED],
            pairs[REJECTED],
            answers[REJECTED],
            kept[REJECTED],
            lost,
        ) | "Rejects" >> beam.Flatten()
        _ = kept.questions | "WriteQuestions" >> WriteRows(f"{out}/questions", QuestionRow)
        _ = kept.curated | "WriteCurated" >> WriteRows(f"{out}/curated", CuratedRow)
        _ = kept.set_aside | "WriteSetAside" >> WriteRows(f"{out}/set_aside", SetAsideRow)
        _ = kept.wordings | "WriteWordings" >> WriteRows(f"{out}/worded", AnswerWordingRow)
        _ = rejects | "WriteRejects" >> WriteRows(f"{out}/rejects", RejectRow)
    remove_folder(shelves)
    settle_wordings(out, fenced=bool(rulings))
    note_questions(plan)
    tables = ("questions", "curated", "wordings", "fences", "rejects")
    counts = {table: count for table in tables if (count := count_rows(f"{out}/{table}")) or table not in _SELDOM}
    return counts | ({"retired": count} if (count := count_rows(f"{out}/set_aside")) else {})


def _parsed(pipeline: beam.Pipeline, label: str, files: list[SourceFile], parse: _Parse) -> beam.pvalue.DoOutputsTuple:
    sources = (
        pipeline
        | f"{label}Files" >> beam.Create(files)
        | f"{label}Together" >> beam.BatchElements(min_batch_size=AT_ONCE, max_batch_size=AT_ONCE)
    )
    return sources | f"Parse{label}" >> beam.ParDo(parse).with_outputs(REJECTED, "named", main="questions")


def _rulings(plan: RunPlan) -> list[Ruling]:
    """Return the rulings that make wordings and fences of this run's collections.

    A judge makes no wording of a question whose answer a person rejected, and what holds something personal gets into
    no release.
    """
    rulings = [
        each
        for each in standing_rulings(Path(plan.data))
        if each.verdict in ("wording", "fence") and each.collection in plan.collections
    ]
    if not rulings:
        return []
    rejected = {
        (each.collection, normalise(each.question or ""))
        for each in Decisions(Path(plan.data)).standing().values()
        if each.decision == "reject"
    }
    visitors = [each.text for each in rulings if each.origin == "journal"]
    found = personal_in(plan, [(text, ()) for text in visitors])
    personal = {text for text, told in zip(visitors, found, strict=True) if told}
    return [
        each
        for each in rulings
        if (each.person or (each.collection, normalise(each.text)) not in rejected) and each.text not in personal
    ]


def _journal_questions(plan: RunPlan) -> tuple[list[Question], list[RejectRow]]:
    """Return what visitors asked, and rejects for what is not a question, "???" say, or holds something personal.

    A reject names the question by its key alone: its text must not get into the release.
    """
    asked_with = [plan.asked_with(missed) for missed in plan.misses]
    typed = [(missed.question, filters) for missed, filters in zip(plan.misses, asked_with, strict=True)]
    questions: list[Question] = []
    rejects: list[RejectRow] = []
    for missed, filters, found in zip(plan.misses, asked_with, personal_in(plan, typed), strict=True):
        try:
            text = tidy_question(missed.question, plan.settings.max_question_characters)
            refuse_personal(found)
        except QuestionError as error:
            rejects.append(refused_miss(plan, STAGE, missed, error))
        else:
            detail = f"asked {missed.times} times by {missed.askers} askers"
            questions.append(named_question(missed.collection, text, "journal", detail, filters))
    return questions, rejects


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
