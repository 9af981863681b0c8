"""The main job with the real vLLM and real processes: build, serve, hit, miss, and nothing left running."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from batch.models.pull import pull
from tests.corpus_project import ROOT
from tests.ports import held_port
from tests.waiting import until
from warehouse.releases.release import current, verify

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(1200)]

PATIENCE = 600.0
QUESTIONS = ("How much water goes into the tank?", "What does error E4 mean?", "How long does the warranty last?")
NEW = "Which colour has the tape on the water tank?"


@pytest.fixture
def project(tmp_path: Path, models_folder: Path) -> Path:
    """A project whose audit does not mind that a small model's short answers are poor."""
    for model in ("all-minilm-l6-v2", "smollm2-135m-instruct"):
        pull(model, models_folder)
    (tmp_path / "questions.txt").write_text("\n".join(QUESTIONS) + "\n")
    path = tmp_path / "beforehand.toml"
    path.write_text(
        f"""
[project]
data = "data"
models = {json.dumps(str(models_folder))}
[llm]
context_tokens = 2048
[sampling]
max_tokens = 24
[vllm]
kv_cache_gb = 1
[collections.default]
documents = [{json.dumps(str(ROOT / "tests" / "corpus"))}]
questions = ["questions.txt"]
[audit]
withhold_truncated = false
least_support = 0
refusals = []
most_truncated = 1
most_unsupported = 1
"""
    )
    return path


def command(project: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "beforehand", "--config", str(project), *arguments]


@contextlib.contextmanager
def started(project: Path, log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command beside the test in a session of its own, and stop it as a person would."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(project, *arguments), cwd=ROOT, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def members(project: Path) -> list[str]:
    """Find the processes that name this project or its models' server in their command line."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found += [line] if str(project.parent) in line else []
    return found


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    def answers() -> bool:
        try:
            return httpx.get(url, timeout=PATIENCE).is_success
        except httpx.HTTPError:
            return False

    try:
        until(f"{url} answers", answers, process=process, patience=PATIENCE)
    except AssertionError as error:
        pytest.fail(f"{error}:\n{log.read_text()[-2000:]}")


def ask(url: str, question: str) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.post(f"{url}/v1/answers", json={"question": question}, timeout=120).json()
    return answer


@pytest.fixture
def ports() -> Iterator[tuple[int, int]]:
    """Ports for the language model and for the service."""
    with held_port() as one, held_port() as other:
        yield one, other


def test_from_documents_to_answers(project: Path, ports: tuple[int, int], tmp_path: Path) -> None:
    built = subprocess.run(command(project, "run"), cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    release = current(tmp_path / "data")
    verify(release)
    with duckdb.connect(str(release.database), read_only=True) as session:
        answers = session.execute(
            "SELECT q.question, a.answer, a.finish_reason, a.completion_tokens FROM answers a JOIN questions q "
            "USING (query_key)"
        ).fetchall()
        unresolved = session.execute("SELECT count(*) FROM citations ANTI JOIN chunks USING (chunk_id)").fetchone()
    assert {row[0] for row in answers} == set(QUESTIONS)
    assert all(row[1].strip() and row[2] in ("stop", "length") and 0 < row[3] <= 24 for row in answers)
    assert unresolved == (0,)
    assert members(project) == []

    model, service = ports
    url = f"http://127.0.0.1:{service}"
    flags = ("--set", f"llm.endpoint=http://127.0.0.1:{model}/v1")
    logs = (tmp_path / "llm.log", tmp_path / "serve.log")
    with (
        started(project, logs[0], "llm", "--port", str(model)) as llm,
        started(project, logs[1], *flags, "serve", "--port", str(service)) as serving,
    ):
        wait_for(f"{url}/readyz", serving, logs[1])
        hit = ask(url, "  WHAT does   error e4 MEAN")
        assert hit["source"] == "exact"
        assert hit["answer"] == {row[0]: row[1] for row in answers}["What does error E4 mean?"]
        assert hit["release"] == release.release_id
        assert hit["citations"][0]["passage"]
        wait_for(f"http://127.0.0.1:{model}/health", llm, logs[0])
        miss = ask(url, NEW)
        assert miss["source"] == "live", miss
        assert miss["answer"].strip()
        said = subprocess.run(
            command(project, "ask", "--url", url, QUESTIONS[0]), cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert said.returncode == 0, said.stderr
        assert {row[0]: row[1] for row in answers}[QUESTIONS[0]][:20] in said.stdout
    assert members(project) == []
