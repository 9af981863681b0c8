"""The append-only logs of a data folder as tables: decisions, withdrawals, publications, rulings on wordings.

`warehouse.editorial`, which writes most of them, is above this wing; so their columns stand here once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from rag.identity import equivalent_keys, query_key
from warehouse.log_line import Record, read

_NUMBER, _FLAG = pa.float64(), pa.bool_()


@dataclass(frozen=True)
class Log:
    """A log: its files, its text columns in order (times too), and those of other types."""

    files: tuple[str, ...]
    texts: tuple[str, ...]
    others: Mapping[str, pa.DataType]


LOGS: Mapping[str, Log] = {
    "ruling_log": Log(
        ("wordings.jsonl", "fences.jsonl"),
        ("collection", "query_key", "text", "verdict", "origin", "approved_by", "since"),
        {"person": _FLAG, "confidence": _NUMBER},
    ),
    "decision_log": Log(
        ("reviews.jsonl",),
        ("collection", "query_key", "question", "decision", "answer", "note", "reviewer", "reviewed_at", "fingerprint",
         "about", "model", "asked_as"),
        {"allow_live": _FLAG},
    ),
    "withdrawal_log": Log(("withdrawals.jsonl",), ("collection", "document_id", "action", "reason", "at"), {}),
    "publication_log": Log(
        ("publications.jsonl",), ("action", "release_id", "replaced", "run_id", "by", "reason", "at"), {}
    ),
}  # fmt: skip


@contextmanager
def registered_logs(connection: duckdb.DuckDBPyConnection, data: Path) -> Iterator[None]:
    """Let a session read the logs by their names, with the place of each record in `place`."""
    for name, log in LOGS.items():
        records = [_completed(record) for file in log.files for record in read(data / file)]
        connection.register(name, _table(log, records))
    yield
    for name in LOGS:
        connection.unregister(name)


def _completed(record: Record) -> Record:
    """Add to a decision the key under which its question is asked today: older records have another."""
    key, question, collection = record.get("query_key"), record.get("question"), str(record.get("collection") or "")
    if "decision" not in record or not isinstance(key, str) or not isinstance(question, str):
        return {**record, "asked_as": key}
    today = query_key(collection, question)
    return {**record, "asked_as": today if today in equivalent_keys(collection, question, key) else key}


def _table(log: Log, records: Iterable[Mapping[str, object]]) -> pa.Table:
    schema = pa.schema([*((name, pa.string()) for name in log.texts), *log.others.items(), ("place", pa.int64())])
    rows = [
        {
            **{name: _text(record.get(name)) for name in log.texts},
            **{name: _value(kind, record.get(name)) for name, kind in log.others.items()},
            "place": place,
        }
        for place, record in enumerate(records, 1)
    ]
    return pa.Table.from_pylist(rows, schema=schema)


def _text(value: object) -> str | None:
    return str(value) if value not in (None, "") else None


def _value(kind: pa.DataType, value: object) -> object:
    if kind == _FLAG:
        return value is True
    return float(value) if isinstance(value, int | float) else None
