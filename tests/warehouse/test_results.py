from __future__ import annotations

import csv
import io
import json

import duckdb
import pyarrow.parquet as pq
import pytest

from warehouse.errors import QueryError
from warehouse.results import FORMATS, query, write_result

SAMPLE = """
SELECT 1 AS n, 'a "quoted", text' AS t, [1, 2] AS l, {'k': 'v'} AS s, 1.5::DECIMAL(4, 2) AS d,
       TIMESTAMP '2026-11-20 12:00:00' AS at, NULL AS nothing, '\\x41'::BLOB AS b
"""


@pytest.fixture
def connection():
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def written(connection, sql, form):
    output = io.BytesIO()
    rows = write_result(connection, sql, form, output)
    return rows, output.getvalue()


def test_csv_has_a_header_and_nested_values_as_json(connection):
    _, text = written(connection, SAMPLE, "csv")
    (row,) = csv.DictReader(io.StringIO(text.decode()))
    assert row["t"] == 'a "quoted", text'
    assert json.loads(row["l"]) == [1, 2]
    assert json.loads(row["s"]) == {"k": "v"}
    assert row["nothing"] == ""


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_json_keeps_types(connection, form):
    _, text = written(connection, SAMPLE, form)
    row = json.loads(text)[0] if form == "json" else json.loads(text)
    assert row == {
        "n": 1, "t": 'a "quoted", text', "l": [1, 2], "s": {"k": "v"}, "d": 1.5, "at": "2026-11-20T12:00:00",
        "nothing": None, "b": "41",
    }  # fmt: skip


def test_parquet_can_be_read_back(connection):
    _, content = written(connection, SAMPLE, "parquet")
    assert pq.read_table(io.BytesIO(content)).to_pylist()[0]["l"] == [1, 2]


def test_a_table_is_aligned_and_long_cells_are_cut(connection):
    _, text = written(connection, "SELECT 'x' AS name, 12 AS n UNION ALL SELECT repeat('y', 99), 3 ORDER BY n", "table")
    lines = text.decode().splitlines()
    assert lines[0].startswith("name ")
    assert lines[2].endswith("…   3")
    assert lines[3].endswith(" 12")
    assert lines[4] == "(2 rows)"
    assert max(map(len, lines)) < 80


def test_a_table_shows_control_characters_instead_of_having_the_terminal_obey_them(connection):
    _, text = written(connection, "SELECT chr(27) || '[2J' || chr(0) || 'ä' AS a, [chr(155)] AS b", "table")
    assert text.decode().splitlines()[2].split() == ["\ufffd[2J\ufffdä", '["\ufffd"]']


def test_a_long_table_says_that_there_is_more(connection):
    rows, text = written(connection, "SELECT * FROM range(30_000)", "table")
    assert rows == 1_000
    assert text.decode().splitlines()[-1] == "Only the first 1000 rows are shown; another format gives all."


@pytest.mark.parametrize("form", ["csv", "jsonl", "json", "parquet"])
def test_every_row_is_exported(connection, form):
    rows, content = written(connection, "SELECT i, 'text ' || i AS t FROM range(30_000) t(i)", form)
    assert rows == 30_000
    if form == "json":
        assert len(json.loads(content)) == 30_000


@pytest.mark.parametrize("form", FORMATS)
def test_no_rows_are_no_error(connection, form):
    rows, content = written(connection, "SELECT 1 AS n WHERE false", form)
    assert rows == 0
    if form == "json":
        assert json.loads(content) == []


@pytest.mark.parametrize("form", FORMATS)
def test_a_statement_without_a_result_gives_nothing(connection, form):
    assert written(connection, "CREATE TEMP TABLE x AS SELECT 1 AS n", form)[0] <= 1


def test_several_statements_give_the_last_result(connection):
    assert written(connection, "CREATE TEMP TABLE x AS SELECT 7 AS n; SELECT n FROM x;", "jsonl")[1] == b'{"n": 7}\n'


@pytest.mark.parametrize(
    "statement", ["DESCRIBE SELECT 1 AS n", "SHOW ALL TABLES", "EXPLAIN SELECT 1", "SUMMARIZE SELECT 1"]
)
def test_statements_that_look_around_give_a_result(connection, statement):
    assert written(connection, statement, "csv")[1]


WRONG = [
    ("SELEC 1", r'syntax error at or near "SELEC"\. \(LINE 1: SELEC 1\)'),
    ("SELECT * FROM answer", r"answer does not exist.*Did you mean"),
    ("SELECT nam FROM (SELECT 1 AS name)", r'"nam" not found.*Candidate bindings: "name"'),
    ("SELECT 'x'::INTEGER", "Could not convert string 'x'"),
    ("SELECT CASE WHEN i > 25000 THEN 'x'::INTEGER END FROM range(30000) t(i)", "Could not convert"),
    ("", ""),
]


@pytest.mark.parametrize(("sql", "complaint"), WRONG[:-1])
@pytest.mark.parametrize("form", ["table", "csv"])
def test_a_mistake_is_explained_in_one_sentence(connection, sql, complaint, form):
    connection.execute("CREATE TABLE answers (n INTEGER)")
    with pytest.raises(QueryError, match=complaint) as raised:
        written(connection, sql, form)
    assert "\n" not in str(raised.value)


def test_nothing_gives_nothing(connection):
    assert query(connection, "").read_all().num_rows == 0


def test_an_unknown_format_is_refused(connection):
    with pytest.raises(QueryError, match="Unknown format 'xlsx'; known are table, csv"):
        written(connection, "SELECT 1", "xlsx")
