import csv

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warehouse.editorial.review_files import read_rows, write_rows


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


def test_an_unquoted_delimiter_is_told_rather_than_cutting_an_answer_short(tmp_path):
    (tmp_path / "r.csv").write_text("a,new_answer\nx,Press it, then wait.\ny,Wait.\n")

    torn, whole = read_rows(tmp_path / "r.csv", ["a", "new_answer"])

    assert torn.reason.startswith("can't be read (more cells than columns")
    assert whole == {"a": "y", "new_answer": "Wait."}


@given(st.lists(st.text("=+-@'19e.\t ax", max_size=20), min_size=1, max_size=3))
def test_any_cell_comes_back_from_csv_and_a_workbook_and_none_is_a_formula(tmp_path_factory, cells):
    folder = tmp_path_factory.mktemp("cells")
    for name in ("r.csv", "r.xlsx"):
        write_rows(folder / name, ["a", "b"], [{"a": "x", "b": cell.strip()} for cell in cells])

        assert read_rows(folder / name, ["a", "b"]) == [{"a": "x", "b": cell.strip()} for cell in cells]

    with (folder / "r.csv").open(encoding="utf-8-sig", newline="") as file:
        assert not [cell for row in csv.reader(file) for cell in row if cell.startswith(("=", "+", "-", "@"))]


@pytest.mark.parametrize("cell", ["795123456789012" + "0" * 17, "79e31", "1" * 32])
def test_a_hash_that_looks_like_a_number_is_guarded(tmp_path, cell):
    write_rows(tmp_path / "r.csv", ["a"], [{"a": cell}])

    assert (tmp_path / "r.csv").read_text(encoding="utf-8-sig").splitlines()[1] == f"'{cell}"
    assert read_rows(tmp_path / "r.csv", ["a"]) == [{"a": cell}]


def test_a_workbook_holds_texts_not_formulas(tmp_path):
    write_rows(tmp_path / "r.xlsx", ["a"], [{"a": "=1+1"}, {"a": "x" * 40_000}])

    sheet = openpyxl.load_workbook(tmp_path / "r.xlsx").worksheets[0]

    assert (sheet["A2"].value, sheet["A2"].data_type, sheet["A2"].number_format) == ("=1+1", "s", "@")
    assert sheet["A3"].value.endswith("… (cut)")
