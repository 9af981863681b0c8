"""What a page brings in from other files is told, and an attribute that holds itself ends."""

import pytest

from batch.reading.document import Document
from batch.reading.documents import parse


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.adoc", "= Start\n\ninclude::parts/install.adoc[]\n\nText.\n", "1 include (parts/install.adoc)"),
        ("a.md", "# Start\n\n<<< @/snippets/a.js{2}\n\n--8<-- \"b.md\"\n", "2 includes (@/snippets/a.js, b.md)"),
        ("a.md", "# Start\n\n<!--@include: ./parts/c.md-->\n\n{{#include d.rs}}\n", "2 includes (./parts/c.md, d.rs)"),
        ("a.rst", "Start\n=====\n\n.. literalinclude:: ../conf.py\n   :lines: 1\n", "1 include (../conf.py)"),
    ],
)  # fmt: skip
def test_includes_that_are_not_read_are_told(name, text, told):
    (document,) = parse(name, text.encode(), "default")

    assert isinstance(document, Document) and document.title == "Start"
    assert document.included.startswith(f"{told} not read at this place")


def test_a_page_without_includes_is_read_without_a_word():
    (document,) = parse("a.md", b"# Start\n\nWrite `include::` or << to bring in a file.\n", "default")

    assert isinstance(document, Document) and not document.included


def test_an_attribute_that_holds_itself_ends():
    (document,) = parse("a.adoc", b"= Start\n" + b":a: {a}{a}\n" * 2000 + b"\nThe end.\n", "default")

    assert "The end." in document.sections[-1].text
