"""Labelled pairs of questions: the team's file that trains and calibrates the verifier.

JSON lines `{"a": question, "b": question, "same": true|false}`, or CSV or Parquet with these columns; gzipped or not.
A row that can't be used is rejected with its reason, and the others count. A pair that occurs twice counts once; a pair
that is labelled both ways is rejected, since nobody can say which label is right.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rag.errors import CalibrationError, DocumentError
from rag.identity import normalise
from rag.text.table_files import ROW_ENDINGS, Reject, as_flag, ending, read_rows

_LONGEST = 2000  # characters of a question
_COLUMNS = ("a", "b", "same")
PairRow = Mapping[str, object]


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
    return usable(_rows(path))


def usable(rows: Iterable[tuple[str, PairRow]]) -> tuple[list[LabelledPair], list[Reject]]:
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


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except FileNotFoundError:
        raise CalibrationError(f"{path}: no such file of labelled pairs") from None
    except (OSError, EOFError) as error:
        raise CalibrationError(f"{path}: the labelled pairs can't be read ({error})") from error


def _rows(path: Path) -> Iterator[tuple[str, PairRow]]:
    data, name = _bytes(path), path.name.removesuffix(".gz")
    if ending(name) not in ROW_ENDINGS:
        raise CalibrationError(f"{path}: labelled pairs are read from .jsonl, .csv or .parquet (also .gz)")
    try:
        for row in read_rows(name, data, (), _COLUMNS, keep_empty=True):
            place = row.item if isinstance(row, Reject) else row.place
            yield f"{path.name}:{place.split()[-1]}", {} if isinstance(row, Reject) else row.values
    except DocumentError as error:
        raise CalibrationError(f"{path}: the labelled pairs can't be read ({error})") from error


def _pair(row: PairRow) -> LabelledPair | str:
    """Return the pair of a row, or why it can't be used."""
    if not row.keys() >= set(_COLUMNS):
        return 'not a row with "a", "b" and "same"'
    first, second, same = row["a"], row["b"], as_flag(row["same"])
    if not isinstance(first, str) or not isinstance(second, str):
        return "a question is no text"
    if not normalise(first) or not normalise(second):
        return "a question is empty"
    if max(len(first), len(second)) > _LONGEST:
        return f"a question has more than {_LONGEST} characters"
    if same is None:
        return f'"same" is {row["same"]!r}; it must be true or false'
    return LabelledPair(first, second, same)
