"""Commands, and the processes they start, work in a folder whose files bear the names of our packages.

The wheel installs packages with everyday names; a user's own `batch.py` or `flows/` must never be taken for ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
import yaml

from tests.corpus_project import ROOT, Project, ReadingLlm
from tests.waiting import until
from warehouse.releases.release import current, current_id

OWN_FILES = (
    "batch.py", "flows/__init__.py", "online.py", "warehouse/__init__.py", "rag.py", "configuration.py", "prefect.py",
)  # fmt: skip
SCRIPT = [str(Path(sys.executable).with_name("beforehand"))]
MODULE = [sys.executable, "-P", "-m", "beforehand"]
DEPLOYMENTS = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
# Loads flows as Prefect's worker does, and runs nothing.
LOAD = """
import sys
from prefect.flows import load_flow_from_entrypoint
for entrypoint in sys.argv[1:]:
    print(load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False).name)
"""
PATIENCE = 240.0  # seconds; only a broken test waits so long


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory,
    reading_llm: ReadingLlm,
    encoder_folder: Path,  # noqa: ARG001
) -> Project:
    """A project beside a user's own modules, each of which ends the process that imports it."""
    project = Project.create(tmp_path_factory.mktemp("own") / "project", reading_llm.url)
    for name in OWN_FILES:
        path = project.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("raise SystemExit('imported the user\\'s own ' + __file__)\n", encoding="utf-8")
    return project


@pytest.fixture(scope="module")
def released(project: Project, prefect_api: str) -> Project:
    """The project with a release, built by `beforehand schedule` when its window came."""
    with started(project, *SCRIPT, "schedule") as schedule, httpx.Client(base_url=prefect_api, timeout=120) as prefect:
        window = eventually(schedule, lambda: prefect.get("/deployments/name/scheduled_build/window"))
        now = {"state": {"type": "SCHEDULED"}, "idempotency_key": "now"}  # a busy server may have to be asked again
        run = eventually(schedule, lambda: prefect.post(f"/deployments/{window['id']}/create_flow_run", json=now))
        over = {"COMPLETED", "FAILED", "CRASHED"}
        ended = eventually(
            schedule, lambda: prefect.get(f"/flow_runs/{run['id']}"), lambda row: row["state_type"] in over
        )
    assert ended["state_type"] == "COMPLETED", ended["state"]
    return project


@pytest.fixture(scope="module")
def prefect(prefect_api: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=prefect_api, timeout=120) as client:
        yield client


def newest(prefect: httpx.Client, kind: str, **wanted: object) -> list[dict[str, Any]]:
    """Return rows of Prefect's API, the newest first."""
    found = prefect.post(f"/{kind}/filter", json=wanted).raise_for_status().json()
    return sorted(found, key=lambda row: str(row["created"]), reverse=True)


def said(project: Project, *command: str) -> str:
    """Run a command in the project's folder, which must succeed, and return what it printed."""
    result = subprocess.run(command, cwd=project.folder, env=environment(), capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def environment() -> dict[str, str]:
    """Return the environment of a user who has set up nothing about paths."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    return kept | {"PREFECT_RUNNER_POLL_FREQUENCY": "2"}


@contextlib.contextmanager
def started(project: Project, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in the project's folder beside the test."""
    log = project.folder / "command.log"
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=project.folder, env=environment(), stdout=output, stderr=output)
    try:
        yield process
        assert process.poll() is None, log.read_text()
    finally:
        process.terminate()
        process.wait(60)


def eventually(
    process: subprocess.Popen[bytes],
    ask: Callable[[], httpx.Response],
    enough: Callable[[dict[str, Any]], bool] = lambda _: True,
) -> dict[str, Any]:
    """Ask until the answer is a good one that is enough, and return it; give up when the process has ended."""

    def look() -> dict[str, Any]:
        with contextlib.suppress(httpx.TransportError):
            response = ask()
            if response.is_success and enough(found := response.json()):
                return dict(found)
        return {}

    return until("there is a good answer", look, process=process, patience=PATIENCE, pause=0.2)


@pytest.mark.parametrize("command", [SCRIPT, MODULE], ids=["script", "module"])
def test_a_command_starts(command: list[str], project: Project) -> None:
    assert "Usage: beforehand" in said(project, *command, "--help")
    assert "all-minilm-l6-v2" in said(project, *command, "models", "list")


def test_prefects_own_worker_loads_our_flows(project: Project) -> None:
    workers = [each["work_pool"]["job_variables"]["env"] for each in DEPLOYMENTS]
    entrypoints = [each["entrypoint"] for each in DEPLOYMENTS]
    assert all(each == workers[0] for each in workers)
    command = ["env", *(f"{name}={value}" for name, value in workers[0].items()), sys.executable, "-c", LOAD]

    names = said(project, *command, *entrypoints)

    assert names.split() == [each.rsplit(".", 1)[1] for each in entrypoints]


def test_the_schedule_builds_a_release(released: Project) -> None:
    assert current_id(released.data) is not None
    assert json.loads(said(released, *SCRIPT, "sql", "--format", "json", "SELECT count(*) AS n FROM answers")) == [
        {"n": len(released.questions)}
    ]


def test_a_scheduled_build_is_one_tree_in_prefect_with_tags_artifacts_and_a_way_back(
    released: Project, prefect: httpx.Client
) -> None:
    release = current(released.data)
    inner = prefect.get(f"/flow_runs/{release.manifest['flow_run']['id']}").raise_for_status().json()  # type: ignore[typeddict-item]
    step = prefect.get(f"/task_runs/{inner['parent_task_run_id']}").raise_for_status().json()
    outer = prefect.get(f"/flow_runs/{step['flow_run_id']}").raise_for_status().json()

    assert (inner["state_type"], outer["state_type"]) == ("COMPLETED", "COMPLETED")
    expected = {f"release:{release.release_id}", "trigger:api"}
    assert set(inner["tags"]) == expected | {"collection:default"}
    assert set(outer["tags"]) == expected | {"beforehand"}
    run = {"flow_runs": {"id": {"any_": [inner["id"]]}}}
    artifacts = {each["key"]: each for each in newest(prefect, "artifacts", **run)}
    assert {"audit", "changes", "cost", "build-release", "release"} <= set(artifacts)
    assert "checks passed" in artifacts["audit"]["data"]
    assert f"| {len(released.questions)} | new |" in artifacts["changes"]["data"]
    assert release.release_id in artifacts["release"]["data"]


def test_a_build_spreads_over_worker_processes(released: Project) -> None:
    workers = ("--set", "batch.runner=multi_processing", "--set", 'batch.runner_options=["--direct_num_workers=2"]')
    [chunks] = (released.data / "runs").glob("*/prepare/chunks")
    before = written(chunks)
    shutil.rmtree(chunks)

    said(released, *SCRIPT, *workers, "run", "--stage", "prepare")

    assert written(chunks) == before != []


def written(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a table, in an order that does not depend on who wrote them."""
    rows = pq.read_table(folder).to_pylist()
    return sorted(rows, key=lambda row: str(row["chunk_id"]))


def test_a_service_of_several_processes_answers(released: Project) -> None:
    log = released.folder / "command.log"
    with started(released, *SCRIPT, "--set", "service.workers=2", "serve", "--port", "0") as service:
        found = until("it listens", lambda: re.search(r"http://127[.\d]+:\d+", log.read_text()), process=service)
        url = found[0]
        eventually(service, lambda: httpx.get(f"{url}/readyz", timeout=60))

        assert "exact" in said(released, *SCRIPT, "ask", "--url", url, released.questions[0])
