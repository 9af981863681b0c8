from __future__ import annotations

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.warehouse.conftest import key, sample_rows, write_parquet
from warehouse.errors import LoadError
from warehouse.releases.load import constraints, count_rows, load_release_database
from warehouse.sql import sql_text
from warehouse.tables import TABLES

ARROW_NAMES = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", tz="UTC"),
    "VARCHAR[]": pa.list_(pa.string()),
    "MAP(VARCHAR, VARCHAR[])": pa.map_(pa.string(), pa.list_(pa.string())),
    "MAP(VARCHAR, VARCHAR)": pa.map_(pa.string(), pa.string()),
}


@pytest.fixture
def schema():
    with duckdb.connect() as connection:
        connection.execute(sql_text("schema.sql"))
        connection.execute(sql_text("views.sql"))
        yield connection


def test_schema_and_arrow_tables_are_equal(schema):
    declared: dict[str, list] = {}
    for table, column, kind in schema.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() "
        "WHERE table_name IN (SELECT table_name FROM duckdb_tables()) "
        "AND (table_name, column_name) <> ('answers', 'citations') "  # loading derives it from the table of that name
        "ORDER BY table_oid, column_index"
    ).fetchall():
        declared.setdefault(table, []).append((column, ARROW_NAMES[kind]))
    assert declared == {name: [(f.name, f.type) for f in arrow] for name, arrow in TABLES.items()}


def test_the_rows_of_all_files_are_loaded(tmp_path, rows):
    files = write_parquet(tmp_path / "a", rows)
    more = sample_rows()
    more["documents"] = [{**more["documents"][0], "document_id": "d3"}]
    files["documents"].append(write_parquet(tmp_path / "b", {"documents": more["documents"]})["documents"][0])

    counts = load_release_database(tmp_path / "w.duckdb", files)

    assert counts["documents"] == 3
    assert counts["answers"] == 3
    assert counts["reviews"] == 0


def test_globs_and_files_without_rows_are_read(tmp_path, rows):
    write_parquet(tmp_path / "stage", rows)
    write_parquet(tmp_path / "stage" / "empty", {name: [] for name in rows})
    files = {name: [f"{tmp_path}/stage/**/{name}.parquet"] for name in rows}

    assert load_release_database(tmp_path / "w.duckdb", files)["questions"] == 3


def test_a_release_opens_in_a_plain_read_only_connection(database):
    with duckdb.connect(str(database), read_only=True) as connection:
        assert count_rows(connection)["answers"] == 3
        with pytest.raises(duckdb.Error, match="read-only"):
            connection.execute("DELETE FROM answers")


def test_older_duckdb_versions_can_open_a_release(database):
    with duckdb.connect(str(database), read_only=True) as connection:
        tags = connection.execute(
            "SELECT tags['storage_version'] FROM duckdb_databases() WHERE NOT internal"
        ).fetchone()
    assert tags[0].startswith("v1.2")


BROKEN = [
    ("answers", {"query_key": key("q2")}, "two rows have the same key"),
    ("answers", {"fingerprint": None}, "column 'fingerprint' is empty"),
    ("answers", {"status": "hidden"}, "breaks the rule"),
    ("answers", {"status": "withheld"}, "breaks the rule"),
    ("answers", {"support": 1.5}, "breaks the rule"),
    ("answers", {"query_key": key("q9")}, "the question is not in questions"),
    ("answers", {"model_id": "other"}, "the model is not in models"),
    ("answers", {"template_id": "other"}, "the prompt template is not in prompt_templates"),
    ("chunks", {"document_id": "d9"}, "the document is not in documents"),
    ("chunks", {"text": ""}, "breaks the rule"),
    ("citations", {"chunk_id": key("c9")}, "the chunk is not in chunks"),
    ("citations", {"document_id": "d2"}, "of another document"),
    ("citations", {"query_key": key("q2")}, "the same answer and number"),
    ("citations", {"query_key": key("q9")}, "the answer is not in answers"),
    ("retrievals", {"rank": 2}, "the same question and rank"),
    ("retrievals", {"rank": 0}, "breaks the rule"),
    ("retrievals", {"chunk_id": key("c9")}, "the chunk is not in chunks"),
    ("retrievals", {"query_key": key("q9")}, "the question is not in questions"),
    ("run_stages", {"run_id": "r9"}, "the run is not in runs"),
]


@pytest.mark.parametrize(("table", "change", "complaint"), BROKEN)
def test_a_broken_constraint_is_named_and_no_file_is_left(tmp_path, rows, table, change, complaint):
    rows[table][0] |= change
    with pytest.raises(LoadError, match=rf"Table {table}: .*{complaint}"):
        load_release_database(tmp_path / "w.duckdb", write_parquet(tmp_path / "s", rows))
    assert not list(tmp_path.glob("w.duckdb*"))


def test_every_named_constraint_is_read_from_the_file():
    assert len(list(constraints())) == sql_text("constraints.sql").count(";")


def test_a_missing_column_is_named(tmp_path):
    pq.write_table(pa.table({"model_id": ["m"]}), tmp_path / "models.parquet")
    with pytest.raises(LoadError, match=r"Table models: the column 'details' is missing in .*models.parquet"):
        load_release_database(tmp_path / "w.duckdb", {"models": [tmp_path / "models.parquet"]})


@pytest.mark.parametrize("content", [b"", b"not parquet at all"])
def test_a_file_that_is_not_parquet_is_named(tmp_path, content):
    (tmp_path / "models.parquet").write_bytes(content)
    with pytest.raises(LoadError, match=r"Table models: .*models.parquet"):
        load_release_database(tmp_path / "w.duckdb", {"models": [tmp_path / "models.parquet"]})


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(LoadError, match=r"nothing-here.parquet"):
        load_release_database(tmp_path / "w.duckdb", {"models": [tmp_path / "nothing-here.parquet"]})


def test_an_unknown_table_is_refused(tmp_path):
    with pytest.raises(LoadError, match="Unknown table 'anwsers'"):
        load_release_database(tmp_path / "w.duckdb", {"anwsers": []})


VIEWS = [
    ("SELECT len(citations), citations[1].title, model FROM answers_with_citations", (1, "Document 1", "m")),
    ("SELECT passage, kind FROM cited_passages", ("Passage 1 about opening hours.", "cited")),
    ("SELECT answers, status FROM freshness", (3, "served")),
    ("SELECT title, citation FROM retrieval_scores WHERE rank = 1", ("Document 1", "cited")),
    ("SELECT stage, rows_a_second FROM run_times", ("prepare", 1.0)),
    ("SELECT change, answers FROM reuse", ("new", 3)),
]


@pytest.mark.parametrize(("query", "first"), VIEWS)
def test_views_return_what_they_promise(database, read, query, first):
    assert read(database, query)[0] == first


def test_suspicious_answers_say_why(make_database, rows, read):
    rows["answers"][0] |= {"status": "withheld", "withheld_reason": "empty"}
    rows["answers"][1]["finish_reason"] = "length"
    found = read(make_database(rows), "SELECT query_key, reason FROM suspicious_answers ORDER BY ALL")
    assert found == [(key("q1"), "empty"), (key("q2"), "cut off")]
