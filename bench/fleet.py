"""How well a fleet of unlike servers is used: the time of a run beside the ideal of their summed capacity.

    python -m bench.fleet [--prompts 200] [--seconds 0.01 0.1 1.0] [--places 8] [--in-flight 64] [--hangs]

Each server takes its seconds for an answer and has so many places; all run in another process and speak HTTP. Two
ideals are printed: the prompts divided by the summed rate of all places, and the best that whole answers allow, since a
server of 1 s has nothing to give to a run of 0.2 s. What the machine allows stands beside them: a bare client (aiohttp
and json) that knows beforehand how many prompts each server is to have, run by turns with the fleet. The first run of a
process loads libraries and is printed apart. With `--hangs` a further server takes requests and never answers; it may
cost one time limit (3 s here). Prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import aiohttp

from batch.generation.answer_stream import GenerationTask
from batch.generation.bundles import generate_files
from batch.generation.prompt_files import ChatRow, write_prompts
from batch.plan import LlmSource, Window
from batch.settings import VllmSettings
from batch.stores.generation_store import known_fingerprints
from batch.stores.parquet import count_rows, make_folder
from bench.fake_llm import MODEL
from bench.paced_servers import PacedServer, serve
from rag.credentials import SecretAddress
from rag.llm.protocol import Sampling

_TIME_LIMIT = 3.0  # seconds
_FOREVER = 3600.0
_WORDS = "the lid of the pot is hot when steam rises from under it and so it is not to be touched by hand "


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--seconds", type=float, nargs="+", default=[0.01, 0.1, 1.0])
    parser.add_argument("--places", type=int, default=8)
    parser.add_argument("--in-flight", type=int, default=64, help="Requests that each server may have at once.")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--hangs", action="store_true", help="Add a server that never answers.")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(_serve(options.seconds, options.places))
        return
    paces = [*options.seconds, *([_FOREVER] if options.hangs else [])]
    with _servers(paces, options.places) as urls:
        shares = best_shares(options.seconds, options.places, options.prompts)
        runs, bare = [], []
        for _ in range(options.runs + 1):
            runs.append(_run(urls, options.prompts, options.in_flight))
            bare.append(asyncio.run(_bare(urls, shares, options.in_flight)))
    ideal = whole_answers(options.seconds, options.places, options.prompts)
    print(
        json.dumps(
            {
                "prompts": options.prompts,
                "seconds_an_answer": options.seconds,
                "places": options.places,
                "in_flight": options.in_flight,
                "hanging_servers": int(options.hangs),
                "ideal_seconds": ideal,
                "ideal_of_the_summed_rate": options.prompts / sum(options.places / pace for pace in options.seconds),
                "first_run_seconds": runs[0][0],
                "seconds": sorted(seconds for seconds, _ in runs[1:]),
                "times_the_ideal": round(statistics.median(seconds for seconds, _ in runs[1:]) / ideal, 2),
                "cpu_seconds": statistics.median(cpu for _, cpu in runs[1:]),
                "bare_client_seconds": sorted(bare[1:]),
                "times_the_bare_client": round(
                    statistics.median(seconds for seconds, _ in runs[1:]) / statistics.median(bare[1:]), 2
                ),
                "load": os.getloadavg()[0],
                "cores": os.cpu_count(),
            }
        )
    )


def whole_answers(paces: Sequence[float], places: int, prompts: int) -> float:
    """Return the least time in which the servers finish so many whole answers."""
    moments = sorted({round(pace * n, 6) for pace in paces for n in range(1, math.ceil(prompts / places) + 1)})
    return next(end for end in moments if sum(places * math.floor(end / pace + 1e-6) for pace in paces) >= prompts)


def best_shares(paces: Sequence[float], places: int, prompts: int) -> list[int]:
    """Return how many prompts each server gets, the quickest ones first, so that all end in that time."""
    end = whole_answers(paces, places, prompts)
    shares = [0] * len(paces)
    for number in sorted(range(len(paces)), key=paces.__getitem__):
        shares[number] = min(places * math.floor(end / paces[number] + 1e-6), prompts - sum(shares))
    return shares


async def _bare(urls: Sequence[str], shares: Sequence[int], in_flight: int) -> float:
    """Ask each server its share of the prompts; return the seconds."""
    prompts = [json.loads(_prompt(number)["messages"]) for number in range(sum(shares))]
    clock = time.monotonic()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(url: str, gate: asyncio.Semaphore, messages: object) -> str:
            body = {"model": MODEL, "messages": messages, "max_tokens": 192, "temperature": 0.0}
            async with gate, session.post(f"{url}/v1/chat/completions", json=body) as response:
                return str((await response.json())["choices"][0]["message"]["content"])

        gates = [asyncio.Semaphore(in_flight) for _ in urls]
        places = [number for number, share in enumerate(shares) for _ in range(share)]
        await asyncio.gather(
            *(ask(urls[place], gates[place], prompt) for place, prompt in zip(places, prompts, strict=True))
        )
    return round(time.monotonic() - clock, 3)


def _run(urls: Sequence[str], prompts: int, in_flight: int) -> tuple[float, float]:
    """Generate anew; return the seconds, and those of this process's processor time."""
    endpoints = tuple(SecretAddress(f"{url}/v1") for url in urls)
    source = LlmSource("endpoints", MODEL, "1", 8192, VllmSettings(), endpoints=endpoints, timeout_seconds=_TIME_LIMIT)
    with tempfile.TemporaryDirectory() as folder:
        store = f"{folder}/store"
        make_folder(store)
        task = GenerationTask("generate", store, Sampling(), "bench", source)
        paths = write_prompts(f"{folder}/pending", [_prompt(number) for number in range(prompts)])
        clock, cpu = time.monotonic(), time.process_time()
        asyncio.run(generate_files(paths, source, task, Window(in_flight, 64, 0), datetime.now(UTC)))
        clock, cpu = time.monotonic() - clock, time.process_time() - cpu
        if not prompts == len(known_fingerprints(store)) == count_rows(store):
            sys.exit("a prompt has no answer, or two")
    return round(clock, 3), round(cpu, 3)


def _prompt(number: int) -> ChatRow:
    passage = f"<passage 1>\nPot {number}\nPot {number} is hot. {_WORDS * 24}\n</passage 1>"
    return {
        "collection": "default",
        "question": f"What about pot {number}?",
        "fingerprint": f"{number:032x}",
        "messages": json.dumps([{"role": "user", "content": passage}]),
        "prefix": f"pot {number // 4}",
    }


async def _serve(paces: Sequence[float], places: int) -> None:
    print(json.dumps(await serve([PacedServer(pace, places) for pace in paces])), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    os._exit(0)  # a request that hangs would be waited for


@contextmanager
def _servers(paces: Sequence[float], places: int) -> Iterator[list[str]]:
    command = [sys.executable, "-m", "bench.fleet", "--serve", "--places", str(places)]
    command += ["--seconds", *map(str, paces)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as servers:
        assert servers.stdout is not None
        try:
            yield list(json.loads(servers.stdout.readline()))
        finally:
            servers.kill()


if __name__ == "__main__":
    main()
