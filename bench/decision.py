"""Predicted beside measured: the simulation behind `beforehand decide` against the running service.

The set-up is that of `overload.py`: a fake language model of known speed, ten times more misses than it bears, hits
beside them. One JSON line: goodput and percentiles of the misses as measured, as simulated, and how far they differ.
`--moderate` sends half of what the model bears instead.

    python bench/decision.py [--duration 30] [--moderate]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
from pathlib import Path

import http_load as http
from exact_hits import write_release
from overload import ANSWERS, LIMITS, hit, miss, service

from warehouse.economics.queueing import (
    Engine,
    Limits,
    Visit,
    answered_seconds,
    goodput,
    lengths,
    percentile,
    simulate,
    steady,
)

# No two answers take equally long. Without it they would end in bunches for ever, and the median in overload be off.
_JITTER = 0.01


async def measure(url: str, misses: float, options: argparse.Namespace) -> list[Visit]:
    """Send hits and misses at a steady rate, and return what became of the misses."""
    async with http.connected(url) as client:
        await http.load(client, options.hits, 2, hit)
        _, slow = await asyncio.gather(
            http.load(client, options.hits, options.duration, hit),
            http.load(client, misses, options.duration, miss),
        )
    return [Visit(due, took, status == 200) for due, took, status in slow.rows]


def predict(misses: float, overhead: float, options: argparse.Namespace) -> list[Visit]:
    """Simulate the same misses; `overhead` is what an unhurried answer takes beside the model."""
    arrivals = steady(misses, options.duration)
    pace = 1 / options.seconds  # an answer counts as one token
    engine = Engine(pace, options.capacity * pace, options.capacity)
    limits = Limits(target_seconds=2 * options.seconds, **LIMITS)
    tokens = lengths(1.0, _JITTER, len(arrivals), random.Random(1))
    found = simulate(arrivals, tokens, engine, limits)
    return [Visit(each.arrived, each.seconds + overhead * each.answered, each.answered) for each in found]


def summary(visits: list[Visit], duration: float) -> dict[str, float | None]:
    seconds = list(answered_seconds(visits))
    return {
        "goodput": round(goodput(visits, duration), 3),
        "p50": percentile(seconds, 0.5),
        "p99": percentile(seconds, 0.99),
        "refused": round(sum(not each.answered for each in visits) / len(visits), 3),
    }


async def unhurried(url: str, options: argparse.Namespace) -> float:
    """Return what an answer takes beside the model, without load."""
    async with http.connected(url) as client:
        await http.load(client, 2 / options.seconds, 3 * options.seconds, miss)
        found = await http.load(client, 2 / options.seconds, 5 * options.seconds, miss)
    return sorted(took for _, took, _ in found.rows)[len(found.rows) // 2] - options.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--capacity", type=int, default=8, help="Answers that the language model makes at once.")
    parser.add_argument("--seconds", type=float, default=1.0, help="How long one takes.")
    parser.add_argument("--duration", type=float, default=30.0)
    parser.add_argument("--hits", type=float, default=200.0, help="Hits a second beside the misses.")
    parser.add_argument("--moderate", action="store_true", help="Half of what the model bears, not ten times it.")
    options = parser.parse_args()
    options.endpoint, options.model = None, "fake-model"
    behaviour = json.dumps({"seconds": options.seconds, "concurrency": options.capacity})
    misses = (0.5 if options.moderate else 10) * options.capacity / options.seconds
    with tempfile.TemporaryDirectory() as folder:
        write_release(Path(folder), ANSWERS, None)
        with (
            http.program(http.FAKE_LLM, behaviour, "0") as (_, llm_url),
            service(folder, f"{llm_url}/v1", options) as (_, url),
        ):
            overhead = asyncio.run(unhurried(url, options))
            measured = summary(asyncio.run(measure(url, misses, options)), options.duration)
    predicted = summary(predict(misses, overhead, options), options.duration)
    off = {name: _off(predicted[name], measured[name]) for name in measured}
    line = {"misses_a_second": misses, "overhead_seconds": round(overhead, 4)}
    print(json.dumps({"bench": "decision", **line, "measured": measured, "predicted": predicted, "off": off}))


def _off(predicted: float | None, measured: float | None) -> float | None:
    return round(predicted / measured - 1, 3) if predicted is not None and measured else None


if __name__ == "__main__":
    main()
