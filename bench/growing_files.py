"""What following a file of many records costs the requests beside it.

    python -m bench.growing_files [RECORDS]

A server polls the reported pairs while others append. The delay of the event loop stands for what a hit waits: a task
that wants to run every millisecond notes how much later it ran, idle and while a record comes every 10 ms.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from warehouse.editorial.withdrawal import Tombstones, tombstone

_SECONDS = 5.0


def main(records: int) -> None:
    """Write a file, follow it, and print what that cost."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        lines = (
            json.dumps({"action": "add", "pair": [f"{n:032x}", f"{n + 1:032x}"], "reason": "r", "at": "2026-11-26"})
            for n in range(records)
        )
        (data / "tombstones.jsonl").write_text("\n".join(lines) + "\n")
        followed = Tombstones(data)
        print(f"first read of {records:,} records: {_cpu(followed.follow):.1f} ms")
        print(f"a poll without news: {min(_cpu(followed.follow) for _ in range(200)) * 1000:.1f} µs")
        costs = []
        for n in range(200):
            tombstone(data, f"asked{n}", f"matched{n}", "reported")
            costs.append(_cpu(followed.follow))
        print(f"a poll with one new record: {sorted(costs)[100] * 1000:.1f} µs")
        asyncio.run(_beside(data, followed))


def _cpu(work: Callable[[], object]) -> float:
    started = time.thread_time()
    work()
    return (time.thread_time() - started) * 1000


async def _beside(data: Path, followed: Tombstones) -> None:
    idle = await _delays()
    feedback = asyncio.create_task(_report(data, followed))
    busy = await _delays()
    feedback.cancel()
    print(f"delay of the event loop, idle: p50 {idle[0]:.2f} ms, p99 {idle[1]:.2f} ms")
    print(f"delay of the event loop, beside feedback: p50 {busy[0]:.2f} ms, p99 {busy[1]:.2f} ms")


async def _report(data: Path, followed: Tombstones) -> None:
    number = 0
    while True:
        await asyncio.to_thread(tombstone, data, f"more{number}", "matched", "reported")
        await asyncio.to_thread(followed.follow)
        await asyncio.sleep(0.01)
        number += 1


async def _delays() -> tuple[float, float]:
    found: list[float] = []
    until = time.perf_counter() + _SECONDS
    while (started := time.perf_counter()) < until:
        await asyncio.sleep(0.001)
        found.append((time.perf_counter() - started) * 1000 - 1)
    found.sort()
    return found[len(found) // 2], found[int(len(found) * 0.99)]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
