"""A small project for benches of whole runs, the processes around them, and what a release holds.

Everything is a process of its own, as where a team works: the run, its language model, an object store (moto), a job
server (Prism) and a pool of workers.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
from starlette.requests import Request
from starlette.responses import Response

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench.fake_llm import FakeLlm
from warehouse.releases.release import current

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 900.0  # seconds
CHECKPOINT_ANSWERS = IN_FLIGHT = 4
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "an-access-key",
    "AWS_SECRET_ACCESS_KEY": "a-secret-access-key",
    "AWS_DEFAULT_REGION": "us-east-1",
}
# What a release holds, without what each build has anew; similarities are rounded, since their last digits differ.
CONTENT = {
    "documents": "SELECT collection, document_id, title, content_hash FROM documents",
    "chunks": "SELECT collection, chunk_id, document_id, position, heading, text FROM chunks",
    "questions": "SELECT collection, query_key, question, origin, weight FROM questions",
    "retrievals": "SELECT query_key, rank, chunk_id, round(score, 3), round(dense_score, 3), in_prompt FROM retrievals",
    "coverage": "SELECT query_key, round(score, 3) FROM coverage",
    "answers": "SELECT query_key, fingerprint, answer, status, round(support, 3) FROM answers",
    "citations": "SELECT query_key, number, chunk_id, kind FROM citations",
    "rejects": "SELECT stage, collection, item FROM rejects",
}
_PLACES = ("library", "pool", "museum", "theatre", "market", "harbour", "station", "garden", "archive", "school")
# What is said of a place, and what is asked about it.
_FACTS = {
    "opens at {} o'clock on weekdays": "At what hour does the {} open on weekdays?",
    "charges {} euros for a visit": "How many euros does the {} charge for a visit?",
    "has room for {} visitors at once": "For how many visitors at once has the {} room?",
}


def write_project(folder: Path, url: str, documents: int) -> None:
    """Write a project's documents, questions and configuration; `url` is the language model's."""
    (folder / "documents").mkdir(parents=True)
    questions = []
    for number in range(documents):
        place = f"{_PLACES[number % len(_PLACES)]} of district {number}"
        facts = [each.format(number * 7 % 90 + 5 + place_of) for place_of, each in enumerate(_FACTS)]
        body = "\n\n".join(f"## Rule {n}\n\nThe {place} {fact}." for n, fact in enumerate(facts, start=1))
        (folder / "documents" / f"place-{number:04}.md").write_text(f"# The {place}\n\n{body}\n")
        questions += [asked.format(place) for asked in _FACTS.values()]
    (folder / "questions.txt").write_text("\n".join(questions) + "\n")
    (folder / "prompt.txt").write_text("[user]\n{passages}\n\nQuestion: {question}\n\nAnswer from the passages:\n")
    (folder / "beforehand.toml").write_text(
        f"""
[project]
models = {json.dumps(str(ROOT / "models"))}
[llm]
model = "fake-model"
[collections.default]
documents = ["documents"]
questions = ["questions.txt"]
[prompt]
template = "prompt.txt"
[retrieval]
passage_tokens = 0
[audit]
most_alike = 1.0
[batch]
generate_with = "endpoints"
endpoints = ["{url}/v1"]
checkpoint_answers = {CHECKPOINT_ANSWERS}
in_flight = {IN_FLIGHT}
"""
    )


Content = dict[str, list[tuple[object, ...]]]
"""The rows of a release by table."""


@dataclass
class CountingLlm(FakeLlm):
    """The fake model; it counts what it was asked."""

    asked: int = 0

    async def _complete(self, request: Request) -> Response:
        self.asked += 1
        return await super()._complete(request)


@dataclass
class Run:
    """A run as a process; `said` is its output once it has ended."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait(self) -> int:
        """Wait for the end and return the exit code; a run that hangs is killed."""
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Kill it."""
        self.process.send_signal(number)

    @property
    def said(self) -> str:
        """What it has written so far."""
        return self.log.read_text(errors="replace")


@dataclass
class Desk:
    """A project and how its runs are started: settings by name, and the machine that starts them.

    With a store, machines share nothing else: each has a cache of its own.
    """

    folder: Path
    sets: dict[str, str] = field(default_factory=dict)
    machine: str = "cache"
    started: int = 0

    def start(self, *command: str) -> Run:
        """Start a command of the project, `run` by default."""
        self.started += 1
        log = self.folder / f"run-{self.started}.log"
        flags = [part for key, value in self.sets.items() for part in ("--set", f"{key}={value}")]
        arguments = [sys.executable, "-m", "beforehand", *flags, *(command or ("run",))]
        with log.open("wb") as output:
            process = subprocess.Popen(
                arguments,
                cwd=self.folder,
                env=self._environment(),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return Run(process, log)

    def finish(self) -> float:
        """Run to the end and return the seconds; raise with what was said if it failed."""
        began = time.monotonic()
        run = self.start()
        if code := run.wait():
            raise RuntimeError(f"exit code {code}: {run.said}")
        return time.monotonic() - began

    def content(self) -> Content:
        """Return the tables of the current release."""
        [pointer] = [each for each in self.data_folders() if (each / "releases" / "CURRENT").exists()]
        with duckdb.connect(str(current(pointer).database), read_only=True) as connection:
            return {name: sorted(connection.execute(sql).fetchall(), key=str) for name, sql in CONTENT.items()}

    def data_folders(self) -> list[Path]:
        """Return the folders that may hold the project's data: its own, and copies of a store."""
        cache = self.folder / self.machine / "beforehand"
        return [self.folder / "data", *(cache.iterdir() if cache.is_dir() else ())]

    def _environment(self) -> dict[str, str]:
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        own = {"PYTHONPATH": paths, "XDG_CACHE_HOME": str(self.folder / self.machine), "PYTHONUNBUFFERED": "1"}
        return {**os.environ, **CREDENTIALS, **own}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    command: list[str], port: int, variables: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; the block begins when its port answers."""
    environment = {**os.environ, **CREDENTIALS, **(variables or {})}
    server = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_for(lambda: _listens(port), server)
        yield server
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def workers_of(process: int) -> list[int]:
    """Return the worker processes of a process's pool, the newest last."""
    found = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in found.splitlines()[1:]]
    parents = {row[0]: row[1] for row in rows}
    servers = {row[0] for row in rows if "multiprocessing.forkserver" in row[2]}
    return sorted(int(row[0]) for row in rows if row[1] in servers and str(process) in _ancestors(row[0], parents))


def _ancestors(process: str, parents: Mapping[str, str]) -> Iterator[str]:
    while process in parents:
        process = parents[process]
        yield process


def differing(found: Content, expected: Content) -> dict[str, int]:
    """Return how many rows differ, for the tables that do."""
    return {name: len(set(rows) ^ set(expected[name])) for name, rows in found.items() if rows != expected[name]}


@contextmanager
def bucket() -> Iterator[str]:
    """Serve an S3-compatible store with the bucket `team` until the block ends; yield its address."""
    port = free_port()
    with running([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port):
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: _has_bucket(url))  # a server that is starting may reset the first connection
        yield url


def wait_for(
    moment: Callable[[], bool], process: subprocess.Popen[bytes] | None = None, seconds: float = 120.0
) -> bool:
    """Wait until a moment has come, the process has ended or the time is over; return whether the moment has come."""
    deadline = time.monotonic() + seconds
    while not moment():
        if time.monotonic() > deadline or (process is not None and process.poll() is not None):
            return moment()
        time.sleep(0.05)
    return True


def _has_bucket(url: str) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{url}/team", method="PUT")):
            return True
    except OSError:
        return False


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
