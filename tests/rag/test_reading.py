import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rag.errors import DocumentError
from rag.reading import Reject, Row, decode, ending, has_controls, read_rows, tidy


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_marked_encodings_are_decoded_with_normal_line_ends_and_letters(encoding):
    assert decode("o\u0308\r\nb\rc".encode(encoding)) == "ö\nb\nc"


@pytest.mark.parametrize("data", ["Größe".encode("cp1252"), "ab".encode("utf-16")[:-1], b"%PDF-1.4", b"a\0b"])
def test_what_is_not_text_is_refused(data):
    with pytest.raises(DocumentError):
        decode(data)


def test_tidy_text_holds_nothing_invisible():
    assert tidy("a\x00b\x1bc\ufeffd\ud800\te") == "abcd\ufffd\te"
    assert has_controls("a\x07") and has_controls("\udfff") and not has_controls("a\tb\nc")


@pytest.mark.parametrize(("name", "expected"), [("a/b.TXT", ".txt"), ("a.b/c", ""), ("x.tar.gz", ".gz"), (".env", "")])
def test_an_ending_is_in_lower_case(name, expected):
    assert ending(name) == expected


def test_only_the_columns_that_are_asked_for_are_kept_and_empty_cells_are_not():
    rows = list(read_rows("a.csv", b"Text ,ID,other\nx,1,y\n,2,z\n", ["text"], ["id"]))
    assert rows == [Row("line 2", {"text": "x", "id": "1"}), Row("line 3", {"id": "2"})]


def test_a_csv_cell_over_several_lines_counts_its_lines():
    rows = list(read_rows("a.csv", b'text\n"one\ntwo"\nthree\n', ["text"]))
    assert [row.place for row in rows] == ["line 2", "line 4"]


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
