import json

from batch.reading.documents import parse
from rag.text.table_files import Reject


def read(value):
    [item] = parse("a.ipynb", json.dumps(value).encode(), "default")
    return item


def test_a_notebook_is_its_markdown_and_its_code():
    document = read(
        {
            "metadata": {"kernelspec": {"name": "python3"}},
            "cells": [
                {"cell_type": "markdown", "source": ["# Refunds\n", "\n", "How they are paid."]},
                {"cell_type": "code", "source": "# count\nx = 1", "outputs": [{"text": "noise"}]},
                {"cell_type": "markdown", "source": "## Then\n\nDone."},
            ],
        }
    )
    assert document.title == "Refunds"
    assert [(section.heading, section.text) for section in document.sections] == [
        ("", "How they are paid.\n\n```python\n# count\nx = 1\n```"),
        ("Then", "Done."),
    ]


def test_what_is_no_notebook_is_rejected():
    assert isinstance(read({"worksheets": []}), Reject)
