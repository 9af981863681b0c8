"""Jobs on disk: each is run by one worker, and by another one when that dies."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from online.records import job_store
from online.records.job_store import JobStore, StoredJob


def with_stores(path: Path, count: int, test: Callable[..., Awaitable[None]]) -> None:
    async def main() -> None:
        stores = [JobStore(path / "jobs.sqlite3") for _ in range(count)]
        for store in stores:
            await store.open()
        await test(*stores)
        for store in stores:
            await store.close()

    asyncio.run(main())


def test_a_job_is_claimed_once_in_the_order_of_arrival(tmp_path: Path) -> None:
    async def test(one: JobStore, other: JobStore) -> None:
        ids = [(await one.insert(b"{}", None)).id for _ in range(6)]
        claimed = [await store.claim() for store in (one, other) * 3]
        assert [job.id for job in claimed if job] == ids
        assert await one.claim() is None

    with_stores(tmp_path, 2, test)


def test_concurrent_claims_never_share_a_job(tmp_path: Path) -> None:
    async def test(*stores: JobStore) -> None:
        ids = {(await stores[0].insert(b"{}", None)).id for _ in range(40)}
        claimed = await asyncio.gather(*(store.claim() for store in stores for _ in range(10)))
        assert sorted(job.id for job in claimed if job) == sorted(ids)

    with_stores(tmp_path, 4, test)


def test_a_job_of_a_worker_that_died_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_store, "_LEASE_SECONDS", -1.0)  # as if the lease had run out

    async def test(dead: JobStore, alive: JobStore) -> None:
        job = await dead.insert(b"{}", None)
        assert await dead.claim() is not None
        taken = await alive.claim()
        assert taken is not None
        assert taken.id == job.id
        await dead.finish(job, 200, b"late")  # comes too late to count
        await alive.finish(taken, 200, b"answer")
        found = await alive.find(job.id)
        assert found is not None
        assert (found.status, found.outcome) == ("done", b"answer")

    with_stores(tmp_path, 2, test)


def test_a_lease_that_is_renewed_keeps_the_job(tmp_path: Path) -> None:
    async def test(one: JobStore, other: JobStore) -> None:
        await one.insert(b"{}", None)
        assert await one.claim() is not None
        await one.renew()
        assert await other.claim() is None

    with_stores(tmp_path, 2, test)


def test_a_postponed_job_comes_back_when_it_is_due(tmp_path: Path) -> None:
    async def test(store: JobStore) -> None:
        await store.insert(b"{}", None)
        job = await store.claim()
        assert job is not None
        await store.postpone(job, 3600)
        assert await store.claim() is None
        await store.postpone(job, -1)  # it is not ours any more: nothing changes
        assert await store.claim() is None

    with_stores(tmp_path, 1, test)


def test_a_postponed_job_queues_behind_newer_ones(tmp_path: Path) -> None:
    async def test(store: JobStore) -> None:
        old = await store.insert(b"{}", None)
        job = await store.claim()
        assert job is not None
        younger = await store.insert(b"{}", None)
        await store.postpone(job, 0, failed=True)
        claimed = [each for each in (await store.claim(), await store.claim()) if each]
        assert [(each.id, each.attempts) for each in claimed] == [(younger.id, 0), (old.id, 1)]

    with_stores(tmp_path, 1, test)


def test_waiting_for_a_place_is_no_attempt(tmp_path: Path) -> None:
    async def test(store: JobStore) -> None:
        await store.insert(b"{}", None)
        for _ in range(10):
            job = await store.claim()
            assert job is not None
            assert job.attempts == 0
            await store.postpone(job, -1)

    with_stores(tmp_path, 1, test)


def test_a_job_whose_answer_must_not_be_shown_starts_over(tmp_path: Path) -> None:
    async def test(store: JobStore) -> None:
        await store.insert(b"{}", None)
        job = await store.claim()
        assert job is not None
        await store.answer_again(job)  # it has no answer yet: nothing changes
        await store.finish(job, 200, b"answer")
        await store.answer_again(job)
        again = await store.claim()
        assert again == StoredJob(job.id, b"{}", None, "running", None, None)

    with_stores(tmp_path, 1, test)


OLD_SCHEMA = """
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    asked TEXT NOT NULL,
    key_id TEXT,
    status TEXT NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'running', 'done', 'failed')),
    created REAL NOT NULL,
    not_before REAL NOT NULL DEFAULT 0,
    owner TEXT,
    lease REAL NOT NULL DEFAULT 0,
    http_status INTEGER,
    outcome BLOB
) STRICT
"""


def test_the_jobs_of_an_earlier_version_are_taken_over_by_all_workers_at_once(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "jobs.sqlite3", isolation_level=None)
    old.execute(OLD_SCHEMA)
    old.execute("INSERT INTO jobs (id, asked, created) VALUES ('a', '{}', 1), ('b', '{}', 2)")
    old.close()

    async def test() -> None:
        stores = [JobStore(tmp_path / "jobs.sqlite3") for _ in range(4)]
        await asyncio.gather(*(store.open() for store in stores))
        job = await stores[0].claim()
        assert job == StoredJob("a", b"{}", None, "running", None, None, 0)
        await stores[0].postpone(job, 0, failed=True)
        found = await stores[3].find("a")
        assert found is not None
        assert found.attempts == 1
        for store in stores:
            await store.close()

    asyncio.run(test())


def test_closing_puts_running_jobs_back(tmp_path: Path) -> None:
    async def first(store: JobStore) -> None:
        await store.insert(b'{"a": 1}', "key")
        assert await store.claim() is not None

    async def second(store: JobStore) -> None:
        job = await store.claim()
        assert job is not None
        assert (job.asked, job.key_id) == (b'{"a": 1}', "key")

    with_stores(tmp_path, 1, first)
    with_stores(tmp_path, 1, second)


@pytest.mark.parametrize(("status", "expected"), [(200, "done"), (422, "failed"), (503, "failed")])
def test_the_outcome_is_kept_with_its_status(tmp_path: Path, status: int, expected: str) -> None:
    async def test(store: JobStore) -> None:
        await store.insert(b"{}", None)
        job = await store.claim()
        assert job is not None
        await store.finish(job, status, b"body")
        found = await store.find(job.id)
        assert found == StoredJob(job.id, b"{}", None, expected, status, b"body")  # type: ignore[arg-type]
        assert await store.open_jobs() == 0

    with_stores(tmp_path, 1, test)


def test_old_jobs_expire(tmp_path: Path) -> None:
    async def test(store: JobStore) -> None:
        job = await store.insert(b"{}", None)
        await store.expire(1)
        assert await store.find(job.id) is not None
        await store.expire(-1)
        assert await store.find(job.id) is None

    with_stores(tmp_path, 1, test)
