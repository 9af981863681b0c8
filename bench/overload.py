"""Ten times more misses than the language model bears, nine times as many hits beside them; then it is killed.

The language model is a fake one: `--seconds` an answer, `--capacity` at once. Of a real one
(`--endpoint`) the capacity is measured first: the answers a second to so many callers. One JSON line a phase:
idle (hits alone), overload (hits and misses), down (the model is killed), back (until the first live answer).

    python bench/overload.py [--encoder FOLDER] [--duration 30]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import http_load as http
from exact_hits import QUESTION, write_release

ANSWERS = 1000
LIMITS = {"queue_length": 32, "queue_seconds": 5}


def miss(number: int) -> str:
    return f"Why did the traveller number {number} come at {time.perf_counter_ns()}?"


def hit(number: int) -> str:
    return QUESTION.format(number % ANSWERS)


def say(phase: str, **found: object) -> None:
    print(json.dumps({"bench": "overload", "phase": phase, **found}), flush=True)


async def find_capacity(url: str, callers: int, seconds: float) -> float:
    """Return the live answers a second with so many callers who each ask again as soon as they are answered."""
    answered = 0
    end = time.perf_counter() + seconds

    async def ask_on(client: http.Client, caller: int) -> None:
        nonlocal answered
        while time.perf_counter() < end:
            status = await client.ask(miss(caller))
            answered += status == 200 and time.perf_counter() <= end

    async with http.connected(url) as client:
        await asyncio.gather(*(ask_on(client, caller) for caller in range(callers)))
    return answered / seconds


async def measure(url: str, service: subprocess.Popen[str], options: argparse.Namespace) -> None:
    """Measure idle and overload; hits are nine times the misses, up to what the load generator can send."""
    if options.endpoint:
        capacity = await find_capacity(url, options.capacity, options.duration)
        say("capacity", callers=options.capacity, answers_per_second=round(capacity, 2))
        if not capacity:
            raise SystemExit(f"{options.endpoint} gave no answer to {options.model} in {options.duration:g} s")
    else:
        capacity = options.capacity / options.seconds
    misses = 10 * capacity
    hits = min(9 * misses, options.most_hits)
    async with http.connected(url) as client:
        await http.load(client, hits, 2, hit)
        idle = await http.load(client, hits, options.duration / 2, hit)
        say("idle", hits=idle.summary(options.duration / 2), memory_mb=http.megabytes(service.pid))
        before = http.megabytes(service.pid)
        quick, slow = await asyncio.gather(
            http.load(client, hits, options.duration, hit), http.load(client, misses, options.duration, miss)
        )
    ratio = percentile_ratio(quick, idle)
    say(
        "overload",
        capacity_per_second=capacity,
        misses_sent_per_second=misses,
        hits=quick.summary(options.duration),
        misses=slow.summary(options.duration),
        goodput_of_capacity=round(goodput(slow, options.duration) / capacity, 2),
        hits_p50_ratio_to_idle=ratio[0],
        hits_p99_ratio_to_idle=ratio[1],
        memory_mb=[before, http.megabytes(service.pid)],
    )


def percentile_ratio(loaded: http.Samples, idle: http.Samples) -> tuple[float, float]:
    after, before = ([took for _, took, _ in each.rows] for each in (loaded, idle))
    found = [(http.percentile(after, share) or 0) / (http.percentile(before, share) or 1) for share in (50, 99)]
    return round(found[0], 2), round(found[1], 2)


def goodput(samples: http.Samples, seconds: float) -> float:
    """Return the answers a second that came while misses were being sent."""
    return sum(status == 200 and due + took <= seconds for due, took, status in samples.rows) / seconds


async def outage(url: str, duration: float) -> None:
    async with http.connected(url) as client:
        hits, misses = await asyncio.gather(
            http.load(client, 100, duration, hit), http.load(client, 20, duration, miss)
        )
    say("down", hits=hits.summary(duration), misses=misses.summary(duration))


async def recovery(url: str) -> None:
    began = time.perf_counter()
    async with http.connected(url) as client:
        while await client.ask(miss(0)) != 200:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.1)
    say("back", seconds_to_first_live_answer=round(time.perf_counter() - began, 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--capacity", type=int, default=8, help="Answers that the language model makes at once.")
    parser.add_argument("--seconds", type=float, default=1.0, help="How long one takes.")
    parser.add_argument("--duration", type=float, default=30.0)
    parser.add_argument("--most-hits", type=float, default=400.0, help="Hits a second that are sent at most.")
    parser.add_argument("--encoder", type=Path, help="A converted encoder; a small word encoder by default.")
    parser.add_argument(
        "--endpoint", help="A real language model's base URL, instead of the fake one; it is not killed."
    )
    parser.add_argument("--model", default="fake-model", help="Its name there.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_release(Path(folder), ANSWERS, options.encoder)
        if options.endpoint:
            with service(folder, options.endpoint, options) as (process, url):
                asyncio.run(measure(url, process, options))
        else:
            with_fake_model(folder, options)


def with_fake_model(folder: str, options: argparse.Namespace) -> None:
    """Measure with the fake model, then kill it and bring it back."""
    behaviour = json.dumps({"seconds": options.seconds, "concurrency": options.capacity})
    with (
        http.program(http.FAKE_LLM, behaviour, "0") as (llm, llm_url),
        service(folder, f"{llm_url}/v1", options) as (process, url),
    ):
        asyncio.run(measure(url, process, options))
        llm.kill()
        llm.wait()
        asyncio.run(outage(url, 5))
        with http.program(http.FAKE_LLM, behaviour, llm_url.rsplit(":", 1)[1]):
            asyncio.run(recovery(url))


@contextlib.contextmanager
def service(folder: str, endpoint: str, options: argparse.Namespace) -> Iterator[tuple[subprocess.Popen[str], str]]:
    config = {
        "data": folder,
        "collections": {"main": {"documents": []}},
        "service": {"port": 0, "target_seconds": 2 * options.seconds, **LIMITS},
        "llm": {"endpoint": endpoint, "model": options.model},
        "sampling": {"max_tokens": 32},
    }
    with http.program(http.SERVICE, json.dumps(config)) as (process, url):
        http.wait_until_ready(url)
        yield process, url


if __name__ == "__main__":
    main()
