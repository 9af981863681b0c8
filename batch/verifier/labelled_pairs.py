"""Labelled pairs of questions: the team's file that trains and calibrates the verifier.

JSON lines `{"a": question, "b": question, "same": true|false}`, or CSV with these columns; both may be gzipped. A row
that can't be used is rejected with its reason, and the others count. A pair that occurs twice counts once; a pair
that is labelled both ways is rejected, since nobody can say which label is right.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rag.errors import CalibrationError
from rag.identity import normalise
from rag.text.file_formats import Reject

_LONGEST = 2000  # characters of a question
_TRUE, _FALSE = ("true", "1", "yes", "y", "same"), ("false", "0", "no", "n", "different")


@dataclass(frozen=True)
class LabelledPair:
    """Two questions, and whether a person judged that they ask the same thing."""

    first: str
    second: str
    same: bool


def read_pairs(path: Path) -> tuple[list[LabelledPair], list[Reject]]:
    """Return the labelled pairs of a file, and rejects for the rows that can't be used.

    Raises:
        CalibrationError: the file is missing, unreadable, or of another format.
    """
    return usable(_rows(path, _text(path)))


def usable(rows: Iterable[tuple[str, object]]) -> tuple[list[LabelledPair], list[Reject]]:
    """Return the usable pairs of rows, and rejects for the others; each row comes with its place in the file."""
    kept: dict[frozenset[str], tuple[str, LabelledPair]] = {}
    rejects: list[Reject] = []
    contradictory: set[frozenset[str]] = set()
    for place, row in rows:
        pair = _pair(row)
        if isinstance(pair, str):
            rejects.append(Reject(place, pair))
            continue
        key = frozenset((normalise(pair.first), normalise(pair.second)))
        known = kept.setdefault(key, (place, pair))
        if known[1].same != pair.same:
            contradictory.add(key)
            rejects.append(Reject(place, f"labelled {_word(pair.same)}, but {_word(known[1].same)} at {known[0]}"))
    return [pair for key, (_, pair) in kept.items() if key not in contradictory], rejects


def _word(same: bool) -> str:
    return "same" if same else "different"


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except FileNotFoundError:
        raise CalibrationError(f"{path}: no such file of labelled pairs") from None
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise CalibrationError(f"{path}: the labelled pairs can't be read ({error})") from error


def _rows(path: Path, text: str) -> Iterator[tuple[str, object]]:
    name = path.name.removesuffix(".gz")
    if name.endswith(".csv"):
        reader = csv.DictReader(io.StringIO(text))
        yield from ((f"{path.name}:{reader.line_num}", row) for row in reader)
        return
    if not name.endswith((".jsonl", ".ndjson")):
        raise CalibrationError(f"{path}: labelled pairs are read from .jsonl or .csv (also .gz)")
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield f"{path.name}:{number}", json.loads(line)
            except ValueError:
                yield f"{path.name}:{number}", None


def _pair(row: object) -> LabelledPair | str:
    """Return the pair of a row, or why it can't be used."""
    if not isinstance(row, dict) or not {"a", "b", "same"} <= row.keys():
        return 'not a row with "a", "b" and "same"'
    first, second, same = row["a"], row["b"], _label(row["same"])
    if not isinstance(first, str) or not isinstance(second, str):
        return "a question is no text"
    if not normalise(first) or not normalise(second):
        return "a question is empty"
    if max(len(first), len(second)) > _LONGEST:
        return f"a question has more than {_LONGEST} characters"
    if same is None:
        return f'"same" is {row["same"]!r}; it must be true or false'
    return LabelledPair(first, second, same)


def _label(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    return True if text in _TRUE else False if text in _FALSE else None
