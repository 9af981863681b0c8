"""Encodings that a page or a collection declares, and those that nobody does."""

import pytest

from batch.reading.documents import parse


def read(name, data, encoding=None):
    [item] = parse(name, data, "default", encoding=encoding)
    return item


@pytest.mark.parametrize(
    ("charset", "codec", "text"),
    [
        ("gb2312", "gbk", "退款将在十四天内支付"),
        ("Shift_JIS", "cp932", "返金は十四日以内に行われます"),
        ("iso-8859-1", "cp1252", "Größe „so“, 5 €"),
        ("windows-1251", "cp1251", "Возврат за две недели"),
    ],
)
def test_a_page_is_read_in_the_encoding_that_it_declares(charset, codec, text):
    page = f'<html><head><meta charset="{charset}"></head><body><p>{text}</p>'.encode(codec)
    assert read("a.html", page).text == text


def test_a_page_of_valid_utf_8_is_that_whatever_it_declares():
    assert read("a.html", '<meta charset="iso-8859-1"><p>Größe'.encode()).text == "Größe"


@pytest.mark.parametrize("encoding", ["gb18030", "shift_jis", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["a.md", "a.txt", "a.csv"])
def test_the_encoding_of_the_collection_is_obeyed(name, encoding):
    text = "text\n返金" if name.endswith("csv") else "返金"
    assert read(name, text.encode(encoding), encoding).text == "返金"


def test_candidates_are_named_where_nobody_declares_an_encoding():
    reason = read("a.txt", ("退款将在十四天内支付请联系客服。" * 5).encode("gbk")).reason
    assert reason.startswith("not valid UTF-8 (byte 0xcd at offset 0): save it as UTF-8, or declare its encoding")
    assert "gb18030" in reason or "gbk" in reason or "gb2312" in reason


def test_a_wrong_declaration_is_told():
    assert read("a.txt", b"\xff\xff", "utf-8").reason.startswith("not valid UTF-8")
