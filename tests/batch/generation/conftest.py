"""A plan with prompts, for generation elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from batch.plan import RunPlan
from batch.rows import PromptRow
from batch.stages.generate import prompts_folder
from batch.stores.parquet import rows_to_table, write_table
from tests.corpus_project import Project
from tests.fake_batches import FakeBatches
from tests.fake_llm import served


@pytest.fixture(scope="module")
def batch_server() -> Iterator[FakeBatches]:
    server = FakeBatches()
    with served(server.app) as server.url:
        yield server


@pytest.fixture
def batches(batch_server: FakeBatches) -> FakeBatches:
    """A server with a Batch API, without any batch."""
    url = batch_server.url
    fresh = FakeBatches()
    batch_server.__dict__.update({**fresh.__dict__, "app": batch_server.app, "url": url})
    return batch_server


@pytest.fixture
def plan_of(tmp_path: Path, encoder_folder: Path) -> Callable[..., RunPlan]:  # noqa: ARG001
    """Make a plan in the test's folder: `count` prompts, generated in a way, on a server."""
    project = Project.create(tmp_path / "project", "http://127.0.0.1:9")

    def plan(count: int, how: str, url: str = "http://127.0.0.1:9", run_id: str = "run-1", **sets: str) -> RunPlan:
        project.endpoint = url
        project.write_configuration()
        project.sets = {"batch.generate_with": how, "batch.poll_seconds": "0.01"}
        project.sets |= {f"batch.{name}": value for name, value in sets.items()}
        made = project.plan(run_id)
        write_table(f"{prompts_folder(made)}/prompts.parquet", rows_to_table(prompts(count), PromptRow))
        return made

    return plan


def prompts(count: int) -> list[PromptRow]:
    return [
        {
            "collection": "default",
            "query_key": f"key{number}",
            "question": f"question {number}",
            "fingerprint": f"{number:04}",
            "passages_hash": "",
            "messages": json.dumps([{"role": "user", "content": f"question {number}"}]),
            "chunk_ids": [],
            "shown_ids": [],
            "filters": {},
        }
        for number in range(count)
    ]
