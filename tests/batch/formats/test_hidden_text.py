"""Characters that no reader sees, in every format."""

import pytest

from batch.formats.hidden_text import without_invisible
from batch.reading.documents import parse

INVISIBLE = ["\u200b", "\u00ad", "\u202e", "\u2066", "\u2060", "\U000e0041", "\ufeff", "\ufe01\ufe02\ufe03"]


@pytest.mark.parametrize("name", ["a.md", "a.txt", "a.rst", "a.adoc", "a.html", "a.mdx"])
@pytest.mark.parametrize("hidden", INVISIBLE)
def test_invisible_characters_are_gone_and_counted(name, hidden):
    [document] = parse(name, f"Re{hidden}funds are paid.".encode(), "default")
    assert document.text == "Refunds are paid."
    assert document.hidden.invisible == (0 if hidden == "\ufeff" else len(hidden))


def test_entities_of_html_make_no_invisible_characters():
    [document] = parse("a.html", b"<p>Re&shy;funds are&#8203; paid.", "default")
    assert document.text == "Refunds are paid."
    assert document.hidden.invisible == 2


def test_a_row_is_cleaned_too():
    [document] = parse("a.jsonl", b'{"text": "Re\\u200bfunds"}', "default")
    assert (document.text, document.hidden.invisible) == ("Refunds", 1)


@pytest.mark.parametrize("text", ["می‌خواهم", "क्‍ष", "👩‍👩‍👧", "❤️", "naïve", "שלום"])
def test_scripts_and_emoji_keep_the_joiners_that_they_need(text):
    assert without_invisible(text) == (text, without_invisible("")[1])


def test_what_was_hidden_is_described_in_a_sentence():
    [document] = parse("a.html", "<p>Paid.<p hidden>Refunds are never paid.<p>x\u200by".encode(), "default")
    assert document.hidden.describe().startswith('23 characters of hidden text ("Refunds are never paid.") and 1 invi')
