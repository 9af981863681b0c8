"""A false hit can be reported if it was one: once, within a day, from any worker."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from online.records import semantic_hits
from online.records.semantic_hits import SemanticHit, SemanticHits

HIT = SemanticHit("r-1", "", "library", "asked", "matched")


@pytest.fixture(autouse=True)
def _look_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(semantic_hits, "_LOOKS_AFTER_SECONDS", (0.0,))


async def reported(path: Path, *hits: SemanticHit) -> list[bool]:
    """Report hits, as another process does that shares the file."""
    store = SemanticHits(path)
    try:
        return await asyncio.gather(*map(store.report, hits))
    finally:
        await store.close()


async def recorded(path: Path, *hits: SemanticHit) -> None:
    store = SemanticHits(path)
    for hit in hits:
        store.record(hit)
    await store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hits.sqlite3"


def test_a_hit_is_reported_once(path: Path) -> None:
    asyncio.run(recorded(path, HIT, HIT))
    assert asyncio.run(reported(path, HIT, HIT)) == [True, False]
    assert asyncio.run(reported(path, HIT)) == [False]


def test_what_never_was_can_not_be_reported(path: Path) -> None:
    asyncio.run(recorded(path, HIT))
    invented = [
        SemanticHit("r-2", "", "library", "asked", "matched"),
        SemanticHit("r-1", "reader", "library", "asked", "matched"),
        SemanticHit("r-1", "", "museum", "asked", "matched"),
        SemanticHit("r-1", "", "library", "other", "matched"),
        SemanticHit("r-1", "", "library", "asked", "other"),
    ]
    assert asyncio.run(reported(path, *invented, HIT)) == [False] * len(invented) + [True]


def test_a_report_may_come_before_the_hit_is_on_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(semantic_hits, "_LOOKS_AFTER_SECONDS", (0.0, *[0.05] * 2000))

    async def hit_and_report() -> bool:
        here, other = SemanticHits(path), SemanticHits(path)
        report = asyncio.create_task(other.report(HIT))
        await asyncio.sleep(0)
        here.record(HIT)
        tombstoned = await report
        await asyncio.gather(here.close(), other.close())
        return tombstoned

    assert asyncio.run(hit_and_report()) is True


def test_a_hit_can_be_reported_for_a_day(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(recorded(path, HIT))
    later = time.time() + 86_401
    monkeypatch.setattr("online.records.semantic_hits.time.time", lambda: later)
    assert asyncio.run(reported(path, HIT)) == [False]


def test_older_hits_are_deleted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(recorded(path, *(SemanticHit(f"r-{n}", "", "library", "a", "b") for n in range(2000))))
    later = time.time() + 86_401
    monkeypatch.setattr("online.records.semantic_hits.time.time", lambda: later)
    asyncio.run(recorded(path, HIT))
    import sqlite3

    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT request_id FROM hits").fetchall() == [("r-1",)]


def test_a_file_that_can_not_be_written_fails_no_answer(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.mkdir()
    asyncio.run(recorded(path, HIT))
    assert asyncio.run(reported(path, HIT)) == [False]
    assert "semantic hits can't be written" in caplog.text
