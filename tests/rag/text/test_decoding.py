import pytest

from rag.errors import DocumentError
from rag.text.decoding import decode, has_controls, tidy


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_marked_encodings_are_decoded_with_normal_line_ends_and_letters(encoding):
    assert decode("o\u0308\r\nb\rc".encode(encoding)) == "ö\nb\nc"


@pytest.mark.parametrize("data", ["Größe".encode("cp1252"), "ab".encode("utf-16")[:-1], b"%PDF-1.4", b"a\0b"])
def test_binary_and_misencoded_data_are_refused(data):
    with pytest.raises(DocumentError):
        decode(data)


def test_tidy_removes_invisible_characters():
    assert tidy("a\x00b\x1bc\ufeffd\ud800\te") == "abcd\ufffd\te"
    assert has_controls("a\x07") and has_controls("\udfff") and not has_controls("a\tb\nc")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_its_mark_is_recognised(encoding):
    with pytest.raises(DocumentError, match=f"looks like {encoding.upper().replace('6-', '6')} without a byte order"):
        decode("Größe: 3 см".encode(encoding))
