"""An exchange records what became of it exactly once, whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.types import Message

from online.answering.exchange import Exchanges
from online.answering.question import Asked, Head, Prepared
from online.answering.request_log import RequestLog
from online.errors import ClientGoneError, Problem
from online.http.problems import status_of
from online.records.journal import JournalRow
from online.records.semantic_hits import SemanticHits
from online.telemetry.metrics import Metrics
from rag.errors import LlmRefusedError, LlmUnavailableError, Refusal
from rag.llm.protocol import Sampling

ASKED = Asked("r-1", "library", "When does it open?", "k", started=0.0)
HIT = Prepared(b"{}", Head("library", "f", "k", datetime.now(UTC), []), "release-1")


@dataclass
class Rows:
    """A journal in memory."""

    rows: list[JournalRow] = field(default_factory=list)

    def append(self, row: JournalRow) -> None:
        self.rows.append(row)


class Hits:
    """A lookup that finds everything."""

    @contextlib.asynccontextmanager
    async def begin(self, _: Asked) -> AsyncIterator[Prepared]:
        yield HIT


@dataclass
class Fails:
    """A lookup that fails."""

    error: Exception

    @contextlib.asynccontextmanager
    async def begin(self, _: Asked) -> AsyncIterator[Prepared]:
        raise self.error
        yield HIT


async def connected() -> Message:
    """A client that stays."""
    await asyncio.Event().wait()
    return {"type": "http.request"}


async def gone() -> Message:
    """A client that leaves."""
    return {"type": "http.disconnect"}


def exchanges(lookup: object) -> tuple[Exchanges, list[JournalRow]]:
    rows = Rows()
    return Exchanges(lookup, RequestLog(rows, Metrics(), status_of, SemanticHits(Path("unused")))), rows.rows  # type: ignore[arg-type]


async def exchange(lookup: object, asked: Asked = ASKED, **options: object) -> list[JournalRow]:
    made, rows = exchanges(lookup)
    with contextlib.suppress(Problem, ZeroDivisionError):
        async with made.begin(asked, connected, **options):  # type: ignore[arg-type]
            pass
    return rows


def test_an_answer_is_recorded_once() -> None:
    (row,) = asyncio.run(exchange(Hits()))
    assert (row.status, row.source, row.fingerprint, row.release_id) == (200, "exact", "f", "release-1")


@pytest.mark.parametrize(
    ("error", "status", "source", "refusal"),
    [
        (Problem("queue-full", "full"), 429, "refused", "queue-full"),
        (Problem("no-release", "none"), 503, "failed", "no-release"),
        (LlmUnavailableError("down"), 503, "refused", "llm-down"),
        (LlmRefusedError("too long"), 502, "failed", "llm-refused"),
        (ZeroDivisionError(), 500, "failed", "internal"),
    ],
)
def test_a_failure_is_recorded_once(error: Exception, status: int, source: str, refusal: str) -> None:
    (row,) = asyncio.run(exchange(Fails(error)))
    assert (row.status, row.source, row.refusal) == (status, source, refusal)


def test_a_failure_in_the_middle_of_an_answer_is_recorded_and_not_the_answer() -> None:
    made, rows = exchanges(Hits())

    async def break_off() -> None:
        async with made.begin(ASKED, connected):
            raise LlmUnavailableError("the stream broke off")

    with pytest.raises(Problem):
        asyncio.run(break_off())
    assert [row.refusal for row in rows] == ["llm-down"]


def test_a_client_that_leaves_is_recorded_and_its_work_is_cancelled() -> None:
    made, rows = exchanges(Hits())

    async def leave() -> None:
        async with made.begin(ASKED, gone):
            await asyncio.Event().wait()

    with pytest.raises(ClientGoneError):
        asyncio.run(leave())
    assert [(row.status, row.source) for row in rows] == [(499, "failed")]


def test_a_problem_that_is_not_final_is_not_recorded() -> None:
    never: Callable[[Problem], bool] = lambda _: False  # noqa: E731
    assert asyncio.run(exchange(Fails(Problem("llm-down", "down")), is_final=never)) == []


def test_a_refusal_of_the_callers_own_parameters_is_told_in_the_models_words() -> None:
    made, _ = exchanges(Fails(LlmRefusedError("no", Refusal(422, "temperature is too high", "temperature"))))
    asked = Asked("r-1", "library", "When?", "k", started=0.0, sampling=Sampling(temperature=2.0))

    async def ask() -> None:
        async with made.begin(asked, connected):
            pass

    with pytest.raises(Problem, match="temperature is too high") as caught:
        asyncio.run(ask())
    assert (caught.value.kind, caught.value.param) == ("invalid", "temperature")
