"""Answers' Markdown as HTML: whatever a model writes, only a closed list of harmless elements comes out."""

from __future__ import annotations

import re

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from online.answering.safe_html import safe_html

# Each element with the attributes that it may have.
ALLOWED: dict[str, set[str]] = {
    name: set()
    for name in "p h3 h4 h5 h6 ul li blockquote hr table thead tbody tr strong em s code br".split()
} | {"a": {"href", "rel", "class"}, "ol": {"start"}, "pre": {"tabindex"}, "div": {"class", "tabindex"}, "th": {"class"},
     "td": {"class"}}  # fmt: skip
PIECES = [
    *"ab1 `*_~[]()<>&\"'|\n:-#\\!=/\u2028\u202e",
    *(
        "<script>",
        "</p>",
        "<img src=x onerror=alert(1)>",
        "<!--",
        "]]>",
        "&lt;",
        "&#106;",
        "<br>",
        "\n\n",
        "```",
        "    ",
    ),
    *("[a](", "javascript:alert(1)", "data:text/html,x", "https://a.example/", "mailto:a@b", "![x](", "|-|-|", "[1]"),
    *("\n- ", "\n1. ", "\n> ", "\nx\n---\n", "[1]: "),
]
marked = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


@given(marked | st.text())
def test_whatever_is_written_nothing_active_comes_out(text: str) -> None:
    written = safe_html(text, {1, 2})

    for tag in BeautifulSoup(written, "html.parser").find_all():
        assert set(tag.attrs) <= ALLOWED[tag.name], written
        if tag.name == "a":
            assert re.match(r"(https?://|mailto:|tel:|#source-[12]$)", tag["href"], re.IGNORECASE), written
    assert written.count("<") == written.count(">")


@given(st.text(alphabet=st.sampled_from("abc ,.\n<&\u2028"), max_size=60))
def test_no_letter_of_a_text_without_marks_is_lost(text: str) -> None:
    shown = BeautifulSoup(safe_html(text, ()), "html.parser").get_text()

    assert "".join(shown.split()) == "".join(text.split())


@pytest.mark.parametrize(
    "text", ["[" * 8000, "![" * 4000, "*a " * 3000, "> " * 4000, "- " * 4000, "`" * 8000, "<" * 8000, "|" * 8000]
)
def test_a_text_that_is_all_marks_is_written_in_time(text: str) -> None:
    assert len(safe_html(text, {1})) < 10 * len(text)


def test_references_without_a_place_to_lead_to_are_text() -> None:
    assert safe_html("At nine [1].", {1}, "") == "<p>At nine [1].</p>"
    assert safe_html("At nine [2].", {1}) == "<p>At nine [2].</p>"
