"""A text file as a sequence of lines that are decoded on demand."""

import bisect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.retrieval.mapped_lines import MappedLines, save_lines

LINES = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n")))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("lines") / "lines"


@given(LINES, st.slices(8))
def test_lines_are_read_as_they_were_saved(file, lines, some):
    save_lines(lines, file)

    mapped = MappedLines.load(file)

    assert list(mapped) == lines
    assert mapped[some] == lines[some]
    assert [mapped[-1 - n] for n in range(len(lines))] == lines[::-1]


@given(LINES, st.text())
def test_sorted_lines_can_be_searched(file, lines, wanted):
    save_lines(sorted(lines), file)

    assert bisect.bisect_left(MappedLines.load(file), wanted) == bisect.bisect_left(sorted(lines), wanted)


def test_an_index_beyond_the_last_line_raises(file):
    save_lines(["one", "two"], file)

    with pytest.raises(IndexError):
        MappedLines.load(file)[2]


@pytest.mark.parametrize("torn", [b"one\ntwo", b"\xff\n", b"fa\xc3\n"])
def test_a_torn_file_is_refused(file, torn):
    file.write_bytes(torn)

    with pytest.raises(ValueError, match=r"end|decode"):
        MappedLines.load(file)
