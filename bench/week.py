"""A week of nights in fast motion, with real processes: a schedule with Prefect's server, its builds, and a service.

    python bench/week.py [--folder FOLDER]

Each night something else goes wrong: the build is killed, the disk is full, somebody cancels, the model is dead, the
schedule is killed with its build. On the last the corpus is built as it was edited meanwhile. Each morning the service
must answer from the right release, and Prefect's API, from which its page is made, must have the state in which each
flow run really ended. Prints one JSON line a night; exit code 1 if something is not as it should be. The full disk
needs the right to mount a tmpfs. Only the language model is a fake one.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.fake_llm import FakeLlm, served  # noqa: E402
from warehouse.history.run_log import logged_runs  # noqa: E402
from warehouse.releases.release import current_id  # noqa: E402

Found = TypeVar("Found")

_PATIENCE = 300.0  # seconds; only what is broken takes so long
_QUESTION = "When does the library open?"
_QUESTIONS = (_QUESTION, "How long may I keep a book?", "What does a lost card cost?")
_PAGES = {
    "hours": "The library opens at nine on {day}. It closes at five in the afternoon.",
    "loans": "A book may be kept for four weeks. A loan can be renewed twice at the desk.",
    "cards": "A lost card costs ten euros. A new one is made at the desk.",
}
_CONFIGURATION = """
[project]
data = "disk/data"
models = {models}
[llm]
model = "fake-model"
[collections.default]
documents = ["documents"]
questions = ["questions.txt"]
[prompt]
template = "prompt.txt"
[retrieval]
passage_tokens = 0
[batch]
generate_with = "endpoints"
endpoints = ["{llm}/v1"]
[schedule]
cron = "0 0 29 2 *"
port = {port}
[service]
port = 0
"""
_WINDOW = "/deployments/name/scheduled_build/window"
_ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass
class NightLlm(FakeLlm):
    """The language model; it sets `asked` when it is asked, and fails while it is dead."""

    dead: bool = False
    asked: threading.Event = field(default_factory=threading.Event)

    async def _complete(self, request: Request) -> Response:
        self.asked.set()
        return (
            JSONResponse({"error": {"message": "out of memory"}}, 500)
            if self.dead
            else await super()._complete(request)
        )


def until(moment: Callable[[], Found], what: str) -> Found:
    """Return what a moment yields, once that is true."""
    deadline = time.monotonic() + _PATIENCE
    while not (found := moment()):
        if time.monotonic() > deadline:
            raise SystemExit(f"waited in vain for {what}")
        time.sleep(0.2)
    return found


class Week:
    """The project and its processes."""

    def __init__(self, folder: Path, llm: NightLlm, url: str) -> None:
        self.folder, self.llm = folder, llm
        self.data = folder / "disk" / "data"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        self.prefect = httpx.Client(base_url=f"http://127.0.0.1:{port}/api", timeout=30)
        (folder / "documents").mkdir()
        (folder / "questions.txt").write_text("\n".join(_QUESTIONS))
        (folder / "prompt.txt").write_text("[user]\n{passages}\n\nQuestion: {question}\n")
        models = json.dumps(str(ROOT / "models"))
        (folder / "beforehand.toml").write_text(_CONFIGURATION.format(models=models, llm=url, port=port))
        self._schedule: subprocess.Popen[bytes] | None = None

    def edit(self, day: str) -> None:
        """Let a page say which day it is: one answer is to be generated anew, and tells its release."""
        for name, text in _PAGES.items():
            (self.folder / "documents" / f"{name}.md").write_text(f"# {name.title()}\n\n{text.format(day=day)}\n")

    def start(self, command: str) -> tuple[subprocess.Popen[bytes], Path]:
        """Start a command of ours; return its process and its log."""
        log = self.folder / f"{command}-{time.monotonic_ns()}.log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "beforehand", "--config", str(self.folder / "beforehand.toml"), command],
                env={**environment, "PYTHONPATH": str(ROOT), "PREFECT_RUNNER_POLL_FREQUENCY": "1"},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return process, log

    @contextlib.contextmanager
    def running(self, command: str, address: str) -> Iterator[str]:
        """Keep a command running during the block, and yield the address that it says."""
        process, log = self.start(command)
        try:
            until(lambda: re.search(address, log.read_text()) or process.poll() is not None, command)
            found = re.search(address, log.read_text())
            if found is None:
                raise SystemExit(f"{command} ended: {log.read_text()}")
            yield found[1]
        finally:
            process.terminate()
            process.wait(_PATIENCE)

    @contextlib.contextmanager
    def scheduled(self) -> Iterator[None]:
        """Keep a schedule during the block; another one may take its place meanwhile."""
        self.start_schedule()
        try:
            yield
        finally:
            assert self._schedule is not None
            self._schedule.terminate()
            self._schedule.wait(_PATIENCE)

    def start_schedule(self) -> None:
        """Start a schedule, and wait until it carries out runs."""
        self._schedule, log = self.start("schedule")
        until(lambda: "until Ctrl-C" in log.read_text() or self._ended(), "the schedule")
        until(lambda: self._has_deployments() or self._ended(), "its deployments")

    def _ended(self) -> bool:
        return self._schedule is not None and self._schedule.poll() is not None

    def kill_schedule(self) -> None:
        """Kill the schedule."""
        assert self._schedule is not None
        self._schedule.kill()
        self._schedule.wait()

    def _ask(self, path: str, body: object = None) -> Any:
        """Ask Prefect; its server says 503 while its database is busy, and is asked again."""
        how = "GET" if body is None else "POST"

        def answered() -> list[httpx.Response]:
            reply = self.prefect.request(how, path, json=body)
            return [reply] if reply.status_code < 500 else []

        return until(answered, path)[0].raise_for_status().json()

    def _has_deployments(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return self.prefect.get(_WINDOW).is_success
        return False

    def begin(self) -> str:
        """Ask Prefect for the build of a night; return the id of its flow run."""
        return str(self._ask(f"/deployments/{self._ask(_WINDOW)['id']}/create_flow_run", {})["id"])

    def cancel(self, night: str) -> None:
        """Cancel the build of a night, as Prefect's page does."""
        state = {"type": "CANCELLING", "name": "Cancelling"}
        self._ask(f"/flow_runs/{night}/set_state", {"state": state})

    def builds(self) -> list[int]:
        """Return the processes `beforehand run` of this project."""
        found = []
        for each in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                arguments = each.read_text().split("\0")
                if str(self.folder / "beforehand.toml") in arguments and "run" in arguments:
                    found.append(int(each.parent.name))
        return found

    def ended(self, night: str) -> list[dict[str, Any]]:
        """Return the flow run of a night and its child as Prefect has them, once the former has ended."""
        until(lambda: self._ask(f"/flow_runs/{night}")["state_type"] in _ENDED, f"the end of {night}")
        return self.runs(night)

    def runs(self, night: str) -> list[dict[str, Any]]:
        """Return the flow run of a night and its child."""
        steps = self._ask("/task_runs/filter", {"flow_runs": {"id": {"any_": [night]}}})
        wanted = {"flow_runs": {"parent_task_run_id": {"any_": [each["id"] for each in steps]}}}
        return [self._ask(f"/flow_runs/{night}"), *(self._ask("/flow_runs/filter", wanted) if steps else [])]

    def unended(self) -> list[str]:
        """Return the flow runs that Prefect takes for running, though nothing runs."""
        wanted = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}}}
        return [each["name"] for each in self._ask("/flow_runs/filter", wanted)]


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mount a disk of 400 MB on a folder; yield False where that is not permitted."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", folder], check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", folder], check=True)


