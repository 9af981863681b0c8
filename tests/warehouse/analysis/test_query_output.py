from __future__ import annotations

import csv
import io
import json
import re
from datetime import datetime

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse.analysis.query_output import FORMATS, query, write_result
from warehouse.errors import QueryError

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


def test_csv_guards_texts_that_a_spreadsheet_takes_for_formulas_and_leaves_numbers(connection):
    _, text = written(
        connection, "SELECT '=1+1' AS a, '@x' AS b, '79e31' AS c, 'x=' AS d, -1 AS e, NULL::VARCHAR AS f", "csv"
    )
    (row,) = csv.DictReader(io.StringIO(text.decode()))
    assert row == {"a": "'=1+1", "b": "'@x", "c": "'79e31", "d": "x=", "e": "-1", "f": ""}


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


def read_back(content, form):
    """Return the rows of a result as dictionaries; those of a table by its single spaces."""
    if form == "parquet":
        return pq.read_table(io.BytesIO(content)).to_pylist()
    if form == "csv":
        return list(csv.DictReader(io.StringIO(content.decode())))
    if form == "table":
        names, _, *rows, _ = (re.split("  +", line.strip()) for line in content.decode().splitlines())
        return [dict(zip(names, row, strict=True)) for row in rows]
    strict = {"parse_constant": lambda name: pytest.fail(f"{name} is no JSON")}
    return json.loads(content, **strict) if form == "json" else [json.loads(x, **strict) for x in content.splitlines()]


DUPLICATES = [
    ("SELECT * FROM (SELECT 1 AS k, 2 AS v) a JOIN (SELECT 1 AS k, 3 AS v) b USING (k)", {"k": 1, "v": 2, "v_1": 3}),
    ("SELECT 1 AS n, 2 AS n, 3 AS n_1, 4 AS n", {"n": 1, "n_2": 2, "n_1": 3, "n_3": 4}),
    ("""SELECT 1 AS "a ""b", 2 AS "a ""b" """, {'a "b': 1, 'a "b_1': 2}),
]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("sql", "row"), DUPLICATES)
def test_columns_with_the_same_name_are_numbered(connection, sql, row, form):
    (found,) = read_back(written(connection, sql, form)[1], form)
    assert {name: int(value) for name, value in found.items()} == row


FOREIGN = [
    ("TIMESTAMP '2026-11-20 12:00:00' - TIMESTAMP '2026-11-18 09:00:00'", "2 days 03:00:00"),
    ("INTERVAL '-1 month'", "-1 month"),
    ("'0101'::BIT", "0101"),
    ("340282366920938463463374607431768211455::UHUGEINT", "340282366920938463463374607431768211455"),
    ("10::BIGNUM", "10"),
    ("TIMETZ '12:00:00+02'", "12:00:00+02"),
    ("union_value(a := 1)", "1"),
    ("1::VARIANT", "1"),
    ("'POINT(1 2)'::GEOMETRY", "POINT (1 2)"),
]
HELD = [
    (r"'a\xFF'::BLOB", "61ff"),
    ("DATE 'infinity'", "infinity"),
    ("DATE '99999-01-01'", "99999-01-01"),
    ("TIME '24:00:00'", "24:00:00"),
    ("TIMESTAMP '-infinity'", "-infinity"),
    ("TIMESTAMPTZ 'infinity'", "infinity"),
    ("TIMESTAMP_S 'infinity'", "infinity"),
    ("TIMESTAMP '99999-01-01'", "99999-01-01T00:00:00.000000"),
    ("TIMESTAMPTZ '99999-01-01 00:00:00+00'", "99999-01-01T00:00:00.000000+00:00"),
    ("TIMESTAMP_NS '2026-11-20 12:00:00.123456789'", "2026-11-20T12:00:00.123456789"),
]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("value", "shown"), FOREIGN)
def test_types_that_no_format_supports_become_text(connection, value, shown, form):
    assert read_back(written(connection, f"SELECT {value} AS c", form)[1], form) == [{"c": shown}]


