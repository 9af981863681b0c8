"""Where a citation leads: the document's own address or its collection's template, and never anywhere unsafe."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.link_template import check_template
from rag.links import page_link, web_link, with_anchor

SITE = "https://docs.example.com/v2/{path_without_ending}"


@pytest.mark.parametrize(
    ("own", "path", "link"),
    [
        (["https://example.com/refunds"], "refunds.html", "https://example.com/refunds"),
        (
            ["javascript:alert(1)", "ftp://example.com/a"],
            "guide/set up.md",
            "https://docs.example.com/v2/guide/set%20up",
        ),
        (["/install/"], "setup.md", "https://docs.example.com/v2/install/"),  # a permalink
        (["//evil.example/a"], "setup.md", "https://docs.example.com/v2/setup"),
        ([], "guide/index.md", "https://docs.example.com/v2/guide/"),
        ([], "README.md", "https://docs.example.com/v2/"),
        ([], "100%.md", "https://docs.example.com/v2/100%25"),
    ],
)
def test_a_document_is_found_at_its_own_address_else_where_the_template_says(own, path, link):
    assert page_link(own, SITE, path) == link


@pytest.mark.parametrize(
    ("template", "link"),
    [
        ("https://e.example/{path}", "https://e.example/guide/index.md"),
        ("https://e.example/{path_without_ending}.html", "https://e.example/guide/index.html"),
        ("https://e.example/?page={name}", "https://e.example/?page=index"),
        ("https://e.example/{id}", "https://e.example/guide/index.md"),
    ],
)
def test_a_template_names_the_parts_of_a_path(template, link):
    assert page_link([], check_template(template), "guide/index.md") == link


def test_a_row_has_a_page_of_its_own_only_where_the_template_tells_rows_apart():
    assert page_link([], SITE, "faq.csv", "7") == ""
    assert page_link([], "https://e.example/faq/{id}", "faq.csv", "7 a") == "https://e.example/faq/7%20a"


def test_a_link_leads_to_its_heading_unless_it_leads_somewhere_already():
    assert with_anchor("https://e.example/a", "größe--mehr") == "https://e.example/a#gr%C3%B6%C3%9Fe--mehr"
    assert with_anchor("https://e.example/a#own", "other") == "https://e.example/a#own"
    assert with_anchor("", "other") == ""


def test_a_link_loses_credentials_and_signatures_and_keeps_which_page_is_meant():
    assert web_link("https://user:secret@e.example/a?sig=abc&v=1") == "https://e.example/a?v=1"


@given(st.text() | st.text().map("https://e.example/{}".format) | st.text().map("http://{}".format))
def test_whatever_an_address_holds_a_link_is_a_web_address_without_credentials_or_white_space(text):
    link = web_link(text)
    assert link == "" or re.fullmatch(r"https?://[^\s\"<>\\]+", link)
    assert "@" not in urlsplit(link).netloc
    assert web_link(link) == link


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("docs.example.com/{path}", "no address of a site"),
        ("ftp://docs.example.com/{path}", "no address of a site"),
        ("https://user:secret@docs.example.com/{path}", "no address of a site"),
        ("https://{name}/a", "no address of a site"),
        ("https://docs.example.com/{slug}", "{slug} is unknown"),
        ("https://docs.example.com/{path.parent}", "{path.parent} is unknown"),
        ("https://docs.example.com/{path!r}", "{path} is unknown"),
        ("https://docs.example.com/{path", "braces don't match"),
        ("https://docs.example.com/docs", "the same for every document"),
    ],
)
def test_a_template_that_is_none_says_why(template, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        check_template(template)
