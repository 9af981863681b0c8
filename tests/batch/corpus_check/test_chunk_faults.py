"""Template code and torn tables are seen in chunks, and code that a page shows is left alone."""

from __future__ import annotations

import pytest

from batch.corpus_check.chunk_faults import template_code, torn_tables
from batch.formats.outline import Section
from batch.reading.chunking import Chunk

TABLE = "| Part | Price |\n|---|---|\n| hose | 4 |\n| valve | 9 |"


def chunk(text: str) -> Chunk:
    return Chunk("default", text, "parts.md", 0, "", text, "", 1)


@pytest.mark.parametrize(
    "text",
    [
        "Version {{ page.version }} is out.", '{{< relref "x" >}}', "{% include note.html %}", ":::note\nMind this.",
        "Setup {#setup}", "A <!-- draft --> page", '<Card title="Start" />', "<Tabs>\none\n</Tabs>",
        'import Tabs from "@theme/Tabs"', ".. versionadded:: 3.1", "Raises :exc:`BadRequest`.",
    ],
)  # fmt: skip
def test_code_of_a_site_generator_is_seen(text: str) -> None:
    assert template_code(f"First a sentence.\n\n{text}\n\nThen another.")


@pytest.mark.parametrize(
    "text",
    [
        "Write `{{ name }}` where the name belongs.", "```jinja\n{{ name }}\n```", "    {% raw %}", "a < b and c > d",
        "At 10:30: tea.", "Use std::vector::iterator.", "A <b>bold</b> word",
    ],
)  # fmt: skip
def test_shown_code_and_plain_text_are_no_template_code(text: str) -> None:
    assert template_code(text) == ""


def test_a_part_of_a_table_needs_its_header() -> None:
    whole, repeated = chunk(TABLE), chunk("| Part | Price |\n|---|---|\n| valve | 9 |")
    torn = chunk("| valve | 9 |")

    assert torn_tables([Section("", TABLE)], [whole, repeated, torn]) == [torn]


def test_a_row_that_is_cut_in_the_middle_is_a_torn_table() -> None:
    torn = chunk("| Part | Price |\n|---|---|\n| val")

    assert torn_tables([Section("", TABLE)], [torn]) == [torn]


def test_a_row_that_no_chunk_holds_is_cut_without_a_fault() -> None:
    row = f"| valve | {'very ' * 50}dear |"
    part = chunk(f"| Part | Price |\n|---|---|\n{row[:120]}")

    assert torn_tables([Section("", f"{TABLE}\n{row}")], [part]) == []


def test_a_table_that_is_shown_as_code_is_none() -> None:
    assert torn_tables([Section("", f"```\n{TABLE}\n```")], [chunk("| valve | 9 |")]) == []
