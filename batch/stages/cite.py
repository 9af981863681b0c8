"""Cite: generations into answers, with citations that resolve and a support score.

Joins the prompts of this run with the answer store and the team's curated answers, and writes two tables
below `<out>`: answers and citations. A reference to a passage that was not in the prompt is counted, never
kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypedDict

import apache_beam as beam
import pyarrow as pa

from batch.memory import give_back, pieces
from batch.pipeline import running_pipeline
from batch.plan import Figures, RunPlan
from batch.retrieval.chunk_marks import chunk_marks
from batch.retrieval.prepared_chunks import load_chunks
from batch.rows import CURATED, CuratedRow
from batch.stores.generation_store import GenerationRow, find_generations
from batch.stores.local_folders import local_copy
from batch.stores.parquet import (
    WriteTables,
    count_rows,
    file_batches,
    list_files,
    read_rows,
    rows_to_table,
    table_rows,
)
from rag.filters import Marks, filters_from, fits
from rag.identity import stable_hash, template_id
from rag.prompting.answer_rules import without_reasoning
from rag.prompting.citations import Linked, link
from rag.prompting.support import support
from rag.retrieval.lexical_index import read_languages
from rag.retrieval.passages import Passage, StoredChunk
from warehouse.arrow_schema import schema_of
from warehouse.tables import AnswerRow, CitationRow

STAGE = "cite"
_Rows = tuple[list[AnswerRow], list[CitationRow]]


class _Cited(TypedDict):
    """The columns of the prompts table that citing reads: not the prompts themselves, which are large."""

    collection: str
    query_key: str
    question: str
    fingerprint: str
    passages_hash: str
    chunk_ids: list[str]
    shown_ids: list[list[str]]
    filters: dict[str, str]


class _Cite(beam.DoFn):
    """File of prompts, or of curated pairs → tables of answers; of citations as a second output."""

    def __init__(self, plan: RunPlan) -> None:
        self._generated = _Generated(plan)
        self._curated = _Curated(plan)

    def process(self, file: tuple[str, bool]) -> Iterator[pa.Table | beam.pvalue.TaggedOutput]:
        path, curated = file
        for answers, citations in self._curated.cited(path) if curated else self._generated.cited(path):
            yield rows_to_table(answers, AnswerRow)
            yield beam.pvalue.TaggedOutput("citations", rows_to_table(citations, CitationRow))
            give_back()


class _Generated:
    """Cites what was generated for prompts."""

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan

    def cited(self, path: str) -> Iterator[_Rows]:
        """Yield the rows of answers and of citations for a file of prompts, in blocks."""
        curated = {row["query_key"] for row in read_rows(f"{self._plan.folder('anticipate')}/curated", CuratedRow)}
        for table in file_batches(path, schema_of(_Cited), pieces(self._plan.settings).prompts):
            prompts = [row for row in table_rows(table, _Cited) if row["query_key"] not in curated]
            generations = find_generations(self._plan.answer_store, [prompt["fingerprint"] for prompt in prompts])
            yield self._rows(prompts, generations)

    def _rows(self, prompts: Sequence[_Cited], generations: Mapping[str, GenerationRow]) -> _Rows:
        answers, citations = list[AnswerRow](), list[CitationRow]()
        languages = {name: _languages(self._plan, name) for name in {prompt["collection"] for prompt in prompts}}
        for prompt in prompts:
            generation = generations.get(prompt["fingerprint"])
            if generation is None:  # rejected by the model
                continue
            passages = self._passages(prompt)
            linked = link(without_reasoning(generation["text"])[0], passages)
            supported = support(linked.text, passages, prompt["question"], languages[prompt["collection"]])
            answers.append(answer_row(self._plan, prompt, generation, linked, supported))
            citations += [
                citation_row(
                    prompt["collection"], prompt["query_key"], each.passage.number, each.passage.chunk, each.kind
                )
                for each in linked.citations
            ]
        return answers, citations

    def _passages(self, prompt: _Cited) -> list[Passage]:
        chunks = load_chunks(self._plan.folder("prepare"), prompt["collection"])
        return [
            _passage(number, chunk_id, [chunks[each] for each in shown])
            for number, (chunk_id, shown) in enumerate(
                zip(prompt["chunk_ids"], prompt["shown_ids"], strict=True), start=1
            )
        ]


def _languages(plan: RunPlan, collection: str) -> tuple[str, ...]:
    with local_copy(plan.index_folder(collection)) as folder:
        return read_languages(folder / "lexical")


def _passage(number: int, chunk_id: str, shown: Sequence[StoredChunk]) -> Passage:
    place = [each.chunk_id for each in shown].index(chunk_id)
    return Passage(number, shown[place], 0.0, tuple(shown[:place]), tuple(shown[place + 1 :]))


class _Curated:
    """Cites what the team wrote: the documents that an answer names."""

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan
        self._known_marks: dict[str, Mapping[str, Marks]] = {}

    def cited(self, path: str) -> Iterator[_Rows]:
        """Yield the rows of answers and of citations for a file of curated pairs, in blocks."""
        for table in file_batches(path, CURATED, pieces(self._plan.settings).prompts):
            answers, citations = list[AnswerRow](), list[CitationRow]()
            for pair in table_rows(table, CuratedRow):
                answer, cited = self._rows(pair)
                answers.append(answer)
                citations += cited
            yield answers, citations

    def _rows(self, pair: CuratedRow) -> tuple[AnswerRow, list[CitationRow]]:
        chunks = load_chunks(self._plan.folder("prepare"), pair["collection"])
        named = sorted(set(pair["documents"]))
        found = {each: chunks.of_document(each) for each in named}
        hashes = {each: sorted(chunk.content_hash for chunk in found[each]) for each in named}
        gone = [each for each in named if not found[each]]
        unfit = self._unfit(pair, [chunk for each in named for chunk in found[each][:1]])
        fitting = [each for each in named if found[each] and each not in unfit]
        return curated_answer_row(self._plan, pair, stable_hash("documents", hashes), gone, unfit), [
            citation_row(pair["collection"], pair["query_key"], number, found[each][0], "cited")
            for number, each in enumerate(fitting, start=1)
        ]

    def _unfit(self, pair: CuratedRow, chunks: Sequence[StoredChunk]) -> list[str]:
        """Return the documents that may not be shown to who asks with the pair's filters."""
        if not self._plan.collections[pair["collection"]].filters:
            return []
        marks, filters = self._marks(pair["collection"]), filters_from(pair["filters"])
        return [each.document_id for each in chunks if not fits(marks[each.chunk_id], filters)]

    def _marks(self, collection: str) -> Mapping[str, Marks]:
        if collection not in self._known_marks:
            self._known_marks[collection] = chunk_marks(self._plan, collection)
        return self._known_marks[collection]


