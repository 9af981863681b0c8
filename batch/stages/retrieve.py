"""Retrieve: for every anticipated question its passages, its prompt and its fingerprint.

Help that `assess` found to do harm is left out. Writes three tables below `<out>`: retrievals (every candidate with its
ranks and scores, and every chunk that a prompt shows), coverage (how well the best one fits) and prompts (what
generation needs).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

import apache_beam as beam
import pyarrow as pa

from batch.generation.prompt_order import passages_hash
from batch.memory import give_back, pieces, refuse_large_index
from batch.pipeline import running_pipeline
from batch.plan import Assistance, Figures, RunPlan
from batch.retrieval.assisted_ranking import RankedQuestion, rank_assisted
from batch.retrieval.coverage import best_score, threshold
from batch.retrieval.help_gain import read_gains, used_assistance
from batch.retrieval.prepared_chunks import load_chunks
from batch.retrieval.question_ranking import (
    ReadQuestion,
    embed_questions,
    embed_wordings,
    questions_by_collection,
    read_questions,
    store_vectors,
    unknown_texts,
)
from batch.rows import PromptRow
from batch.stores.embedding_store import read_list, write_list
from batch.stores.parquet import WriteTables, count_rows, list_files, rows_to_table
from rag.identity import fingerprint
from rag.prompting.template import PromptTemplate
from rag.retrieval.fusion import Ranked
from rag.retrieval.passages import Lookup, Passage, choose_passages, in_order
from warehouse.tables import CoverageRow, QuestionRow, RetrievalRow

STAGE = "retrieve"


class _Retrieve(beam.DoFn):
    """File of questions → tables of prompts; of retrievals and of coverage as further outputs.

    What the encoder reads gives the vectors of questions as well; those that the embedding store lacks are kept there.
    """

    def __init__(
        self, plan: RunPlan, thresholds: Mapping[str, float | None], assistance: Mapping[str, Assistance]
    ) -> None:
        self._plan = plan
        self._thresholds = thresholds
        self._assistance = assistance

    def process(self, source: tuple[str, str]) -> Iterator[pa.Table | beam.pvalue.TaggedOutput]:
        path, listed = source
        unknown = frozenset(read_list(listed)) if listed else frozenset()
        for collection, rows in questions_by_collection(path, pieces(self._plan.settings).questions):
            read = read_questions(self._plan, [row["question"] for row in rows])
            store_vectors(self._plan, read, unknown)
            yield from self._retrieved(collection, rows, read)
            give_back()

    def _retrieved(
        self, collection: str, rows: Sequence[QuestionRow], read: Mapping[str, ReadQuestion]
    ) -> Iterator[pa.Table | beam.pvalue.TaggedOutput]:
        template = PromptTemplate(self._plan.template)
        chunks = load_chunks(self._plan.folder("prepare"), collection)
        settings = self._plan.retrieval
        ranked = rank_assisted(self._plan, collection, rows, chunks.get, self._assistance[collection], read)
        prompts, retrievals, coverage = list[PromptRow](), list[RetrievalRow](), list[CoverageRow]()
        for row, found in zip(rows, ranked, strict=True):
            best = choose_passages(found.ranked, chunks.get, settings.passages, budget=settings.passage_tokens)
            passages = in_order(best, settings.passage_order)
            prompts.append(self._prompt(row, passages, template))
            retrievals += retrieval_rows(row, found.ranked, passages)
            coverage.append(self._coverage(row, found, chunks.get))
        yield rows_to_table(prompts, PromptRow)
        yield beam.pvalue.TaggedOutput("retrievals", rows_to_table(retrievals, RetrievalRow))
        yield beam.pvalue.TaggedOutput("coverage", rows_to_table(coverage, CoverageRow))

    def _coverage(self, row: QuestionRow, found: RankedQuestion, lookup: Lookup) -> CoverageRow:
        return {
            "collection": row["collection"],
            "query_key": row["query_key"],
            "score": best_score(self._plan, found.own, lookup),
            "threshold": self._thresholds[row["collection"]],
            "judged": max(found.verdicts.values(), default=None),
        }

    def _prompt(self, row: QuestionRow, passages: list[Passage], template: PromptTemplate) -> PromptRow:
        hashes = [passage.content_hash for passage in passages]
        return {
            "collection": row["collection"],
            "query_key": row["query_key"],
            "question": row["question"],
            "filters": row["filters"],
            "fingerprint": fingerprint(
                query_key=row["query_key"],
                passages=hashes,
                template=template.id,
                model=self._plan.llm.model_id,
                sampling=self._plan.sampling.identity(),
            ),
            "passages_hash": passages_hash(hashes),
            "messages": json.dumps([asdict(each) for each in template.messages(row["question"], passages)]),
            "chunk_ids": [passage.chunk.chunk_id for passage in passages],
            "shown_ids": [[chunk.chunk_id for chunk in passage.shown] for passage in passages],
        }


def retrieval_rows(question: QuestionRow, ranked: Sequence[Ranked], passages: Sequence[Passage]) -> list[RetrievalRow]:
    """Return a question's rows of the retrievals table: its candidates, then what else the prompt shows around them."""
    shown = {chunk.chunk_id: passage.score for passage in passages for chunk in passage.shown}
    found = {candidate.chunk_id for candidate in ranked}
    around = [
        Ranked(chunk_id, rank, score, None, None, None, None)
        for rank, (chunk_id, score) in enumerate(
            ((chunk_id, score) for chunk_id, score in shown.items() if chunk_id not in found), start=len(ranked) + 1
        )
    ]
    return [
        {
            "collection": question["collection"],
            "query_key": question["query_key"],
            "rank": each.rank,
            "chunk_id": each.chunk_id,
            "score": each.score,
            "dense_rank": each.dense_rank,
            "dense_score": each.dense_score,
            "lexical_rank": each.lexical_rank,
            "lexical_score": each.lexical_score,
            "in_prompt": each.chunk_id in shown,
        }
        for each in [*ranked, *around]
    ]