@contextlib.contextmanager
def filled(disk: Path, but: int = 50_000) -> Iterator[None]:
    """Fill a disk but for some bytes during the block."""
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 2**16)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        file.truncate(max(0, file.tell() - but))
    try:
        yield
    finally:
        (disk / "filler").unlink()


# -- the nights --------------------------------------------------------------------------------------------


def ordinary(week: Week) -> str:
    """Nothing happens."""
    return week.begin()


def build_killed(week: Week) -> str:
    """The build's process is killed while it generates."""
    night = begun(week)
    for process in week.builds():
        os.kill(process, signal.SIGKILL)
    return night


def disk_full(week: Week) -> str:
    """The disk is full, that of Prefect's database as well; somebody makes room in the morning."""
    with filled(week.data.parent):
        night = week.begin()
        until(week.builds, "a build")
        until(lambda: not week.builds(), "its end")
    until(lambda: not week.unended(), "Prefect to write down how it ended")
    return night


def cancelled(week: Week) -> str:
    """Somebody cancels it in Prefect."""
    night = begun(week)
    week.cancel(night)
    return night


def model_dead(week: Week) -> str:
    """The language model fails."""
    week.llm.dead = True
    night = week.begin()
    week.ended(night)
    week.llm.dead = False
    return night


def schedule_killed(week: Week) -> str:
    """The schedule is killed with its build, and started again."""
    night = begun(week)
    week.kill_schedule()
    week.start_schedule()
    return night


