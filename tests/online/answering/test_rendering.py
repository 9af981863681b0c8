"""Answers as bytes: what is spliced is the JSON that it looks like."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online.answering.lookup import Asked, Head, Prepared
from online.answering.rendering import cache_status, prepared_body, sse
from online.http.problems import KINDS, Problem, as_problem, render
from online.http.schemas import Answer
from online.telemetry.metrics import Metrics
from rag.errors import LlmRefusedError, LlmUnavailableError, QuestionError

DOCUMENT = Path(__file__).parents[3] / "docs" / "service.md"
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
    assert hit.age_seconds == pytest.approx(max(0, hours) * 3600, abs=2)


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


@given(st.text(max_size=50))
def test_an_event_is_three_lines_whatever_the_text(text: str) -> None:
    event = sse("delta", {"text": text})
    assert event.count(b"\n") == 3
    assert event.endswith(b"\n\n")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (QuestionError("too long"), 422),
        (LlmRefusedError("at http://10.0.0.7: no"), 502),
        (LlmUnavailableError("at http://10.0.0.7: down"), 503),
        (LlmUnavailableError("busy", retry_after=7.2), 503),
    ],
)
def test_errors_of_the_business_logic_have_their_status_and_keep_addresses_to_themselves(
    error: Exception, status: int
) -> None:
    problem = as_problem(error)
    assert problem.status == status
    assert "10.0.0.7" not in problem.detail


def test_a_wait_is_told_in_whole_seconds_rounded_up() -> None:
    assert as_problem(LlmUnavailableError("busy", retry_after=7.2)).headers["retry-after"] == "8"
    assert Problem("queue-full", "full", retry_after=0.0).headers["retry-after"] == "1"


def test_a_fault_of_ours_is_not_dressed_up() -> None:
    with pytest.raises(ZeroDivisionError):
        as_problem(ZeroDivisionError())


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_problem_can_be_rendered_for_both_kinds_of_routes(kind: str) -> None:
    problem = Problem(kind, "detail", param="question")
    ours = msgspec.json.decode(render(problem, "r-1", openai=False).body)
    theirs = msgspec.json.decode(render(problem, "r-1", openai=True).body)
    assert (ours["status"], ours["title"]) == KINDS[kind]
    assert theirs["error"]["message"] == "detail"
    assert theirs["error"]["type"]


def test_the_documentation_names_every_metric() -> None:
    names = re.findall(r"^# HELP (\w+) ", Metrics().scrape().decode(), re.MULTILINE)
    text = DOCUMENT.read_text()
    assert [name for name in names if f"`{name}`" not in text and not name.endswith("_created")] == []