@pytest.mark.parametrize("form", ["table", "json", "jsonl"])
@pytest.mark.parametrize(("value", "shown"), HELD)
def test_types_that_only_parquet_supports_become_text_elsewhere(connection, value, shown, form):
    assert read_back(written(connection, f"SELECT {value} AS c", form)[1], form) == [{"c": shown}]


@pytest.mark.parametrize("value", [value for value, _ in HELD if "BLOB" not in value])
def test_csv_gives_times_as_duckdb_writes_them(connection, value):
    ((text,),) = connection.execute(f"SELECT {value}::VARCHAR").fetchall()
    assert read_back(written(connection, f"SELECT {value} AS c", "csv")[1], "csv") == [{"c": text}]


def test_csv_gives_bytes_in_hexadecimal(connection):
    assert written(connection, r"SELECT 'a\xFF'::BLOB AS b", "csv")[1] == b'"b"\n"61ff"\n'


@pytest.mark.parametrize("value", [value for value, _ in HELD])
def test_parquet_keeps_the_types_it_supports(connection, tmp_path, value):
    (tmp_path / "out.parquet").write_bytes(written(connection, f"SELECT {value} AS c", "parquet")[1])
    assert connection.sql(f"SELECT c = {value} FROM '{tmp_path}/out.parquet'").fetchall() == [(True,)]


@pytest.mark.parametrize("form", ["json", "csv", "table"])
@pytest.mark.parametrize(("value", "shown"), FOREIGN + HELD)
def test_unsupported_types_become_text_within_lists_structs_and_maps(connection, value, shown, form):
    nested = f"{{'a b': [{value}], 'm': MAP {{'k': {value}}}, 'r': row({value}), 'nothing': NULL}}"
    output = io.BytesIO()
    write_result(connection, f"SELECT {nested} AS c", form, output, longest=None)
    (row,) = read_back(output.getvalue(), form)
    found = row["c"] if form == "json" else json.loads(row["c"])
    assert found == {"a b": [shown], "m": [["k", shown]], "r": {"element1": shown}, "nothing": None}


def test_parquet_keeps_supported_values_beside_unsupported_ones(connection):
    sql = "SELECT {'i': INTERVAL '1 day', 'at': TIMESTAMP '2026-11-20 12:00:00', 'b': 'x'::BLOB} AS c"
    assert read_back(written(connection, sql, "parquet")[1], "parquet") == [
        {"c": {"i": "1 day", "at": datetime(2026, 11, 20, 12), "b": b"x"}}
    ]


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_nan_and_infinity_are_null_in_json(connection, form):
    sql = (
        "SELECT 'nan'::DOUBLE AS a, '-inf'::FLOAT AS b, ['inf'::DOUBLE, 1.5] AS l, {'x': 'nan'::DOUBLE} AS s, 2.5 AS n"
    )
    assert read_back(written(connection, sql, form)[1], form) == [
        {"a": None, "b": None, "l": [None, 1.5], "s": {"x": None}, "n": 2.5}
    ]


def test_a_sum_of_integers_is_an_integer_in_json(connection):
    sql = f"SELECT sum(i) AS n FROM (VALUES ({2**62}), (5)) t(i)"
    assert read_back(written(connection, sql, "json")[1], "json") == [{"n": 2**62 + 5}]


@pytest.mark.parametrize("form", FORMATS)
def test_the_order_of_the_query_is_kept(connection, form):
    sql = "SELECT i AS n, INTERVAL 1 DAY AS d FROM range(900) t(i) ORDER BY hash(i)"
    expected = [n for n, _ in connection.sql(sql).fetchall()]
    assert [int(row["n"]) for row in read_back(written(connection, sql, form)[1], form)] == expected


