"""A small run as Parquet files, with a few knobs: three questions about two documents."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rag.identity import content_hash
from warehouse.releases.build import begin_build, publish, seal
from warehouse.releases.load import load_release_database
from warehouse.releases.release import Release, current
from warehouse.releases.serving_index import write_serving_index
from warehouse.tables import JOURNAL, TABLES

Rows = dict[str, list[dict[str, Any]]]
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TODAY = NOW.date()


def key(name: str) -> str:
    """Give a readable stand-in for a hash: 32 characters."""
    return name.ljust(32, "0")


def sample_rows() -> Rows:
    """Return a whole run; tests change what they are about."""
    documents = [
        {"collection": "main", "document_id": f"d{n}", "uri": f"file:d{n}.md", "title": f"Document {n}",
         "media_type": "text/markdown", "content_hash": key(f"d{n}"), "characters": 100, "read_at": NOW}
        for n in (1, 2)
    ]  # fmt: skip
    chunks = [
        {"collection": "main", "chunk_id": key(f"c{n}"), "document_id": f"d{n}", "position": 0,
         "heading": f"Heading {n}", "text": f"Passage {n} about opening hours.", "content_hash": key(f"c{n}"),
         "tokens": 7}
        for n in (1, 2)
    ]  # fmt: skip
    names = ["q1", "q2", "q3"]
    questions = [
        {"collection": "main", "query_key": key(q), "question": f"What is {q}?", "normalised": f"what is {q}",
         "origin": "list", "detail": "questions.txt:1"}
        for q in names
    ]  # fmt: skip
    retrievals = [
        {"collection": "main", "query_key": key(q), "rank": rank, "chunk_id": key(f"c{rank}"),
         "score": 1.0 / rank, "dense_rank": rank, "dense_score": 0.8, "lexical_rank": None,
         "lexical_score": None, "in_prompt": True}
        for q in names for rank in (1, 2)
    ]  # fmt: skip
    answers = [
        {"collection": "main", "query_key": key(q), "fingerprint": key(f"f-{q}"),
         "answer": f"The answer to {q} is in the passage [1].", "origin": "generated", "status": "served",
         "withheld_reason": None, "model_id": "m@1", "template_id": key("t"), "sampling": "{}",
         "passages_hash": key("p"), "finish_reason": "stop", "prompt_tokens": 50, "completion_tokens": 10,
         "cached_tokens": 0, "support": 0.9, "invalid_citations": 0, "run_id": "r1", "generated_at": NOW,
         "seconds": 1.0}
        for q in names
    ]  # fmt: skip
    citations = [
        {"collection": "main", "query_key": key(q), "number": 1, "chunk_id": key("c1"), "document_id": "d1",
         "kind": "cited"}
        for q in names
    ]  # fmt: skip
    run = {name: 1 for name in TABLES["runs"].names if TABLES["runs"].field(name).type == pa.int64()}
    run |= {"run_id": "r1", "started_at": NOW, "finished_at": NOW, "status": "completed",
            "runner": "FnApiRunner", "generation_seconds": 3.0, "settings": "{}",
            "batched_prompt_tokens": 0, "batched_completion_tokens": 0}  # fmt: skip
    return {
        "documents": documents,
        "chunks": chunks,
        "questions": questions,
        "retrievals": retrievals,
        "answers": answers,
        "citations": citations,
        "models": [
            {"model_id": "m@1", "kind": "language", "name": "m", "revision": "1", "details": "{}"},
        ],
        "prompt_templates": [{"template_id": key("t"), "name": "answer.txt", "text": "Answer."}],
        "runs": [run],
        "run_stages": [{"run_id": "r1", "stage": "prepare", "started_at": NOW, "seconds": 2.0, "rows": 2}],
        "changes": [
            {
                "collection": "main",
                "query_key": key(q),
                "change": "new",
                "reason": "new question",
                "previous_fingerprint": None,
            }
            for q in names
        ],
        "rejects": [],
    }


def write_parquet(folder: Path, rows: Rows) -> dict[str, list[Path]]:
    """Write each table as the stages do and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for table, content in rows.items():
        path = folder / f"{table}.parquet"
        pq.write_table(pa.Table.from_pylist(content, schema=TABLES[table]), path)
        files[table] = [path]
    return files


Make = Callable[..., Path]


@pytest.fixture
def rows() -> Rows:
    return sample_rows()


@pytest.fixture
def make_database(tmp_path: Path) -> Make:
    """Return a function that loads rows into a database file."""

    def make(rows: Rows, name: str = "warehouse.duckdb") -> Path:
        database = tmp_path / name
        load_release_database(database, write_parquet(tmp_path / f"stages-{name}", rows))
        return database

    return make


@pytest.fixture
def database(make_database: Make, rows: Rows) -> Path:
    return make_database(rows)


@pytest.fixture
def read() -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    """Return a function that runs a query on a database file."""

    def run(database: Path, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(database), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(query, list(parameters)).fetchall()

    yield run


Publish = Callable[..., Release]


@pytest.fixture
def publish_rows(tmp_path: Path) -> Publish:
    """Return a function that publishes rows as a release of the data folder `tmp_path / "data"`."""

    return lambda rows: publish_in(tmp_path, rows)


def publish_in(folder: Path, rows: Rows) -> Release:
    """Publish rows as a release of the data folder `folder / "data"`.

    Many tests begin with the same release, so the first one of a data folder is made once and copied.
    """
    data = folder / "data"
    if data.exists():
        return _publish(folder, rows)
    kept = folder.parent / f"release-{content_hash(repr(rows))}"
    if kept.exists():
        shutil.copytree(kept, data)
        return current(data)
    release = _publish(folder, rows)
    shutil.copytree(data, kept)
    return release


def _publish(folder: Path, rows: Rows) -> Release:
    build = begin_build(folder / "data", "r1")
    load_release_database(build.database, write_parquet(folder / f"stages-{build.release_id}", rows))
    write_serving_index(build.database, build.serving_index, build.release_id)
    seal(build, {"counts": {}})
    return publish(build)


def forget(database: Path, table: str, *columns: str) -> None:
    """Take columns from a release's table, and the views, as if it were older than they are."""
    database.parent.chmod(0o755)
    database.chmod(0o644)
    with duckdb.connect(str(database)) as connection:
        for (view,) in connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall():
            connection.execute(f"DROP VIEW {view}")
        kept = ", ".join(columns)
        connection.execute(f"CREATE TABLE older AS SELECT * EXCLUDE ({kept}) FROM {table}; DROP TABLE {table}")
        connection.execute(f"ALTER TABLE older RENAME TO {table}")


def request(question: str, source: str, **more: Any) -> dict[str, Any]:
    """Return a journal record of a request."""
    return {
        "kind": "request", "request_id": f"id-{question}-{source}", "at": NOW, "collection": "main",
        "route": "/v1/answers", "question": question, "query_key": key(question), "source": source,
        "status": 200, "total_seconds": 0.01, **more,
    }  # fmt: skip


def write_history(data: Path, records: list[dict[str, Any]], day: date = TODAY) -> None:
    """Write records of one day as the history has them."""
    folder = data / "history" / f"day={day}"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(records, schema=JOURNAL), folder / "history.parquet")
