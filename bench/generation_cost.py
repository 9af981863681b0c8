"""What the pipeline itself costs an answer: processor time, with an endpoint that answers at once.

    python -m bench.generation_cost [--prompts 3000] [--in-flight 64]

The stage `generate` runs on made-up prompts of 2.5 KB, from its tables to its store, beside a bare client (aiohttp and
json) that sends the same requests, as many at once, and keeps the answers. The server is another process, whose time
does not count. Prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import aiohttp

from batch.plan import LlmSource, RunPlan
from batch.rows import CuratedRow, PromptRow
from batch.settings import BatchSettings, VllmSettings
from batch.stages.generate import generate
from batch.stores.generation_store import known_fingerprints
from batch.stores.parquet import rows_to_table, write_table
from bench import fake_llm
from rag.collection_settings import CollectionSettings
from rag.credentials import SecretAddress
from rag.llm.protocol import Sampling
from rag.retrieval.embedding import EncoderSpec
from rag.settings import ChunkingSettings, RetrievalSettings
from warehouse.tables import QUESTIONS, QuestionRow

_WORDS = "the lid of the pot is hot when steam rises from under it and so it is not to be touched by hand "
_FILE = 5_000  # prompts of a file of the prompts table
_PASSAGES = 12  # prompts that share a first passage


def main() -> None:
    """Measure both, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=3_000)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        _serve()
        return
    with tempfile.TemporaryDirectory() as folder, _server() as url:
        plan = _plan(folder, url, options.in_flight)
        _write_tables(plan, options.prompts)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        pipeline = _measured(options.prompts, lambda: generate(plan))
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        bare = _measured(options.prompts, lambda: asyncio.run(_bare(url, options.prompts, options.in_flight)))
        answers = len(known_fingerprints(plan.answer_store))
    print(
        json.dumps(
            {
                "prompts": options.prompts,
                "answers": answers,
                "in_flight": options.in_flight,
                "pipeline": pipeline | {"memory_grown_mb": round(grown)},
                "bare_client": bare,
                "cores": os.cpu_count(),
            }
        )
    )
    if answers != options.prompts:
        sys.exit("not every prompt has an answer")


def _measured(prompts: int, work: Callable[[], object]) -> dict[str, float]:
    cpu, clock = time.process_time(), time.monotonic()
    work()
    cpu, clock = time.process_time() - cpu, time.monotonic() - clock
    return {"cpu_ms_an_answer": round(cpu * 1000 / prompts, 3), "seconds": round(clock, 2)}


def _serve() -> None:
    with fake_llm.served(fake_llm.FakeLlm().app) as url:
        print(url, flush=True)
        sys.stdin.read()


@contextmanager
def _server() -> Iterator[str]:
    command = [sys.executable, "-m", "bench.generation_cost", "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.kill()


async def _bare(url: str, prompts: int, in_flight: int) -> list[str]:
    gate = asyncio.Semaphore(in_flight)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight)) as session:

        async def one(number: int) -> str:
            body = {"model": fake_llm.MODEL, "messages": _messages(number), "max_tokens": 192, "temperature": 0.0}
            async with gate, session.post(f"{url}/v1/chat/completions", json=body) as response:
                said = await response.json()
            return str(said["choices"][0]["message"]["content"])

        return await asyncio.gather(*(one(number) for number in range(prompts)))


def _messages(number: int) -> list[dict[str, str]]:
    passage = f"<passage 1>\nPot {number // _PASSAGES}\nPot {number // _PASSAGES} is hot. {_WORDS * 24}\n</passage 1>"
    return [
        {"role": "system", "content": "Answer from the passages."},
        {"role": "user", "content": f"{passage}\n\nQuestion: What about pot {number}?"},
    ]


def _plan(folder: str, url: str, in_flight: int) -> RunPlan:
    endpoints = (SecretAddress(f"{url}/v1"),)
    llm = LlmSource("endpoints", fake_llm.MODEL, "1", 8192, VllmSettings(), endpoints=endpoints)
    return RunPlan(
        run_id="bench",
        data=folder,
        collections={"default": CollectionSettings(documents=["none"])},
        encoder="none",
        encoder_id="none",
        encoder_spec=EncoderSpec(256, 384, "mean", True),
        llm=llm,
        template="{question}",
        sampling=Sampling(),
        chunking=ChunkingSettings(),
        retrieval=RetrievalSettings(),
        settings=BatchSettings(in_flight=in_flight),
    )


def _write_tables(plan: RunPlan, prompts: int) -> None:
    for start in range(0, prompts, _FILE):
        numbers = range(start, min(start + _FILE, prompts))
        path = f"{start:07}.parquet"
        rows = [_prompt_row(number) for number in numbers]
        write_table(f"{plan.folder('retrieve')}/prompts/{path}", rows_to_table(rows, PromptRow))
        questions = [{"query_key": f"q{number}", "weight": 1.0} for number in numbers]
        table = rows_to_table(questions, QuestionRow)
        write_table(f"{plan.folder('anticipate')}/questions/{path}", table.cast(QUESTIONS))
    write_table(f"{plan.folder('anticipate')}/curated/none.parquet", rows_to_table([], CuratedRow))


def _prompt_row(number: int) -> PromptRow:
    # far from sorted, as the prompts of real questions are
    place = number * 7919 % 100_003
    return {
        "collection": "default",
        "query_key": f"q{number}",
        "question": f"What about pot {place}?",
        "fingerprint": f"{number:032x}",
        "passages_hash": "none",
        "messages": json.dumps(_messages(place)),
        "chunk_ids": [f"pot {place // _PASSAGES}", f"pot {place % 7}"],
        "shown_ids": [],
        "filters": {},
    }


if __name__ == "__main__":
    main()
