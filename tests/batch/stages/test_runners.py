"""All runners write the same rows; with a store, workers need no folder in common with the client."""

from __future__ import annotations

import lzma
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from batch.plan import RunPlan
from batch.sharing import for_workers
from batch.stages.anticipate import anticipate
from batch.stages.cite import cite
from batch.stages.generate import generate
from batch.stages.index import index
from batch.stages.prepare import prepare
from batch.stages.retrieve import retrieve
from batch.stores.parquet import read_table
from tests.corpus_project import ROOT, Project, ReadingLlm
from tests.object_store import CREDENTIALS, Machines
from tests.ports import held_port
from tests.waiting import until
from warehouse.objects.mirror import open_mirror
from warehouse.tables import ANSWERS, CHUNKS, CITATIONS, DOCUMENTS, QUESTIONS, REJECTS, RETRIEVALS

PRISM = ROOT.parent / "shared" / "tools" / "prism.xz"
TABLES = {
    ("prepare", "documents"): (DOCUMENTS, {"read_at", "changed_at"}),
    ("prepare", "chunks"): (CHUNKS, set[str]()),
    ("prepare", "rejects"): (REJECTS, {"run_id"}),
    ("anticipate", "questions"): (QUESTIONS, set[str]()),
    ("retrieve", "retrievals"): (RETRIEVALS, set[str]()),
    ("cite", "answers"): (ANSWERS, {"run_id", "generated_at", "generation_seconds", "seconds", "cached_tokens"}),
    ("cite", "citations"): (CITATIONS, set[str]()),
}


def carried_out(plan: RunPlan) -> dict[tuple[str, str], list[str]]:
    """Carry out the stages, and return their rows, sorted, without times and with similarities rounded."""
    for stage in (prepare, index, anticipate, retrieve, generate, cite):
        stage(plan)
    return {
        (stage, table): sorted(
            str({name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()})
            for row in read_table(f"{plan.folder(stage)}/{table}", schema)
            .drop_columns(sorted(dropped & set(schema.names)))
            .to_pylist()
        )
        for (stage, table), (schema, dropped) in TABLES.items()
    }


@pytest.fixture(scope="module")
def expected(
    tmp_path_factory: pytest.TempPathFactory,
    reading_llm: ReadingLlm,
    encoder_folder: Path,  # noqa: ARG001
) -> dict[tuple[str, str], list[str]]:
    """What the embedded runner writes."""
    return carried_out(Project.create(tmp_path_factory.mktemp("runners") / "project", reading_llm.url).plan())


@contextmanager
def serving(command: list[str], port: int) -> Iterator[None]:
    """Run a server until the block ends; the block begins when its port answers."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(f"{command[0]} listens", lambda: is_listening(port), process=server)
        yield
    finally:
        server.terminate()
        server.wait()


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_several_processes_write_the_same_rows(
    expected: dict[tuple[str, str], list[str]], reading_llm: ReadingLlm, tmp_path: Path
) -> None:
    project = Project.create(tmp_path / "project", reading_llm.url)
    project.sets["batch.runner"] = "multi_processing"

    assert carried_out(project.plan()) == expected


@pytest.fixture
def ports() -> Iterator[tuple[int, int]]:
    """Ports for the runner and for its workers."""
    with held_port() as one, held_port() as other:
        yield one, other


@pytest.mark.skipif(not PRISM.exists(), reason="Beam's runner Prism is not here")
def test_workers_that_share_a_store_alone_write_the_same_rows(
    expected: dict[tuple[str, str], list[str]],
    machines: Machines,
    reading_llm: ReadingLlm,
    ports: tuple[int, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prism = tmp_path / "prism"
    prism.write_bytes(lzma.decompress(PRISM.read_bytes()))
    prism.chmod(0o755)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    job, pool = ports
    project = Project.create(tmp_path / "project", reading_llm.url)
    open_mirror(project.data, machines.address, machines.server.url)
    project.sets["batch.runner"] = "portable"
    project.sets["batch.runner_options"] = (
        f'["--job_endpoint=localhost:{job}", "--environment_type=EXTERNAL", "--environment_config=localhost:{pool}"]'
    )
    server = [str(prism), "--job_port", str(job), "--serve_http=false", "--log_level", "error"]
    workers = [sys.executable, "-m", "beforehand", "workers", "--port", str(pool)]
    with serving(server, job), serving(workers, pool):
        plan = for_workers(project.plan())

        found = carried_out(plan)

    assert found == expected
    assert plan.shared is not None
    assert not any((project.data / "runs").rglob("*.parquet")), "the workers wrote to the store"
    here = replace(plan, shared=None)
    assert read_table(f"{here.folder('cite')}/answers", ANSWERS).num_rows == 0
