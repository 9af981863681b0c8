"""How well a fleet of unlike servers is used: the time of a run beside the ideal of their summed capacity.

    python -m bench.fleet [--prompts 200] [--seconds 0.01 0.1 1.0] [--places 8] [--in-flight 64] [--hangs]

Each server takes its seconds for an answer and has so many places; all run in another process and speak HTTP. Two
ideals are printed: the prompts divided by the summed rate of all places, and the best that whole answers allow, since a
server of 1 s has nothing to give to a run of 0.2 s. The first run of a process loads libraries and is printed apart.
With `--hangs` a further server takes requests and never answers; it may cost one time limit (3 s here). Prints JSON.
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
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

from batch.generation.answer_stream import GenerationTask
from batch.generation.bundles import generate_files
from batch.generation.prompt_files import ChatRow, write_prompts
from batch.plan import LlmSource, Window
from batch.settings import VllmSettings
from batch.stores.generation_store import known_fingerprints
from batch.stores.parquet import count_rows, make_folder
from bench import fake_llm
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
        _serve(options.seconds, options.places)
        return
    paces = [*options.seconds, *([_FOREVER] if options.hangs else [])]
    with _servers(paces, options.places) as urls:
        runs = [_run(urls, options.prompts, options.in_flight) for _ in range(options.runs + 1)]
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
                "load": os.getloadavg()[0],
                "cores": os.cpu_count(),
            }
        )
    )


def whole_answers(paces: Sequence[float], places: int, prompts: int) -> float:
    """Return the least time in which the servers finish so many whole answers."""
    moments = sorted({round(pace * n, 6) for pace in paces for n in range(1, math.ceil(prompts / places) + 1)})
    return next(end for end in moments if sum(places * math.floor(end / pace + 1e-6) for pace in paces) >= prompts)


def _run(urls: Sequence[str], prompts: int, in_flight: int) -> tuple[float, float]:
    """Generate anew; return the seconds, and those of this process's processor time."""
    endpoints = tuple(SecretAddress(f"{url}/v1") for url in urls)
    source = LlmSource(
        "endpoints", fake_llm.MODEL, "1", 8192, VllmSettings(), endpoints=endpoints, timeout_seconds=_TIME_LIMIT
    )
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


def _serve(paces: Sequence[float], places: int) -> None:
    with ExitStack() as stack:
        models = [fake_llm.FakeLlm(seconds=pace, concurrency=places) for pace in paces]
        urls = [stack.enter_context(fake_llm.served(model.app)) for model in models]
        print(json.dumps(urls), flush=True)
        sys.stdin.read()
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
