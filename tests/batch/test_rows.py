"""The tables of a run and of the stores keep their columns, so that a store of any earlier run is read."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from batch.questions.question_files import CuratedPair
from batch.rows import CURATED, PROMPTS, CuratedRow, PromptRow, question_row
from batch.stores.generation_store import GENERATIONS
from batch.stores.parquet import read_file_rows, read_rows, rows_to_table, write_table


def test_the_columns_of_prompts_curated_answers_and_generations_stay() -> None:
    text, number = pa.string(), pa.int64()
    assert (
        pa.schema(
            {
                **dict.fromkeys(
                    ("collection", "query_key", "question", "fingerprint", "passages_hash", "messages"), text
                ),
                "chunk_ids": pa.list_(text),
                "shown_ids": pa.list_(pa.list_(text)),
                "filters": pa.map_(text, text),
            }
        )
        == PROMPTS
    )
    curated = {"collection": text, "query_key": text, "answer": text, "documents": pa.list_(text)}
    assert pa.schema({**curated, "filters": pa.map_(text, text)}) == CURATED
    assert (
        pa.schema(
            {
                **dict.fromkeys(("fingerprint", "text", "finish_reason"), text),
                **dict.fromkeys(("prompt_tokens", "completion_tokens", "cached_tokens"), number),
                "run_id": text,
                "generated_at": pa.timestamp("us", tz="UTC"),
                "seconds": pa.float64(),
            }
        )
        == GENERATIONS
    )


def test_rows_that_are_written_are_read_again(tmp_path: Path) -> None:
    row: CuratedRow = {
        "collection": "default",
        "query_key": "k",
        "answer": "Yes.",
        "documents": ["a.md", "b.md"],
        "filters": {"version": "2"},
    }

    write_table(f"{tmp_path}/part.parquet", rows_to_table([row], CuratedRow))

    assert read_rows(str(tmp_path), CuratedRow) == [row]


def test_only_the_columns_of_the_row_type_are_read(tmp_path: Path) -> None:
    more = PROMPTS.append(pa.field("added_later", pa.string()))
    pq.write_table(more.empty_table(), tmp_path / "part.parquet")

    assert read_file_rows(f"{tmp_path}/part.parquet", PromptRow) == []


def test_a_curated_pair_is_a_question_of_the_team() -> None:
    pair = CuratedPair("default", "k", "Is it?", "is it", "Yes.", ("a.md",), "curated.jsonl, line 1")

    assert question_row(pair) == {
        "collection": "default",
        "query_key": "k",
        "question": "Is it?",
        "normalised": "is it",
        "origin": "curated",
        "detail": "curated.jsonl, line 1",
        "weight": 1.0,
        "tags": [],
        "expected": "",
        "owner": "",
        "metadata": {},
        "filters": {},
    }
