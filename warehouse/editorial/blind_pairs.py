"""Pairs of answers that people judge blind: which of two is better, without knowing which release it is from.

The file `<data>/blind_pairs.jsonl` is append-only: a record for each pair that was sampled, with both texts and, for
the tally alone, which side is whose; and a record for each verdict, of which the last about a pair counts. A verdict is
about two texts, so it counts for whatever releases hold them.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from warehouse.append_log import append, now
from warehouse.log_line import Record, read

if TYPE_CHECKING:  # a service without reviewers loads neither DuckDB nor Arrow
    from warehouse.analysis.diff import Difference
    from warehouse.editorial.review_files import ReviewRow

Better = Literal["first", "second", "same"]
EXPORTED = ("pair", "collection", "question", "first", "second", "better", "reviewer", "note")
_WORDS: Mapping[str, Better] = {
    **{each: each for each in get_args(Better)},
    "1": "first", "2": "second", "equal": "same", "both": "same", "neither": "same", "tie": "same",
}  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """A question and two answers to it, in the order in which they are shown; `first_is_before` is for the tally."""

    pair: str
    collection: str
    query_key: str
    question: str
    first: str
    second: str
    first_is_before: bool
    better: Better | None = None

    @property
    def texts(self) -> tuple[str, str, str]:
        """The question and the texts of the first and the second release."""
        sides = (self.first, self.second) if self.first_is_before else (self.second, self.first)
        return (self.query_key, *sides)


@dataclass(frozen=True)
class Verdicts:
    """How often people found each release better, or neither, and how many pairs wait for them."""

    before: int = 0
    after: int = 0
    same: int = 0
    waiting: int = 0


def pairs(data: Path) -> list[Pair]:
    """Return the pairs that were sampled, each with the last verdict about it, oldest first."""
    found: dict[str, Record] = {}
    verdicts: dict[str, Better] = {}
    for record in read(data / "blind_pairs.jsonl"):
        name = str(record.get("pair", ""))
        better = _WORDS.get(str(record.get("better", "")))
        if better is not None:
            verdicts[name] = better
        elif "first" in record and "second" in record:
            found[name] = record
    return [_pair(record, verdicts.get(name)) for name, record in found.items()]


def waiting_pairs(data: Path, collections: Collection[str] | None = None) -> list[Pair]:
    """Return the pairs that nobody has judged, of some collections or of all."""
    return [
        each for each in pairs(data) if each.better is None and (collections is None or each.collection in collections)
    ]


def sample_pairs(data: Path, differences: Sequence[Difference], count: int) -> int:
    """Put a random sample of answers that differ before people; return how many are new.

    Both must be served: a refusal needs no judge. Texts that were sampled before are not sampled again.

    Raises:
        StorageError: the disk is full or the file can't be written.
    """
    known = {each.texts for each in pairs(data)}
    drawn = random.SystemRandom()
    fresh = [each for each in _served(differences) if _texts(each) not in known]
    chosen = drawn.sample(fresh, min(count, len(fresh)))
    append(data / "blind_pairs.jsonl", [_record(each, bool(drawn.getrandbits(1))) for each in chosen])
    return len(chosen)


def verdicts(data: Path, differences: Sequence[Difference]) -> Verdicts:
    """Return what people said of the answers in which two releases differ."""
    now_compared = {_texts(each) for each in _served(differences)}
    counts = {"before": 0, "after": 0, "same": 0, "waiting": 0}
    for each in pairs(data):
        query_key, before, after = each.texts
        if (query_key, before, after) in now_compared:
            counts[_winner(each)] += 1
        elif (query_key, after, before) in now_compared:  # sampled when the sides were asked for the other way round
            counts[{"before": "after", "after": "before"}.get(_winner(each), _winner(each))] += 1
    return Verdicts(**counts)


def judge(data: Path, name: str, better: str, reviewer: str, note: str = "") -> str | None:
    """Record a verdict; return in a sentence why it does not hold, None if it does.

    Raises:
        StorageError: the disk is full or the file can't be written.
    """
    word = _WORDS.get(better.strip().lower())
    if word is None:
        return f"'better' is {better!r}, which is none of first, second, same."
    if not reviewer.strip():
        return "no reviewer is named: a verdict is recorded with the name of a person."
    if name not in {each.pair for each in pairs(data)}:
        return "there is no such pair."
    record = {"pair": name, "better": word, "reviewer": reviewer, "at": now()}
    append(data / "blind_pairs.jsonl", [record | ({"note": note} if note else {})])
    return None


def exported_pairs(data: Path) -> list[Mapping[str, object]]:
    """Return the pairs that wait as rows of a file."""
    return [
        dict.fromkeys(EXPORTED, "")
        | {name: getattr(each, name) for name in ("pair", "collection", "question", "first", "second")}
        for each in waiting_pairs(data)
    ]


def are_judged(data: Path, rows: Iterable[ReviewRow]) -> bool:
    """Whether the verdict of every row is recorded."""
    known = {each.pair: each.better for each in pairs(data)}
    return all(
        row.get("better") and known.get(row.get("pair", "")) == _WORDS.get(row["better"].lower()) for row in rows
    )


def _served(differences: Iterable[Difference]) -> list[Difference]:
    return [
        each
        for each in differences
        if each.change == "answered differently" and each.status_before == each.status_after == "served"
    ]


def _texts(each: Difference) -> tuple[str, str, str]:
    return each.query_key, each.answer_before or "", each.answer_after or ""


def _record(each: Difference, first_is_before: bool) -> Record:
    before, after = each.answer_before or "", each.answer_after or ""
    return {
        "pair": secrets.token_hex(8),
        "collection": each.collection,
        "query_key": each.query_key,
        "question": each.question,
        "first": before if first_is_before else after,
        "second": after if first_is_before else before,
        "first_is_before": first_is_before,
        "at": now(),
    }


def _pair(record: Record, better: Better | None) -> Pair:
    return Pair(
        str(record.get("pair", "")),
        str(record.get("collection", "")),
        str(record.get("query_key", "")),
        str(record.get("question", "")),
        str(record.get("first", "")),
        str(record.get("second", "")),
        record.get("first_is_before") is True,
        better,
    )


def _winner(pair: Pair) -> str:
    if pair.better is None:
        return "waiting"
    if pair.better == "same":
        return "same"
    return "before" if (pair.better == "first") is pair.first_is_before else "after"
