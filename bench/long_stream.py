"""Exact hits beside one long live answer: the service must not be kept busy by its stream.

The fake model streams an answer of so many tokens, with references, as fast as it can be read; meanwhile hits come at
a steady rate. Their latencies are compared with those of an idle service, on each route that streams. One JSON line
for each:

    python bench/long_stream.py [--tokens 8000] [--per-second 100]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from pathlib import Path

import http_load as http
import httpx

sys.path.insert(0, str(http.ROOT))

from bench.exact_hits import QUESTION, write_release

ANSWERS = 1000
CHAT = {"model": "beforehand", "messages": [{"role": "user", "content": "How does the page of my account work?"}]}
ROUTES = {
    "answers": ("/v1/answers", {"question": "How does the page of my account work?"}),
    "chat": ("/v1/chat/completions", CHAT),
    "grounded": (
        "/v1/chat/completions",
        {**CHAT, "messages": [{"role": "system", "content": "Take your time."}, *CHAT["messages"]]},
    ),
}


def _question(_: int) -> str:
    return QUESTION.format(random.randrange(ANSWERS))


async def _streamed(client: httpx.AsyncClient, path: str, body: dict[str, object]) -> tuple[float, int]:
    """Read a whole stream; return its seconds and events."""
    started, events = time.perf_counter(), 0
    request = client.stream("POST", path, json=body | {"stream": True}, headers={"cache-control": "no-cache"})
    async with request as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            events += line.startswith("data:")
    return time.perf_counter() - started, events


async def measure(url: str, per_second: float) -> None:
    client = http.Client(url)
    streams = httpx.AsyncClient(base_url=url, timeout=300)
    await streams.get("/healthz")  # before the clock runs: the client imports for 140 ms at its first request
    await http.load(client, per_second, 2, _question)
    for name, (path, body) in ROUTES.items():
        idle = (await http.load(client, per_second, 10, _question)).summary(10)
        stream = asyncio.create_task(_streamed(streams, path, body))
        beside = http.Samples()
        while not stream.done():
            beside.rows += (await http.load(client, per_second, 1, _question)).rows
        seconds, events = await stream
        found = beside.summary(max(1.0, seconds))
        line = {
            "bench": "long_stream", "route": name, "stream_seconds": round(seconds, 2), "events": events,
            "idle_p50_ms": idle["p50_ms"], "idle_p99_ms": idle["p99_ms"],
            "beside_p50_ms": found["p50_ms"], "beside_p99_ms": found["p99_ms"], "hits": len(beside.rows),
        }  # fmt: skip
        print(json.dumps(line), flush=True)
    client.close()
    await streams.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=8000)
    parser.add_argument("--token-seconds", type=float, default=0.002, help="Time between two tokens.")
    parser.add_argument("--per-second", type=float, default=100)
    options = parser.parse_args()
    model = json.dumps({"streamed_tokens": options.tokens, "token_seconds": options.token_seconds})
    with tempfile.TemporaryDirectory() as folder:
        write_release(Path(folder), ANSWERS)
        with http.program(http.FAKE_LLM, model, "0") as (_, llm):
            config = {
                "data": folder,
                "collections": {"main": {"documents": []}},
                "service": {"port": 0, "deadline_seconds": 300, "semantic_hits": False},
                "llm": {"endpoint": f"{llm}/v1", "model": "fake-model"},
            }
            with http.program(http.SERVICE, json.dumps(config)) as (_, service):
                http.wait_until_ready(service)
                asyncio.run(measure(service, options.per_second))


if __name__ == "__main__":
    main()