def citation_row(collection: str, query_key: str, number: int, chunk: StoredChunk, kind: str) -> CitationRow:
    """Return a row of the citations table."""
    return {
        "collection": collection,
        "query_key": query_key,
        "number": number,
        "chunk_id": chunk.chunk_id,
        "document_id": chunk.document_id,
        "kind": kind,
    }


def answer_row(plan: RunPlan, prompt: _Cited, generation: GenerationRow, linked: Linked, supported: float) -> AnswerRow:
    """Return a generated answer's row of the answers table, to be audited."""
    return {
        "collection": prompt["collection"],
        "query_key": prompt["query_key"],
        "fingerprint": prompt["fingerprint"],
        "answer": linked.text,
        "origin": "generated",
        "status": "served",
        "withheld_reason": None,
        "model_id": plan.llm.model_id,
        "template_id": template_id(plan.template),
        "sampling": json.dumps(plan.sampling.identity(), sort_keys=True),
        "passages_hash": prompt["passages_hash"],
        "finish_reason": generation["finish_reason"],
        "prompt_tokens": generation["prompt_tokens"],
        "completion_tokens": generation["completion_tokens"],
        "cached_tokens": generation["cached_tokens"],
        "support": supported,
        "invalid_citations": linked.invalid,
        "run_id": generation["run_id"],
        "generated_at": generation["generated_at"],
        "seconds": generation["seconds"],
        "filters": prompt["filters"],
    }


def curated_answer_row(
    plan: RunPlan, pair: CuratedRow, documents_hash: str, gone: Sequence[str], unfit: Sequence[str] = ()
) -> AnswerRow:
    """Return a curated answer's row of the answers table; its fingerprint covers the documents that it names.

    One that names documents that are `gone` (withdrawn, deleted or misspelt) is withheld until a person looks, and so
    is one that names documents that are `unfit`: its question's filters exclude them.
    """
    reason = f"names documents that are not there: {', '.join(gone)}" if gone else None
    if unfit:
        reason = f"names documents that the filters of its question exclude: {', '.join(unfit)}"
    return {
        "collection": pair["collection"],
        "query_key": pair["query_key"],
        "fingerprint": stable_hash("curated", pair["query_key"], pair["answer"], documents_hash),
        "answer": pair["answer"],
        "origin": "curated",
        "status": "withheld" if reason else "served",
        "withheld_reason": reason,
        "model_id": None,
        "template_id": None,
        "sampling": None,
        "passages_hash": documents_hash,
        "finish_reason": "stop",
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "cached_tokens": 0,
        "support": None,
        "invalid_citations": 0,
        "run_id": plan.run_id,
        "generated_at": datetime.now(UTC),
        "seconds": 0.0,
        "filters": pair["filters"],
    }


def cite(plan: RunPlan) -> Figures:
    """Turn generations and curated pairs into answers, and write them with their citations."""
    out = plan.folder(STAGE)
    files = [(path, False) for path in list_files(f"{plan.folder('retrieve')}/prompts/*.parquet")]
    files += [(path, True) for path in list_files(f"{plan.folder('anticipate')}/curated/*.parquet")]
    with running_pipeline(plan) as pipeline:
        tables = (
            pipeline
            | "Files" >> beam.Create(files)
            | "Cite" >> beam.ParDo(_Cite(plan)).with_outputs("citations", main="answers")
        )
        _ = tables.answers | "WriteAnswers" >> WriteTables(f"{out}/answers", AnswerRow)
        _ = tables.citations | "WriteCitations" >> WriteTables(f"{out}/citations", CitationRow)
    return {table: count_rows(f"{out}/{table}") for table in ("answers", "citations")}
