"""Rendered answers: a spliced body is valid JSON."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online.answering.question import Asked, Head, Prepared
from online.answering.rendering import cache_status, prepared_body
from online.http.schemas import Answer

KEY = "0" * 32


def asked(**changes: object) -> Asked:
    fields = {"request_id": "r-1", "collection": "main", "question": "What?", "query_key": KEY}
    return Asked(**{**fields, "started": time.perf_counter(), **changes})  # type: ignore[arg-type]


def prepared(answer: str, passage: str = "", generated_at: datetime | None = None) -> Prepared:
    at = generated_at or datetime.now(UTC)
    body = {
        "question": "What?", "collection": "main", "answer": answer, "origin": "curated",
        "citations": [{"number": 1, "kind": "cited", "document_id": "d", "title": "T", "uri": "u", "heading": None,
                       "passage": passage, "chunk_id": None}],
        "documents": ["d"], "model": "m", "fingerprint": "f", "query_key": KEY, "generated_at": at,
        "finish_reason": None, "support": None,
    }  # fmt: skip
    return Prepared(msgspec.json.encode(body), Head("main", "f", KEY, at, ["d"]), "20260101T000000-abcd")


@given(st.text(max_size=80), st.text(max_size=80))
def test_a_spliced_answer_is_the_whole_answer(answer: str, passage: str) -> None:
    hit = prepared(answer, passage)
    decoded = msgspec.json.decode(prepared_body(asked(), hit), type=Answer)
    assert (decoded.answer, decoded.citations[0].passage) == (answer, passage)
    assert (decoded.id, decoded.source, decoded.confidence) == ("r-1", "exact", 1.0)
    assert decoded.release == "20260101T000000-abcd"


def test_spliced_and_explained_answers_have_the_same_fields() -> None:
    hit = prepared("x")
    quick = msgspec.json.decode(prepared_body(asked(), hit))
    explained = msgspec.json.decode(prepared_body(asked(explain=True), hit))
    assert set(explained) - set(quick) == {"explanation"}
    assert set(quick["timings"]) == set(explained["timings"])


@pytest.mark.parametrize("hours", [-1, 0, 5])
def test_the_age_is_never_negative(hours: int) -> None:
    hit = prepared("x", generated_at=datetime.now(UTC) - timedelta(hours=hours))
    assert hit.age_seconds == pytest.approx(max(0, hours) * 3600, abs=60)


@pytest.mark.parametrize(
    ("source", "fresh", "joined", "expected"),
    [
        ("exact", False, False, "hit; detail=exact"),
        ("semantic", False, True, "hit; detail=semantic"),
        ("live", False, False, "fwd=miss"),
        ("live", False, True, "fwd=miss; collapsed"),
        ("live", True, False, "fwd=bypass"),
    ],
)
def test_the_cache_status_says_where_an_answer_came_from(source: str, fresh: bool, joined: bool, expected: str) -> None:
    assert cache_status(asked(fresh=fresh), source, joined=joined) == f"beforehand; {expected}"
