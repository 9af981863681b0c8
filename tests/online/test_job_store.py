"""Jobs on the disk: each is run by one worker, and by another when that one dies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from online import job_store
from online.job_store import Job, JobStore


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


def test_many_who_claim_at_once_never_share_a_job(tmp_path: Path) -> None:
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


def test_closing_gives_back_what_was_under_way(tmp_path: Path) -> None:
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
        assert found == Job(job.id, b"{}", None, expected, status, b"body")  # type: ignore[arg-type]
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
