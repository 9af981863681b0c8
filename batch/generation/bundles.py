"""The prompts of a bundle of files, as one stream to the engine of this process or to a fleet of endpoints."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

from batch.generation.answer_stream import AnswerStream, GenerationTask
from batch.generation.fleet import Fleet
from batch.plan import LlmSource, Window
from batch.stores.fetched import fetched
from rag.llm.openai_client import OpenAIEndpoint
from rag.llm.protocol import Llm
from warehouse.tables import RejectRow

WHOLE_BUNDLE = 1_000_000  # files


def generate_bundle(
    paths: Sequence[str], source: LlmSource, task: GenerationTask, window: Window, began: datetime
) -> list[RejectRow]:
    """Generate the prompts of a bundle's files as one stream, and return the rejects; see `generate_files`."""
    return asyncio.run(generate_files(paths, source, task, window, began))


async def generate_files(
    paths: Sequence[str], source: LlmSource, task: GenerationTask, window: Window, began: datetime
) -> list[RejectRow]:
    """Generate the prompts of some files, write the answers to the task's store, and return the rejects.

    Prompts whose answers came after the work `began` are left out: an attempt at it failed on the way.

    Raises:
        LlmError: the model is away or misconfigured; what was generated is in the store.
        TooManyRejectsError: more prompts were rejected than the window allows.
    """
    async with _opened(source, window.in_flight) as fleet:
        stream = AnswerStream(fleet, task, window, began)
        await stream.run(paths)
        return stream.rejects


@asynccontextmanager
async def _opened(source: LlmSource, in_flight: int) -> AsyncIterator[Fleet]:
    """Yield the fleet for one stream: connections belong to an event loop, an engine to the process."""
    if source.kind == "engine":
        fleet = Fleet([engine_of(source)], in_flight, slow_start=False, patience=0)
        endpoints = []
    else:
        key = source.api_key.get_secret_value() if source.api_key else None
        endpoints = [
            # one more connection, for a probe
            OpenAIEndpoint(url.get_secret_value(), source.name, key, source.timeout_seconds, in_flight + 1)
            for url in source.endpoints
        ]
        fleet = Fleet(endpoints, in_flight, source.timeout_seconds)
    try:
        yield fleet
    finally:
        await fleet.aclose()
        for each in endpoints:
            await each.aclose()


def engine_of(source: LlmSource) -> Llm:
    """Return the engine of this process, or of this machine in a worker of a pool; start it if it does not run yet."""
    from batch.vllm.engine import engine_for
    from batch.vllm.machine_engine import POOL_FOLDER, EngineRequest, machine_engine

    assert source.folder is not None, "an engine needs the model's folder"
    folder = replace(source.folder, path=fetched(source.sent)) if source.sent else source.folder
    if source.sent_adapter and folder.adapter:
        folder = replace(folder, adapter=replace(folder.adapter, path=fetched(source.sent_adapter)))
    if POOL_FOLDER in os.environ:
        return machine_engine(EngineRequest(folder, source.vllm, source.context_tokens))
    return engine_for(folder, source.vllm, source.context_tokens)