def retrieve(plan: RunPlan) -> Figures:
    """Embed the questions whose vectors are not known, retrieve their passages, and fill the prompts."""
    questions, out = f"{plan.folder('anticipate')}/questions", plan.folder(STAGE)
    refuse_large_index(plan.settings, "the index of the questions", count_rows(questions), plan.encoder_spec.dimensions)
    files, embedded = _files(plan, questions)
    embedded += embed_wordings(plan)
    thresholds = {name: threshold(plan, name) for name in plan.collections}
    gains = read_gains(plan)
    assistance = {name: used_assistance(plan, name, gains) for name in plan.collections}
    with running_pipeline(plan) as pipeline:
        tables = (
            pipeline
            | "Questions" >> beam.Create(files)
            | "Retrieve"
            >> beam.ParDo(_Retrieve(plan, thresholds, assistance)).with_outputs(
                "retrievals", "coverage", main="prompts"
            )
        )
        _ = tables.prompts | "WritePrompts" >> WriteTables(f"{out}/prompts", PromptRow)
        _ = tables.coverage | "WriteCoverage" >> WriteTables(f"{out}/coverage", CoverageRow)
        _ = tables.retrievals | "WriteRetrievals" >> WriteTables(f"{out}/retrievals", RetrievalRow)
    return {"questions": count_rows(questions), "embedded": embedded}


def _files(plan: RunPlan, questions: str) -> tuple[list[tuple[str, str]], int]:
    """Return the files of questions, each with the list of what it holds without a vector, and how many those are.

    Without late interaction nothing is read anew, and so they are embedded here.
    """
    if not plan.retrieval.late_candidates:
        embedded = embed_questions(plan, questions)
        return [(path, "") for path in list_files(f"{questions}/*.parquet")], embedded
    unknown = unknown_texts(plan, questions, "question")
    listed = {path: write_list(plan, found) for path, found in unknown.by_file().items()}
    return [(path, listed.get(path, "")) for path in unknown.files], len(unknown.hashes)
