"""SIGKILL of a real run at each stage's edge, in the middle of generating and of publishing, and at random.

Whatever happens: the current release is whole, at most the batch in flight is generated again, and the next run
cleans up.
"""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.corpus_project import ROOT, Project, ReadingLlm
from tests.fake_llm import served
from tests.waiting import until
from warehouse.history.run_log import logged_runs
from warehouse.releases.release import current, current_id, verify

EDGES = ("prepare", "generate", "cite", "load")
ANEW = ("--set", "sampling.max_tokens=99")  # all answers are to be generated again
BATCH = 2
PATIENCE = 120.0  # seconds; only a broken test waits so long


@dataclass
class Run:
    """A run that was started: its process, what it says, and how it ends."""

    process: int
    log: Path
    ended: int  # the descriptor from which its exit code is read

    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def wait(self) -> int:
        """Wait for its end and return the exit code; negative for a signal."""
        with os.fdopen(self.ended) as ended:
            return int(ended.readline())

    def kill_when(self, moment: Callable[[], bool]) -> int:
        """Kill it as soon as a moment has come, and return the exit code."""
        until("the moment has come", lambda: moment() or not _runs(self.process), patience=PATIENCE)
        if _runs(self.process):
            os.kill(self.process, signal.SIGKILL)
        return self.wait()


