"""Pairs of questions that nearly hit: exported for labelling, and imported with the labels.

Labels are appended to `<data>/labelled_pairs.jsonl`, the training data of the verifier; for the pair itself they take
effect at once, by a tombstone. A pair with a label is not exported again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rag.text.table_files import as_flag
from warehouse.analysis.connection import connect
from warehouse.append_log import append
from warehouse.editorial.review_files import ReviewRow
from warehouse.editorial.withdrawal import Tombstones, tombstone, untombstone
from warehouse.log_line import read
from warehouse.sql import sql_text


def near_misses(data: Path) -> tuple[list[str], list[dict[str, object]]]:
    """Return the columns and the pairs that have no label yet."""
    labelled = {(record.get("a"), record.get("b")) for record in read(_labels(data))}
    with closing(connect(data, described=False)) as connection:
        found = connection.execute(sql_text("near_miss_export.sql"))
        names = [column[0] for column in found.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return names, [row for row in rows if (row["a"], row["b"]) not in labelled]


@dataclass(frozen=True)
class Label:
    """A label of a pair, or, where `fault` says so, none that can be understood."""

    a: str
    b: str
    keys: tuple[str, str]
    same: bool
    fault: str = ""


def label_of(row: Mapping[str, str]) -> Label | None:
    """Return the label of a row; None if it has none yet."""
    text = row.get("same", "").lower()
    if not text:
        return None
    same = as_flag(text)
    fault = f"{text!r} is neither yes nor no." if same is None else ""
    keys = (row.get("a_key", ""), row.get("b_key", ""))
    return Label(row.get("a", ""), row.get("b", ""), keys, bool(same), fault)


def record_labels(data: Path, labels: Sequence[Label], reviewer: str) -> None:
    """Record labels; a pair labelled different hits no more, and one labelled same may hit again."""
    if not labels:
        return
    append(_labels(data), [{"a": each.a, "b": each.b, "same": each.same} for each in labels])
    dead = Tombstones(data).pairs()
    for label in labels:
        if all(label.keys) and label.same == (frozenset(label.keys) in dead):
            (untombstone if label.same else tombstone)(data, *label.keys, f"labelled by {reviewer}")


def are_labels_recorded(data: Path, rows: Sequence[ReviewRow]) -> bool:
    """Whether all rows have a label, and it is recorded."""
    recorded = {(each.get("a"), each.get("b"), each.get("same")) for each in read(_labels(data))}
    labels = [label_of(row) for row in rows]
    return all(each is not None and (each.a, each.b, each.same) in recorded for each in labels)


def _labels(data: Path) -> Path:
    return data / "labelled_pairs.jsonl"
