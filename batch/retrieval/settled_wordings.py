"""The wordings and fences of a run once each key is known to be a question or a wording.

A wording may belong to a question that a person joined to another: it is then a wording of that one. What no answer
is left for is dropped, and so is a fence of a text that the team or a person made a wording of the same answer.
"""

from __future__ import annotations

from collections.abc import Mapping

from batch.stores.parquet import empty_folder, read_rows, read_table, rows_to_table, write_table
from warehouse.tables import QUESTIONS, AnswerWordingRow, FenceRow


def settle_wordings(folder: str, *, fenced: bool) -> None:
    """Write the tables wordings and fences below the folder of anticipated questions, from `worded` and `ruled`."""
    worded = read_rows(f"{folder}/worded", AnswerWordingRow)
    ruled = read_rows(f"{folder}/ruled", FenceRow) if fenced else []
    if worded or ruled:
        asked = set(read_table(f"{folder}/questions", QUESTIONS, ["query_key"])["query_key"].to_pylist())
        owners = {row["wording_key"]: row["query_key"] for row in worded}
        worded = [{**row, "query_key": _answer(row["query_key"], owners)} for row in worded]
        worded = [row for row in worded if row["query_key"] in asked]
        owners = {row["wording_key"]: row["query_key"] for row in worded}
        ruled = [{**row, "query_key": _answer(row["query_key"], owners)} for row in ruled]
        ruled = [
            row for row in ruled if row["query_key"] in asked and _answer(row["text_key"], owners) != row["query_key"]
        ]
        ruled = list({(row["query_key"], row["text_key"]): row for row in ruled}.values())
    for name, table in (
        ("wordings", rows_to_table(worded, AnswerWordingRow)),
        ("fences", rows_to_table(ruled, FenceRow)),
    ):
        empty_folder(f"{folder}/{name}")
        write_table(f"{folder}/{name}/{name}.parquet", table)


def _answer(key: str, owners: Mapping[str, str]) -> str:
    """Return the question at the end of a chain of wordings, "" for a circle, which only an edited log can have."""
    seen: set[str] = set()
    while key in owners and key not in seen:
        seen.add(key)
        key = owners[key]
    return "" if key in seen else key