def begun(week: Week) -> str:
    """Begin a night, and wait until its build is generating; the model takes its time."""
    week.llm.seconds = 60
    week.llm.asked.clear()
    night = week.begin()
    until(week.llm.asked.is_set, "the model to be asked")
    week.llm.seconds = 0
    return night


@dataclass(frozen=True)
class Night:
    """What happens, and what Prefect and the run log say of it; `served` is whose release answers in the morning."""

    day: str
    happens: Callable[[Week], str]
    state: str
    logged: str
    served: str
    because: str = ""


NIGHTS = (
    Night("Monday", ordinary, "Completed", "published", "Monday"),
    Night("Tuesday", build_killed, "Crashed", "killed", "Monday", "killed"),
    Night("Wednesday", disk_full, "Failed", "failed", "Monday", "is full"),
    Night("Thursday", cancelled, "Cancelled", "cancelled", "Monday", "cancelled"),
    Night("Friday", model_dead, "Failed", "failed", "Monday", "out of memory"),
    Night("Saturday", schedule_killed, "Crashed", "killed", "Monday", "ended before the schedule|killed"),
    Night("Sunday", ordinary, "Completed", "published", "Sunday"),
)


def live_through(week: Week, night: Night, service: str) -> dict[str, Any]:
    """Let a night pass; return what there is in the morning, and what of it is wrong."""
    started = time.monotonic()
    week.edit(night.day)
    runs = week.ended(night.happens(week))
    answer = morning(week, service, night.served)
    states = {each["name"]: each["state"] for each in runs}
    told = {name: f"{each['name']}: {each['message'] or ''}" for name, each in states.items()}
    wrong = [f"{name} is {state['name']}" for name, state in states.items() if state["name"] != night.state]
    wrong += [f"unended: {name}" for name in week.unended()]
    wrong += [] if night.served in answer else [f"served: {answer}"]
    wrong += [] if any(re.search(night.because, each) for each in told.values()) else [f"told: {told}"]
    wrong += [] if len(runs) == 2 else [f"{len(runs)} flow runs"]
    return {
        "bench": "week", "night": night.day, "happens": night.happens.__doc__, "prefect": told, "answer": answer,
        "release": current_id(week.data), "seconds": round(time.monotonic() - started, 1), "wrong": wrong,
    }  # fmt: skip


def morning(week: Week, service: str, expected: str) -> str:
    """Return the answer of the morning; a service takes a moment to follow a new release."""

    def answer() -> str:
        reply = httpx.post(f"{service}/v1/answers", json={"question": _QUESTION}, timeout=60).json()
        return str(reply["answer"]) if reply.get("release") == current_id(week.data) else ""

    return until(answer, f"the answer of {expected}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where to work; the default is a temporary folder")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # its processes and its disk end with it
    llm = NightLlm()
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary, served(llm.app) as url:
        folder = Path(temporary)
        with small_disk(folder / "disk") as limited:
            week = Week(folder, llm, url)
            nights = [night for night in NIGHTS if limited or night.happens is not disk_full]
            raise SystemExit(live(week, nights))


def live(week: Week, nights: list[Night]) -> int:
    """Live through the nights; return 1 if something was wrong."""
    mistakes = 0
    with week.scheduled(), contextlib.ExitStack() as later:
        service = ""
        for night in nights:
            if not service:
                week.edit(night.day)
                week.ended(week.begin())
                service = later.enter_context(week.running("serve", r"serving answers at (http\S+)"))
            told = live_through(week, night, service)
            mistakes += len(told["wrong"])
            print(json.dumps(told), flush=True)
    logged = [str(row["status"]) for row in logged_runs(week.data)]
    expected = [night.logged for night in nights]
    print(json.dumps({"bench": "week", "run_log": logged, "wrong": logged[-len(expected) :] != expected}), flush=True)
    return int(mistakes > 0 or logged[-len(expected) :] != expected)


if __name__ == "__main__":
    main()