SIMPLE = st.sampled_from(
    "TINYINT UBIGINT HUGEINT UHUGEINT BIGNUM FLOAT DOUBLE DECIMAL(9,2) BOOLEAN VARCHAR BLOB BIT UUID JSON DATE TIME "
    "TIMETZ TIME_NS TIMESTAMP TIMESTAMPTZ TIMESTAMP_S TIMESTAMP_MS TIMESTAMP_NS INTERVAL VARIANT ENUM('a','b')".split()
)
TYPES = st.recursive(
    SIMPLE,
    lambda inner: (
        inner.map("{}[]".format)
        | inner.map("{}[2]".format)
        | st.builds('STRUCT("a ""b" {}, c {})'.format, inner, inner)
        | st.builds("MAP({}, {})".format, SIMPLE, inner)
        | st.builds("UNION(a {}, b {})".format, inner, inner)
    ),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(TYPES, min_size=1, max_size=4), st.sampled_from(FORMATS))
def test_every_format_can_write_every_type(types, form):
    with duckdb.connect() as connection:
        columns = ", ".join(f"NULL::{kind} AS c" for kind in types)
        rows, content = written(connection, f"SELECT 0 AS c, {columns}", form)
    assert rows == 1
    if form != "table":  # where nothing is shown of NULL
        assert len(read_back(content, form)[0]) == len(types) + 1


def test_a_table_is_aligned_and_long_cells_are_cut(connection):
    _, text = written(connection, "SELECT 'x' AS name, 12 AS n UNION ALL SELECT repeat('y', 99), 3 ORDER BY n", "table")
    lines = text.decode().splitlines()
    assert lines[0].startswith("name ")
    assert lines[2].endswith("…   3")
    assert lines[3].endswith(" 12")
    assert lines[4] == "(2 rows)"
    assert max(map(len, lines)) < 80


def test_a_table_replaces_control_characters(connection):
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
def test_a_result_without_rows_is_no_error(connection, form):
    rows, content = written(connection, "SELECT 1 AS n WHERE false", form)
    assert rows == 0
    if form == "json":
        assert json.loads(content) == []


@pytest.mark.parametrize("form", FORMATS)
def test_a_statement_without_a_result_gives_nothing(connection, form):
    assert written(connection, "CREATE TEMP TABLE x AS SELECT 1 AS n", form)[0] <= 1


def test_several_statements_return_the_last_result(connection):
    assert written(connection, "CREATE TEMP TABLE x AS SELECT 7 AS n; SELECT n FROM x;", "jsonl")[1] == b'{"n": 7}\n'


@pytest.mark.parametrize(
    "statement", ["DESCRIBE SELECT 1 AS n", "SHOW ALL TABLES", "EXPLAIN SELECT 1", "SUMMARIZE SELECT 1"]
)
def test_statements_that_describe_the_session_return_a_result(connection, statement):
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


def test_an_empty_statement_returns_nothing(connection):
    assert query(connection, "").read_all().num_rows == 0


def test_an_unknown_format_is_refused(connection):
    with pytest.raises(QueryError, match="Unknown format 'xlsx'; known are table, csv"):
        written(connection, "SELECT 1", "xlsx")


def test_of_several_statements_a_table_shows_each_result(connection):
    rows, text = written(connection, "SET VARIABLE n = 3; SELECT 1 AS a; SELECT getvariable('n') AS b", "table")
    assert rows == 2
    assert [line.strip() for line in text.decode().splitlines() if line.strip() in ("a", "b", "1", "3")] == [
        "a", "1", "b", "3",
    ]  # fmt: skip


@pytest.mark.parametrize("form", sorted(set(FORMATS) - {"table"}))
def test_several_results_are_refused_before_anything_runs_where_a_file_has_room_for_one(connection, form):
    connection.execute("CREATE SEQUENCE runs")
    with pytest.raises(QueryError, match=f"There are 2 statements, and {form} has room"):
        written(connection, "SELECT nextval('runs'); SELECT 2", form)
    assert connection.execute("SELECT nextval('runs')").fetchone() == (1,)


def test_if_one_of_several_statements_fails_nothing_is_shown(connection):
    output = io.BytesIO()
    with pytest.raises(QueryError, match="nowhere"):
        write_result(connection, "SELECT 1; FROM nowhere", "table", output)
    assert output.getvalue() == b""
