"""Whatever a file holds: no reader fails, no plain word is lost, and the time is linear in the text."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.formats.readers import READABLE
from batch.reading.chunking import chunk
from batch.reading.document import Document
from batch.reading.documents import parse

MARKS = [
    "# a", "text", "", "```", "~~~sh", "    code", "- i", "1. i", "> q", "| a | b |", "|---|---|", "---", "===", "***",
    "<div>", "</div>", "<div hidden>", "<!--", "-->", "{{ x", "x }}", "{% raw %}", "{% endraw %}", ":::note", ":::",
    "<Tabs>", "</Tabs>", "<Tab title='x", "import a from 'b'", "export x = {", "{/*", "!!! note", "[a](b", "[x]: y",
    ".. note::", ".. a:: b", ":role:`x", "a::", "  in", "|===", "----", "[source]", "= T", "== U", ":a: b", "+++", "<b",
    "&", "\\", "\x02", "\u202e", "a[^1]", "[^1]: b", "''' ", "<svg>", "<script>", "`", "``a", "=== \"x\"",
    "/// x", "(((",
]  # fmt: skip
PATHOLOGICAL = [
    "[",
    "<",
    "*",
    "`",
    "![",
    "[a](",
    "<A {",
    "{{",
    "<!--",
    "> ",
    "- ",
    "&",
    "| a ",
    "a|b\n-|-\n",
    "\n",
    ":::",
]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(READABLE)), st.lists(st.sampled_from(MARKS), max_size=25))
def test_no_markup_makes_a_reader_fail(ending, lines):
    for document in parse("file" + ending, "\n".join(lines).encode(), "default"):
        if isinstance(document, Document):
            assert document.text.strip()
            assert chunk(document, lambda text: len(text.split()), 40)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([".md", ".mdx", ".rst", ".adoc", ".txt", ".html", ".qmd"]),
    st.lists(st.lists(st.from_regex(r"[a-z]{2,9}", fullmatch=True), min_size=2, max_size=30), min_size=1, max_size=8),
)
def test_every_word_of_plain_paragraphs_is_in_some_chunk(ending, paragraphs):
    markup = [" ".join(words).capitalize() + "." for words in paragraphs]
    text = "\n\n".join(f"<p>{each}</p>" if ending == ".html" else each for each in markup)
    [document] = parse("file" + ending, text.encode(), "default")
    if isinstance(document, Document):
        found = " ".join(piece.text for piece in chunk(document, lambda text: len(text.split()), 40))
        assert re.findall(r"\w+", found) == re.findall(r"\w+", " ".join(markup))


@pytest.mark.parametrize("ending", [".md", ".mdx", ".rst", ".adoc", ".html", ".txt"])
@pytest.mark.parametrize("mark", PATHOLOGICAL)
def test_the_same_mark_over_and_over_is_read_in_seconds(ending, mark):
    data = (mark * (100_000 // len(mark))).encode()
    started = time.process_time()
    list(parse("file" + ending, data, "default"))
    assert time.process_time() - started < 8
