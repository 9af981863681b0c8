"""Rows as documents: exports of help centres, questions with answers."""

import json

import pytest

from batch.reading.document import Document
from batch.reading.documents import parse
from rag.text.table_files import Reject


def read(name, text):
    return list(parse(name, text.encode(), "default"))


def row(**values):
    [document] = read("faq.jsonl", json.dumps(values))
    return document


def outline(document):
    return [(section.heading, section.text) for section in document.sections]


def test_html_in_a_row_is_read_as_html():
    body = "<h2>When</h2><p>Within 14&nbsp;days.</p><script>track()</script><ul><li>by card</li></ul>"
    document = row(title="Refunds", body=body)
    assert (document.title, document.media_type) == ("Refunds", "text/html")
    assert outline(document) == [("When", "Within 14 days.\n\n- by card")]


def test_markdown_in_a_row_is_read_as_markdown():
    document = row(title="Set-up", body="Run [this](x.md):\n\n```\nmake\n-----\n```\n\n## Then\n\nDone.")
    assert outline(document) == [("", "Run this:\n\n```\nmake\n-----\n```"), ("Then", "Done.")]


@pytest.mark.parametrize(("format_", "text"), [("html", "a < b"), ("text", "a &lt; b"), ("text/markdown", "a < b")])
def test_a_column_says_what_a_row_holds(format_, text):
    assert row(text="a &lt; b", format=format_).text == text


def test_plain_text_in_a_row_stays_plain():
    assert row(text="Prices < 5 and > 3 * 2, see <b>.\nNext line_with_marks").text == (
        "Prices < 5 and > 3 * 2, see <b>.\nNext line_with_marks"
    )


def test_a_heading_of_the_text_beside_another_title_is_kept():
    document = row(title="FAQ", body="# Refunds\n\nSoon.\n\n## How\n\nBy card.")
    assert outline(document) == [("Refunds", "Soon."), ("Refunds › How", "By card.")]  # noqa: RUF001


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("faq.csv", "question,answer,link,product\nWhen are refunds paid?,Within 14 days.,https://x.example/r,Shop\n"),
        (
            "faq.json",
            '[{"question": "When are refunds paid?", "answer": "Within 14 days.", "link": "https://x.example/r", '
            '"product": "Shop"}]',
        ),
        (
            "faq.json",
            '{"version": 1, "items": [{"Question": "When are refunds paid?", "Answer": "Within 14 days.", '
            '"link": "https://x.example/r", "product": "Shop"}]}',
        ),
    ],
)
def test_a_question_with_its_answer_is_a_document_titled_by_the_question(name, text):
    [document] = read(name, text)
    assert (document.title, document.text) == ("When are refunds paid?", "Within 14 days.")
    assert document.uri == "https://x.example/r"
    assert document.fields == {"product": "Shop"}


def test_a_question_without_an_answer_costs_its_row_only():
    first, second = read("faq.csv", "question,answer\nWhen?,\nWhere?,Here.\n")
    assert isinstance(first, Reject)
    assert second.title == "Where?"


def test_a_quotation_mark_that_is_never_closed_costs_its_own_row_only():
    rows = [f'{number},"Text, number {number}."' for number in range(1000)]
    rows[2] = '2,"never closed'
    found = read("a.csv", "\n".join(["id,text", *rows]))
    assert [item.item for item in found if isinstance(item, Reject)] == ["a.csv, line 4"]
    assert sum(isinstance(item, Document) for item in found) == 999


def test_a_quotation_mark_that_is_closed_by_a_later_row_costs_its_own_row_only():
    found = read("a.csv", 'id,text\n1,"open\n2,plain\n3,"closed"\n4,"two\nlines"\n')
    assert [item.item for item in found if isinstance(item, Reject)] == ["a.csv, line 2"]
    assert [item.text for item in found if isinstance(item, Document)] == ["plain", "closed", "two\nlines"]


def test_bare_quotes_are_text_in_a_table_with_tabs():
    found = read("a.tsv", 'id\ttext\n1\tA 5" pipe\n2\t"Yes" she said\n3\t"open\n4\t"whole"\n')
    assert [document.text for document in found] == ['A 5" pipe', '"Yes" she said', '"open', "whole"]


def test_further_columns_are_the_document_s_fields():
    [document] = read("a.csv", "id,text,Version,owner\n1,Text.,2,\n")
    assert document.fields == {"version": "2"}