def _runs(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


class Runs:
    """Starts runs of a project as processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started = 0
        self._forks = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("run_forks.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert self._said() == "ready\n"

    def start(self, project: Project, *arguments: str, die_at: int | None = None) -> Run:
        self.started += 1
        log, ended = (self.folder / f"run-{self.started}.{end}" for end in ("log", "ended"))
        os.mkfifo(ended)
        reading = os.open(ended, os.O_RDWR)  # so that nobody has to wait for the other to open it
        command = ["--config", str(project.folder / "beforehand.toml"), *arguments, "run"]
        job = {"arguments": command, "log": str(log), "ended": str(ended), "die_at": die_at}
        assert self._forks.stdin is not None
        self._forks.stdin.write(json.dumps(job) + "\n")
        self._forks.stdin.flush()
        return Run(int(self._said()), log, reading)

    def finish(self, project: Project, *arguments: str) -> str:
        """Run to the end, which must be a good one, and return what was said."""
        run = self.start(project, *arguments)
        assert run.wait() == 0, run.said()
        return run.said()

    def close(self) -> None:
        with self._forks:  # closes its input, which ends it
            pass

    def _said(self) -> str:
        assert self._forks.stdout is not None
        return self._forks.stdout.readline()


class StopAfter:
    """A gate that lets so many answers through and then holds all others until it is opened."""

    def __init__(self, answers: int) -> None:
        self.left = answers
        self.reached = threading.Event()
        self.opened = threading.Event()
        self._lock = threading.Lock()

    def wait(self, _timeout: float) -> bool:
        with self._lock:
            self.left -= 1
            if self.left >= 0:
                return True
            self.reached.set()
        return self.opened.wait(PATIENCE)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, prefect_api: str) -> Iterator[Runs]:  # noqa: ARG001
    started = Runs(tmp_path_factory.mktemp("logs"))
    yield started
    started.close()


@pytest.fixture
def llm() -> Iterator[ReadingLlm]:
    model = ReadingLlm()
    with served(model.app) as model.url:
        yield model


@pytest.fixture
def project(tmp_path: Path, llm: ReadingLlm, encoder_folder: Path) -> Project:  # noqa: ARG001
    return Project.create(tmp_path / "project", llm.url)


@pytest.fixture
def released(base_project: Project, tmp_path: Path, llm: ReadingLlm) -> Project:
    """A project with a release, and a model of its own."""
    project = base_project.copy(tmp_path / "project")
    project.endpoint = llm.url
    project.write_configuration()
    return project


def checkpointed(project: Project) -> int:
    """Count the answers that are known."""
    from batch.stores.generation_store import count_generations

    return count_generations(str(project.data / "answers"))


def leftovers(project: Project) -> list[str]:
    """Find what no finished run may leave behind."""
    data = project.data
    found = [*(data / "releases").glob(".building-*"), *(data / "releases").glob(".*.tmp")]
    found += [path for store in ("answers", "embeddings") for path in (data / store).rglob(".*")]
    return [str(path.relative_to(data)) for path in found]


def change_a_document(project: Project, words: str) -> None:
    codes = project.folder / "documents" / "error_codes.csv"
    codes.write_text(codes.read_text() + f'error-{words},Error {words},"Code {words} means that {words} failed."\n')


def check_whole(project: Project, allowed: set[str | None]) -> None:
    assert current_id(project.data) in allowed
    if current_id(project.data) is not None:
        verify(current(project.data))


def test_a_run_killed_at_any_stage_s_edge_leaves_the_release_and_loses_no_answer(
    runs: Runs, released: Project, llm: ReadingLlm
) -> None:
    project = released
    release = current_id(project.data)
    for edge in EDGES:
        run = runs.start(project, *ANEW)
        code = run.kill_when(lambda run=run, edge=edge: f"\n{edge} " in f"\n{run.said()}")  # type: ignore[misc]
        assert code == -signal.SIGKILL, run.said()
        check_whole(project, {release})

    said = runs.finish(project, *ANEW)

    assert len(llm.requests) == len(project.questions), "each answer was generated once"
    assert f"{len(project.questions)} reused" in said
    assert current_id(project.data) != release
    check_whole(project, {current_id(project.data)})
    assert leftovers(project) == []
    assert len(list((project.data / "runs").iterdir())) == len(EDGES) + 2


def test_a_run_killed_while_it_generates_repeats_the_batch_in_flight_at_most(
    runs: Runs, project: Project, llm: ReadingLlm
) -> None:
    for answers in (1, 5):
        llm.requests.clear()
        before = checkpointed(project)
        gate = llm.behaviour.gate = StopAfter(answers)  # type: ignore[assignment]
        run = runs.start(project)
        assert run.kill_when(gate.reached.is_set) == -signal.SIGKILL
        gate.opened.set()
        # a checkpoint was being written, perhaps, and the other answers on their way
        assert checkpointed(project) - before >= answers - 2 * BATCH + 1
        check_whole(project, {None})
    known = checkpointed(project)
    assert known >= BATCH
    llm.behaviour.gate = None
    llm.requests.clear()

    runs.finish(project)

    assert len(llm.requests) == len(project.questions) - known
    assert project.query("SELECT count(*) FROM answers WHERE status = 'served'") == [(len(project.questions),)]
    check_whole(project, {current_id(project.data)})
    assert leftovers(project) == []
    assert [run["status"] for run in logged_runs(project.data)] == ["killed", "killed", "published"]


def test_a_run_that_is_cancelled_in_prefect_ends_everywhere(
    runs: Runs, released: Project, llm: ReadingLlm, prefect_api: str
) -> None:
    project = released
    gate = llm.behaviour.gate = StopAfter(1)  # type: ignore[assignment]
    run = runs.start(project, *ANEW)
    assert gate.reached.wait(PATIENCE)
    [note] = (project.data / "open_runs").iterdir()
    with httpx.Client(base_url=prefect_api, timeout=120) as prefect:
        flow_run = f"/flow_runs/{json.loads(note.read_text())['flow_runs'][0]}"
        prefect.post(f"{flow_run}/set_state", json={"state": {"type": "CANCELLING"}}).raise_for_status()

        code = run.wait()

        assert prefect.get(flow_run).json()["state_type"] == "CANCELLED"
    gate.opened.set()
    assert code in (2, 128 + signal.SIGTERM), run.said()
    assert "beforehand: " in run.said()
    assert "Traceback" not in run.said()
    assert [row["status"] for row in logged_runs(project.data)] == ["published", "cancelled"]
    assert [*leftovers(project), *(project.data / "open_runs").iterdir()] == []


def test_a_run_killed_while_it_publishes_leaves_the_old_release_or_the_new(runs: Runs, released: Project) -> None:
    project = released
    operations = count_operations(runs, project)
    assert operations > 40
    outcomes = set()
    points = [random.Random(5).randrange(1, operations - 20), operations - 1]
    for number, point in enumerate(points):
        before = current_id(project.data)
        change_a_document(project, f"X{number}")
        run = runs.start(project, die_at=point)
        assert run.wait() == -signal.SIGKILL, run.said()
        verify(current(project.data))
        outcomes.add(current_id(project.data) == before)

    runs.finish(project)

    assert outcomes == {True, False}, "some died before the pointer was moved, some after"
    check_whole(project, {current_id(project.data)})
    assert leftovers(project) == []


def count_operations(runs: Runs, project: Project) -> int:
    """Return how many file operations publishing takes."""
    run = runs.start(project, die_at=0)
    assert run.wait() == 0, run.said()
    return int(run.said().rsplit("operations: ", 1)[1])


def test_runs_killed_at_random_never_harm_the_current_release(runs: Runs, released: Project) -> None:
    project = released
    dice = random.Random(11)
    for number in range(3):
        before = current_id(project.data)
        change_a_document(project, f"R{number}")
        run = runs.start(project)
        stop = time.monotonic() + dice.uniform(0.1, 5.0)
        run.kill_when(lambda stop=stop: time.monotonic() > stop)  # type: ignore[misc]
        if current_id(project.data) != before:
            before = current_id(project.data)
        check_whole(project, {before})

    runs.finish(project)

    check_whole(project, {current_id(project.data)})
    assert leftovers(project) == []


def test_a_second_run_at_once_refuses_and_the_first_goes_on(runs: Runs, released: Project, llm: ReadingLlm) -> None:
    project = released
    gate = llm.behaviour.gate = StopAfter(1)  # type: ignore[assignment]
    first = runs.start(project, *ANEW)
    assert gate.reached.wait(PATIENCE)

    second = runs.start(project)

    assert second.wait() == 2
    assert second.said().startswith("beforehand: A build is in progress: run ")
    assert len(second.said().splitlines()) == 1
    gate.opened.set()
    assert first.wait() == 0, first.said()
    assert len(llm.requests) == len(project.questions)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a tmpfs of 200 MB, where that is permitted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run([mount, "-t", "tmpfs", "-o", "size=300m", "tmpfs", folder], check=False).returncode
    ):
        pytest.skip("mounting a tmpfs is not permitted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(folder: Path, but: int) -> None:
    """Fill a disk but for so many bytes."""
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 2**16)
        except OSError as error:
            assert error.errno == errno.ENOSPC
        file.truncate(max(0, file.tell() - but))


def test_a_full_disk_is_said_in_one_sentence_and_harms_nothing(runs: Runs, released: Project, small_disk: Path) -> None:
    data = small_disk / "data"
    there = ("--set", f"project.data={data}")
    shutil.copytree(released.data, data)
    release = current_id(data)
    change_a_document(released, "F")
    for room in (20_000, 1_500_000):  # it fills while documents are read, and while the warehouse is loaded
        fill(small_disk, but=room)

        run = runs.start(released, *there)

        assert run.wait() == 2, run.said()
        complaint = [line for line in run.said().splitlines() if line.startswith("beforehand: ")]
        assert len(complaint) == 1
        assert "is full; free some space and start again" in complaint[0]
        assert "Traceback" not in run.said()
        assert current_id(data) == release
        verify(current(data))
        (small_disk / "filler").unlink()
    runs.finish(released, *there)
    assert current_id(data) != release


def test_the_prefect_server_dies_with_a_killed_run(project: Project) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    command = [sys.executable, "-m", "beforehand", "--config", str(project.folder / "beforehand.toml"), "run"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        server, *_ = until("the server is started", lambda: children.read_text().split(), process=process)
        process.kill()
    until("the server has ended too", lambda: not _runs(int(server)))
