"""With a canary in every place that can hold a secret: a run, a run that fails, a service, and all that they leave."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from prefect.states import State

from beforehand.cli import cli
from beforehand.configuration import as_environment
from flows.recorded_settings import only_recorded
from flows.schedule import scheduled_build
from rag.credentials import SecretAddress, SecretOption
from tests.corpus_project import ROOT, Project, ReadingLlm
from tests.secret_places import CANARY, HASH, secret_places, traces
from tests.waiting import PATIENCE, until
from warehouse.errors import BuildInProgressError
from warehouse.history.run_log import logged_runs
from warehouse.lease import Lease

SECRETS = (CANARY, HASH)
KEY = CANARY  # its hash is HASH


def canaries(llm: str) -> dict[str, str]:
    """Return a setting with a canary for each place that can hold a secret; all of them can work."""
    address = f"{llm.replace('//', f'//user-{CANARY}:password-{CANARY}@')}/v1?signature={CANARY}"
    sets = {}
    for place in secret_places():
        if place.keys[-1] == "store":  # a run with one would need an object store
            continue
        if place.kind is SecretAddress:
            files = {"documents": "documents", "questions": "questions.txt"}
            entries = [files.get(place.keys[-1]), f"nothing-*.md?token={CANARY}"]
            url = place.keys[-1].endswith(("endpoint", "endpoints", "webhook"))
            value = address if url else json.dumps([each for each in entries if each])
            sets[str(place)] = json.dumps([address]) if place.keys[-1] == "endpoints" else value
        else:
            sets[str(place)] = json.dumps([place.secret]) if place.kind is SecretOption else place.secret
    return sets


@pytest.fixture
def project(tmp_path: Path, llm: ReadingLlm, prefect_api: str, encoder_folder: Path) -> Project:  # noqa: ARG001
    made = Project.create(tmp_path / "project", llm.url)
    made.sets = canaries(llm.url)
    return made


@pytest.fixture
def environment(project: Project) -> dict[str, str]:
    """The environment of a command that gets all canaries from it."""
    flags = tuple(f"{key}={value}" for key, value in {**project.sets, "service.workers": "2"}.items())
    return {**os.environ, "PYTHONPATH": str(ROOT), **as_environment(flags)}


def command_lines() -> list[str]:
    """Return the command lines of all processes but this one."""
    others = [each for each in Path("/proc").glob("[0-9]*/cmdline") if each.parent.name != str(os.getpid())]
    lines = []
    for each in others:
        try:
            lines.append(each.read_bytes().decode("utf-8", "replace"))
        except OSError:  # it has ended
            continue
    return lines


@contextmanager
def serving(project: Project, environment: dict[str, str]) -> Iterator[str]:
    log = project.folder / "service.log"
    with log.open("wb") as output:
        command = [sys.executable, "-P", "-m", "beforehand", "--config", str(project.folder / "beforehand.toml")]
        process = subprocess.Popen([*command, "serve", "--port", "0"], env=environment, stdout=output, stderr=output)
    try:
        found = until("it listens", lambda: re.search(r"http://127[.0-9]+:\d+", log.read_text()), process=process)
        until("it is ready", lambda: is_ready(found[0]), process=process)
        yield found[0]
    finally:
        process.terminate()
        process.wait(PATIENCE)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=PATIENCE).is_success
    except httpx.HTTPError:  # its workers start
        return False


def said_by_service(url: str) -> str:
    """Ask the service for everything that it tells, with and without a key; return all bodies and headers."""
    keys = {"authorization": f"Bearer {KEY}"}
    pages = ["/", "/metrics", "/openapi.json", "/healthz", "/readyz", "/v1/models", "/v1/questions", "/nowhere"]
    replies = [httpx.get(f"{url}{page}", headers=headers, timeout=PATIENCE) for page in pages for headers in (keys, {})]
    for question in ("How do I descale it?", "Who sells it in winter?"):
        body = {"question": question, "explain": True}
        replies.append(httpx.post(f"{url}/v1/answers", json=body, headers=keys, timeout=PATIENCE))
    replies.append(
        httpx.post(f"{url}/v1/answers", json={"question": 7, "key": KEY[:-1]}, headers=keys, timeout=PATIENCE)
    )
    return "\n".join(f"{each.headers} {each.text}" for each in replies)


def test_no_secret_is_found_in_what_a_run_a_service_and_their_errors_leave(
    project: Project, llm: ReadingLlm, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    run_id = project.build().run_id
    told += command_lines()
    sent = {str(each) for each in llm.headers}
    llm.behaviour.fail_with = 401
    llm.behaviour.error = {"message": f"wrong key {project.sets['llm.api_key']}", "type": "invalid"}
    project.sets["sampling.max_tokens"] = "77"  # all answers are to be generated again
    for name, value in as_environment(tuple(f"{key}={value}" for key, value in project.sets.items())).items():
        monkeypatch.setenv(name, value)
    failed: State[str] = scheduled_build(str(project.folder / "beforehand.toml"), return_state=True)
    told += [str(failed), str(failed.message), *command_lines()]
    with serving(project, environment) as url:
        told += [said_by_service(url), *command_lines()]  # live answers fail with the key in the reply
        llm.behaviour.fail_with = None
        told.append(said_by_service(url))
    for words in (
        f"report|--output|{project.folder / 'report.html'}",
        "sql|FROM runs",
        "sql|FROM rejects",
        "releases|list",
        "models|list",
    ):
        ended = CliRunner().invoke(cli, ["--config", str(project.folder / "beforehand.toml"), *words.split("|")])
        assert ended.exit_code == 0, ended.output
        told.append(ended.output)

    assert any("Authorization" in each or "authorization" in each for each in sent), "the model got its credentials"
    assert failed.is_failed()
    assert "check [llm] api_key" in str(failed.message)
    assert [each for each in told if any(secret in each for secret in SECRETS)] == []
    assert traces(project.folder, *SECRETS) == []
    home = Path(os.environ["PREFECT_HOME"])
    assert traces(home, *SECRETS) == []
    assert {"run_id": run_id, "config": str(project.folder / "beforehand.toml")} in recorded_parameters()
    assert f"prefect.db: {run_id}" in traces(home, run_id), "the search sees what is recorded"
    assert [each for each in traces(project.folder, run_id) if "warehouse.duckdb" in each]
    assert [run["status"] for run in logged_runs(project.data)] == ["published", "failed"]


def recorded_parameters() -> list[dict[str, object]]:
    """Return the parameters of all flow runs, from Prefect's database."""
    connection = sqlite3.connect(f"file:{os.environ['PREFECT_HOME']}/prefect.db?mode=ro", uri=True)
    try:
        return [json.loads(text) for (text,) in connection.execute("SELECT parameters FROM flow_run").fetchall()]
    finally:
        connection.close()


def test_a_secret_of_an_earlier_version_does_not_enter_the_next_release() -> None:
    before = {"batch": {"runner": "flink", "runner_options": [CANARY]}, "sampling": {"seed": 0}, "llm": {"key": CANARY}}

    assert json.loads(only_recorded(json.dumps(before))) == {"batch": {"runner": "flink"}, "sampling": {"seed": 0}}


def test_a_run_s_parameters_are_small_whatever_the_project_holds(project: Project) -> None:
    golden = [{"question": f"Question {each}?", "collection": "default", "expected": ["x"]} for each in range(5000)]
    (project.folder / "golden.jsonl").write_text("\n".join(map(json.dumps, golden)))
    project.sets["audit.golden"] = '["golden.jsonl"]'
    (project.data / "releases").mkdir(parents=True)
    lease = Lease.acquire(project.data / "releases" / ".lease", "another run")
    try:
        with pytest.raises(BuildInProgressError):  # the flow has begun
            project.build()
    finally:
        lease.release()

    assert all(set(each) <= {"run_id", "config", "data", "settings"} for each in recorded_parameters())
