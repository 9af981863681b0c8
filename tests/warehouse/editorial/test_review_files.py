import csv

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from warehouse.editorial.review_files import read_rows, write_rows
from warehouse.errors import ReviewError


def test_what_a_spreadsheet_writes_is_understood(tmp_path):
    path = tmp_path / "excel.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, delimiter=";").writerows([["a", "b"], ["x; y", 'two\nlines "quoted"']])

    assert read_rows(path, ["a", "b"]) == [{"a": "x; y", "b": 'two\nlines "quoted"'}]


def test_parquet_values_are_read_as_text(tmp_path):
    pq.write_table(pa.table({"a": ["x", None], "n": [1, 2]}), tmp_path / "r.parquet")

    assert read_rows(tmp_path / "r.parquet", ["a", "n"]) == [{"a": "x", "n": "1"}, {"a": "", "n": "2"}]


@pytest.mark.parametrize("cell", ["=1+1", "+41", "-", "@name", "'quoted'", "plain"])
def test_a_cell_comes_back_from_csv_as_it_was_and_never_as_a_formula(tmp_path, cell):
    write_rows(tmp_path / "r.csv", ["a"], [{"a": cell}])

    assert not (tmp_path / "r.csv").read_text(encoding="utf-8-sig").splitlines()[1].startswith(("=", "+", "-", "@"))
    assert read_rows(tmp_path / "r.csv", ["a"]) == [{"a": cell}]


def test_an_empty_column_is_kept_and_a_missing_one_is_not(tmp_path):
    (tmp_path / "r.csv").write_text("a,b\nx,\n")

    assert read_rows(tmp_path / "r.csv", ["a", "b", "c"]) == [{"a": "x", "b": ""}]


def test_an_unquoted_delimiter_is_refused_rather_than_cutting_an_answer_short(tmp_path):
    (tmp_path / "r.csv").write_text("a,new_answer\nx,Press it, then wait.\n")

    with pytest.raises(ReviewError, match=r"row 1: can't be read \(more cells than columns"):
        read_rows(tmp_path / "r.csv", ["a", "new_answer"])


def test_another_encoding_is_refused_with_advice(tmp_path):
    (tmp_path / "r.csv").write_bytes("a\nGr\u00f6\u00dfe\n".encode("cp1252"))

    with pytest.raises(ReviewError, match="save it as UTF-8"):
        read_rows(tmp_path / "r.csv", ["a"])
