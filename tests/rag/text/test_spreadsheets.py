"""What spreadsheets save becomes a plain table; bytes of another alphabet are told and never guessed."""

from __future__ import annotations

import pytest

from rag.errors import DocumentError
from rag.text.spreadsheets import decode_spreadsheet, plain_table
from rag.text.table_files import Row, read_rows

WESTERN = [
    "Größe, Öffnungszeiten, naïve, œuvre, déjà élevé, où, été",
    "¿Cuándo abre? ¡Mañana! 20 €, 5 m³, 3 °C, §7, Nº 4",
    "“Quoted”… «dash» ÅÄÖ åäö Ærø",
]


@pytest.mark.parametrize("text", WESTERN)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_western_text_is_read_in_each_encoding_of_a_spreadsheet(text, encoding):
    assert decode_spreadsheet(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("zażółć gęślą", "cp1250"), ("příliš žluťoučký", "cp1250"), ("жизнь", "cp1251"), ("ώρες", "cp1253"),
        ("שלום", "cp1255"), ("café Müller", "mac_roman"),
    ],
)  # fmt: skip
def test_another_encoding_is_told_and_not_guessed(text, encoding):
    with pytest.raises(DocumentError, match=r'save it as \.xlsx, or as "CSV UTF-8"'):
        decode_spreadsheet(text.encode(encoding))


def test_the_separator_line_names_the_separator():
    name, content = plain_table("r.csv", b'SEP=|\na|b\n"x, y|z"|2\n')

    assert list(read_rows(name, content, (), ["a", "b"])) == [Row("line 2", {"a": "x, y|z", "b": "2"})]


def test_blanks_and_capitals_in_headers_do_not_matter():
    assert list(read_rows("r.csv", b"New  Answer ;B\nx;y\n", (), ["new_answer", "b"])) == [
        Row("line 2", {"new_answer": "x", "b": "y"})
    ]


def test_other_tables_stay_as_they_are():
    assert plain_table("r.jsonl", b"{}") == ("r.jsonl", b"{}")
