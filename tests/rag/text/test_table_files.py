import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rag.errors import DocumentError
from rag.text.table_files import Reject, Row, as_flag, ending, read_rows


@pytest.mark.parametrize(("name", "expected"), [("a/b.TXT", ".txt"), ("a.b/c", ""), ("x.tar.gz", ".gz"), (".env", "")])
def test_an_ending_is_in_lower_case(name, expected):
    assert ending(name) == expected


def test_only_the_requested_columns_are_kept_and_empty_cells_are_not():
    rows = list(read_rows("a.csv", b"Text ,ID,other\nx,1,y\n,2,z\n", ["text"], ["id"]))
    assert rows == [Row("line 2", {"text": "x", "id": "1"}), Row("line 3", {"id": "2"})]


def test_a_csv_cell_over_several_lines_counts_its_lines():
    rows = list(read_rows("a.csv", b'text\n"one\ntwo"\nthree\n', ["text"]))
    assert [row.place for row in rows] == ["line 2", "line 4"]


def test_a_csv_row_with_more_cells_than_columns_is_rejected_and_not_cut_off():
    data = b"id,text\n1,Press it, then wait.\n2,Wait.\n3,Done.,,\n"
    assert list(read_rows("a.csv", data, ["text"], ["id"])) == [
        Reject("a.csv, line 2", "more cells than columns: put a text that holds ',' between quotation marks"),
        Row("line 3", {"text": "Wait.", "id": "2"}),
        Row("line 4", {"text": "Done.", "id": "3"}),
    ]


def test_of_columns_that_differ_only_in_case_the_lower_case_one_counts():
    assert list(read_rows("a.csv", b"Text,text\nno,yes\n", ["text"])) == [Row("line 2", {"text": "yes"})]
    assert list(read_rows("a.jsonl", b'{"text": "yes", "TEXT": "no"}', ["text"])) == [Row("line 1", {"text": "yes"})]


@pytest.mark.parametrize("header", ["Text,TEXT", "text,text"])
def test_columns_that_cannot_be_told_apart_are_refused(header):
    with pytest.raises(DocumentError, match="several columns are called text"):
        list(read_rows("a.csv", f"{header}\na,b\n".encode(), ["text"]))


def test_fields_that_cannot_be_told_apart_are_rejected_and_the_other_lines_read():
    reject, row = read_rows("a.jsonl", b'{"Text": "a", "TEXT": "b"}\n"c"\n', ["text"])
    assert reject == Reject("a.jsonl, line 1", "several columns are called text (Text, TEXT): rename all but one")
    assert row.values == {"text": "c"}


def test_a_bare_json_string_is_the_first_required_column():
    assert list(read_rows("a.jsonl", b'"x"\n7\n', ["text", "body"])) == [
        Row("line 1", {"text": "x"}),
        Reject("a.jsonl, line 2", "not a JSON object with named fields"),
    ]


def test_a_parquet_file_that_is_cut_off_is_refused():
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": ["x" * 1000] * 1000}), sink)
    with pytest.raises(DocumentError, match="not a Parquet file"):
        list(read_rows("a.parquet", sink.getvalue()[:-100], ["text"]))


@pytest.mark.parametrize(
    ("cell", "flag"), [(True, True), ("Yes", True), (" 1 ", True), ("different", False), (0, False), ("maybe", None)]
)
def test_a_cell_says_yes_or_no_in_the_words_that_people_use(cell, flag):
    assert as_flag(cell) is flag


def test_empty_cells_can_be_kept():
    rows = list(read_rows("a.csv", b"text,id\nx,\n", (), ["text", "id", "other"], keep_empty=True))

    assert rows == [Row("line 2", {"text": "x", "id": ""})]


def parquet(**columns):
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (pa.timestamp("ns"), 1_700_000_000_000_000_001, "2023-11-14 22:13:20.000000001"),
        (pa.timestamp("us"), 900_000_000_000_000_000, "30489-11-11 16:00:00.000000"),
        (pa.timestamp("ms", "Nowhere/City"), 1_700_000_000_000, "2023-11-14 22:13:20.000"),
        (pa.date32(), 10_000_000, "29349-01-26"),
    ],
)
def test_a_date_or_time_that_python_cannot_represent_is_read_as_text(kind, value, expected):
    [row] = read_rows("a.parquet", parquet(text=["x"], id=pa.array([value], kind)), ["text"], ["id"])
    assert row.values == {"text": "x", "id": expected}


def test_one_strange_date_leaves_the_others_unchanged():
    ids = pa.array([19_000, 10_000_000], pa.date32())
    rows = read_rows("a.parquet", parquet(text=["x", "y"], id=ids), ["text"], ["id"])
    assert [str(row.values["id"]) for row in rows] == ["2022-01-08", "29349-01-26"]


def test_an_undecodable_cell_is_rejected_and_the_other_rows_are_read():
    buffers = [None, pa.py_buffer(bytes([0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0])), pa.py_buffer(b"\xffx")]
    reject, row = read_rows("a.parquet", parquet(text=pa.Array.from_buffers(pa.string(), 2, buffers)), ["text"])
    assert reject.item == "a.parquet, row 1"
    assert "its text can't be read ('utf-8' codec" in reject.reason
    assert row == Row("row 2", {"text": "x"})
