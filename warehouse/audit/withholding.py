"""Withholds the answers of a build that fail the rules (`rag.prompting.answer_rules`), each with its reason.

Curated answers are the team's own, so only empty ones are withheld. A canary is never served.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import duckdb
import pyarrow as pa

from rag.prompting.answer_rules import IN_WORDS, AnswerRules, fault, says_something
from warehouse.sql import sql_text

_BATCH = 10_000
_FAULTS = pa.schema([("query_key", pa.string()), ("fault", pa.string())])

_Row = tuple[str, str, str, str | None, float | None, int, int]


def withhold(connection: duckdb.DuckDBPyConnection, rules: AnswerRules) -> None:
    """Judge every answer, and withhold those that fail."""
    population, verdicts = _statements()
    failed = [{"query_key": key, "fault": IN_WORDS[found]} for key, found in _faults(connection, population, rules)]
    connection.register("faults", pa.Table.from_pylist(failed, schema=_FAULTS))
    connection.execute(verdicts)
    connection.unregister("faults")


def _statements() -> list[str]:
    return re.findall(r"^(?:SELECT|UPDATE)[^;]+(?=;)", sql_text("withhold.sql"), re.MULTILINE)


def _faults(connection: duckdb.DuckDBPyConnection, population: str, rules: AnswerRules) -> Iterator[tuple[str, str]]:
    rows = connection.execute(population)
    while batch := rows.fetchmany(_BATCH):
        for row in batch:
            found = _fault(row, rules)
            if found is not None:
                yield row[0], found


def _fault(row: _Row, rules: AnswerRules) -> str | None:
    _, origin, answer, finish_reason, support, cited, consulted = row
    if origin != "generated":
        return None if says_something(answer) else "empty"
    return fault(answer, finish_reason=finish_reason, support=support, cited=cited, consulted=consulted, rules=rules)
