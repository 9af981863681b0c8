"""reStructuredText with what Sphinx and the PEPs add to it, as a reader of the page sees it."""

import pytest

from batch.formats.restructuredtext import read_restructuredtext


def sections(text):
    return [(section.heading, section.text) for section in read_restructuredtext(text).sections]


def text_of(rst):
    """The text of a page without headings, its blank lines left out."""
    return [
        line for section in read_restructuredtext(rst).sections for line in section.text.split("\n") if line.strip()
    ]


def test_a_header_is_metadata_and_its_title_the_page_s():
    page = read_restructuredtext(
        "PEP: 8\nTitle: Style Guide\nAuthor: A <a@example.org>,\n        B\nStatus: Active\n\n"
        "Introduction\n============\n\nText.\n"
    )
    assert page.title == "Style Guide"
    assert page.fields == {"pep": "8", "title": "Style Guide", "author": "A <a@example.org>, B", "status": "Active"}
    assert [(section.heading, section.text) for section in page.sections] == [("Introduction", "Text.")]


def test_a_field_list_at_the_head_is_metadata():
    page = read_restructuredtext(":Title: Style Guide\n:Version: 3\n\nHeading\n=======\n\nText.\n")
    assert (page.title, page.fields["version"]) == ("Style Guide", "3")
    assert page.sections[0].text == "Text."


@pytest.mark.parametrize("above", [".. _install:\n\n", ".. comment\n\n", ".. index:: x\n\n", ".. highlight:: c\n\n"])
def test_what_is_invisible_above_the_first_heading_leaves_it_the_title(above):
    assert read_restructuredtext(f"{above}Install\n=======\n\nText.").title == "Install"


@pytest.mark.parametrize(
    ("rst", "lines"),
    [
        ("Raises :exc:`~pkg.errors.BadRequest`.", ["Raises ``BadRequest``."]),
        ("See :ref:`the guide <guide>` and :doc:`install`.", ["See the guide and install."]),
        ("See :pep:`8` and :rfc:`2119#section-1`.", ["See PEP 8 and RFC 2119."]),
        ("Press :kbd:`Ctrl+C`, an :unknown:`odd role`.", ["Press ``Ctrl+C``, an odd role."]),
        ("A `link <https://example.org>`_, a `name`_ and word_.", ["A link, a name and word."]),
        (".. |v| replace:: 3.1\n\nVersion |v|, |other|.", ["Version 3.1, other."]),
        (".. |br| raw:: html\n\n   <br>\n\nOne |br| two.", ["One  two."]),
        (".. csv-table:: Plans\n   :header: A, B\n\n   1, 2", ["**Plans**", "| A | B |", "|---|---|", "| 1 | 2 |"]),
        (".. versionadded:: 3.1", ["Added in version 3.1."]),
        (".. versionchanged:: 3.1\n   It is faster.", ["Changed in version 3.1: It is faster."]),
        (".. deprecated:: 2.0 Use x.", ["Deprecated since version 2.0: Use x."]),
        (".. autoclass:: App\n   :members:\n\nText.", ["Text."]),
        (".. toctree::\n   :maxdepth: 2\n\n   a\n   b\n\nText.", ["Text."]),
        (".. setting:: PASSWORD_HASHERS\n\nText.", ["Text."]),
        (".. option:: --verbose\n\nText.", ["``--verbose``", "Text."]),
        (".. change::\n    :tags: sql\n\n  Text.", ["Text."]),
        (".. tip:: Do it as\n   shown::\n\n     make", ["Do it as", "shown:", "```", "make", "```"]),
        ("See :doc:`/ref/models/lookups`, :doc:`topics/db/index`, :ref:`my-label`.", ["See lookups, db, my label."]),
        (".. _target:\n\nText.\n\n.. _x: https://example.org", ["Text."]),
        (".. note:: Mind this.\n\n   And that.", ["Mind this.", "And that."]),
        (".. unknown-thing:: arg\n   :opt: 1\n\n   Content.", ["Content."]),
        (".. tab-item:: Linux\n\n   Text.", ["**Linux**", "Text."]),
        (".. code-block:: python\n   :linenos:\n\n   x = 1\n\n   y = 2", ["```python", "x = 1", "y = 2", "```"]),
        ("Like so::\n\n    make", ["Like so:", "```", "make", "```"]),
        (".. function:: f(x)\n\n   Does it.", ["``f(x)``", "  Does it."]),
        (".. image:: x.png\n   :alt: A chart", ["A chart"]),
        (".. figure:: x.png\n   :alt: A chart\n\n   Caption.", ["A chart", "Caption."]),
        (".. raw:: html\n\n   <b>x</b>\n\nText.", ["Text."]),
        (".. include:: /etc/passwd\n\nText.", ["Text."]),
        ("* one\n* two\n\n  * nested\n\n1. first", ["* one", "* two", "  * nested", "1. first"]),
        ("term\n  Meaning.", ["term", "  Meaning."]),
        ("A note [1]_.\n\n.. [1] Said so.", ["A note [1].", "[1] Said so."]),
        ("== ==\nA  B\n== ==\n1  2\n== ==", ["| A | B |", "|---|---|", "| 1 | 2 |"]),
        (
            ".. list-table::\n   :header-rows: 1\n   :class: x\n\n   * - A\n     - B\n   * - 1\n     - 2",
            ["| A | B |", "|---|---|", "| 1 | 2 |"],
        ),
        ("*emphasis*, **strong** and ``code`` stay.", ["*emphasis*, **strong** and ``code`` stay."]),
    ],
)
def test_roles_are_their_text_and_directives_their_content(rst, lines):
    assert text_of(rst) == lines


def test_sections_nest_by_their_underlines():
    text = "Title\n=====\n\nOne.\n\nPart\n----\n\nTwo.\n\nDetail\n~~~~~~\n\nThree.\n\nNext\n----\n\nFour.\n"
    assert sections(text) == [("", "One."), ("Part", "Two."), ("Part › Detail", "Three."), ("Next", "Four.")]  # noqa: RUF001


def test_broken_markup_is_kept_as_text_and_nothing_is_said(capfd):
    lines = text_of(
        "An *open emphasis, ``open code, a |bar and :role:`open.\n\nBad\n--\n\n.. table::\n   :x\n\n   oops"
    )
    assert "An *open emphasis, ``open code, a |bar and :role:`open." in lines
    assert capfd.readouterr() == ("", "")
