"""An open-loop load generator in asyncio, light enough to share two cores with what it measures.

Requests are sent at their times whether or not earlier ones have been answered, so a server that stalls does not
slow the measurement down (no coordinated omission); latencies count from the time a request was due.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

ROOT = Path(__file__).parents[1]

SERVICE = """
import sys
from online.server import ServeConfig, serve
serve(ServeConfig.model_validate_json(sys.argv[1]), on_ready=lambda url: print(url, flush=True))
"""
FAKE_LLM = """
import sys, json, threading
from bench.fake_llm import FakeLlm, served
with served(FakeLlm(**json.loads(sys.argv[1])).app, int(sys.argv[2])) as url:
    print(url, flush=True)
    threading.Event().wait()
"""


@dataclass
class Samples:
    """What came of the requests of one kind: (due, seconds, status); status 0 is a broken connection."""

    rows: list[tuple[float, float, int]] = field(default_factory=list)

    def summary(self, seconds: float) -> dict[str, object]:
        """Return counts by status and percentiles in milliseconds of what succeeded and what was refused."""
        statuses: dict[str, int] = {}
        for _, _, status in self.rows:
            statuses[str(status)] = statuses.get(str(status), 0) + 1
        good = [took for _, took, status in self.rows if status == 200]
        refused = [took for _, took, status in self.rows if status in {429, 503}]
        return {
            "per_second": round(len(good) / seconds, 1),
            "statuses": dict(sorted(statuses.items())),
            "p50_ms": percentile(good, 50), "p99_ms": percentile(good, 99),
            "refused_p50_ms": percentile(refused, 50), "refused_p99_ms": percentile(refused, 99),
            "refused_after_a_second": sum(took > 1 for took in refused),
        }  # fmt: skip


def percentile(values: list[float], share: int) -> float | None:
    """Return a percentile of seconds in milliseconds."""
    if not values:
        return None
    return round(sorted(values)[min(len(values) - 1, len(values) * share // 100)] * 1000, 2)


class Client:
    """Keep-alive connections to one server."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname or "", parts.port or 80
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, question: str) -> int:
        """Ask one question and return the status."""
        return await self.post("/v1/answers", json.dumps({"question": question}))

    async def post(self, path: str, content: str) -> int:
        """Post JSON and return the status."""
        body = content.encode()
        head = (
            f"POST {path} HTTP/1.1\r\nhost: localhost\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        while self._idle and self._idle[-1][0].at_eof():  # the server closes what was idle for 5 seconds
            self._idle.pop()[1].close()
        try:
            reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(*self._address)
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            lines = answer.lower().split(b"\r\n")
            length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
            await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            return 0
        self._idle.append((reader, writer))
        return int(lines[0].split(b" ")[1])

    def close(self) -> None:
        """Close the idle connections."""
        for _, writer in self._idle:
            writer.close()


async def load(client: Client, per_second: float, seconds: float, question: Callable[[int], str]) -> Samples:
    """Ask at a steady rate, and wait for all answers."""
    samples = Samples()
    begin = time.perf_counter()

    async def one(number: int, due: float) -> None:
        status = await client.ask(question(number))
        samples.rows.append((due - begin, time.perf_counter() - due, status))

    tasks = []
    for number in range(int(per_second * seconds)):
        due = begin + number / per_second
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(one(number, due)))
    await asyncio.gather(*tasks)
    return samples


@contextlib.contextmanager
def program(source: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a program that prints its address; yields the process and the address."""
    process = subprocess.Popen([sys.executable, "-c", source, *arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(25)
        process.kill()


def wait_until_ready(url: str) -> None:
    """Wait for the service's first release."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/readyz", timeout=60).status_code == 200:
                return
        time.sleep(0.1)
    raise RuntimeError("the service did not become ready")


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    """Yield a client and close it; garbage is not collected meanwhile, which would stop the clocks for 0.1 s."""
    client = Client(url)
    gc.disable()
    try:
        yield client
    finally:
        gc.enable()
        client.close()


def megabytes(process: int) -> float:
    """Return the memory that a process holds for itself."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0
