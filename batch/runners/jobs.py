"""Jobs at a job server: noted when they begin, cancelled when their client is interrupted or was killed.

A job outlives its client: it would go on generating beside the next build. So a note in the data folder names each job
before it is submitted. Who holds the build's lease knows that the clients of all notes are dead, asks the job servers
for jobs of these names, and cancels them.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc
from apache_beam.portability.api import beam_job_api_pb2 as api
from apache_beam.portability.api import beam_job_api_pb2_grpc

from warehouse.durable import replace_file

_ANSWER_SECONDS = 5.0
_END_SECONDS = 15.0
_PATIENCE = 2.0  # seconds; who interrupts a run waits
_NAME = "beam:option:job_name:v1"
_ENDED = (api.JobState.DONE, api.JobState.DRAINED, api.JobState.FAILED, api.JobState.CANCELLED)


@dataclass(frozen=True)
class Job:
    """A job: its server, its name, and its id once the server has given it one."""

    endpoint: str
    name: str
    id: str = ""


@contextmanager
def noted(data: Path, job: Job) -> Iterator[None]:
    """Keep a note of a job during the block, which submits it and waits for it; cancel it if the block fails."""
    note = _note(data, job.name)
    note.parent.mkdir(parents=True, exist_ok=True)
    replace_file(note, json.dumps(asdict(job)).encode())
    try:
        yield
    except BaseException:
        with contextlib.suppress(grpc.RpcError):  # then the note stays, for the next start
            cancel(job, _PATIENCE)
            note.unlink(missing_ok=True)
        raise
    note.unlink(missing_ok=True)


def cancel_left_jobs(data: Path) -> list[str]:
    """Cancel the jobs whose clients are gone; return a sentence for each that still ran or may run on.

    Call it with the build's lease held.
    """
    said = []
    for note in sorted(_note(data, "*").parent.glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError):  # a torn note is removed all the same
            job = Job(**json.loads(note.read_text(encoding="utf-8")))
            try:
                if cancel(job):
                    said.append(f"job {job.name} of a killed run was still running at {job.endpoint}; cancelled")
            except grpc.RpcError:
                said.append(
                    f"{job.endpoint} does not answer, where a killed run had a job; if {job.name} still runs, cancel it"
                )
                continue
        note.unlink(missing_ok=True)
    return said


def cancel(job: Job, patience: float = _END_SECONDS) -> bool:
    """Cancel a job, and all others of its name, and wait for their end; return whether one was running.

    Raises:
        grpc.RpcError: the job server does not answer.
    """
    with grpc.insecure_channel(job.endpoint) as channel:
        server = beam_job_api_pb2_grpc.JobServiceStub(channel)
        found = server.GetJobs(api.GetJobsRequest(), timeout=_ANSWER_SECONDS).job_info
        running = {each.job_id: each.state for each in found if _is_named(each, job.name)}
        if job.id and job.id not in running:
            state = server.GetState(api.GetJobStateRequest(job_id=job.id), timeout=_ANSWER_SECONDS)
            running[job.id] = state.state
        ids = [job_id for job_id, state in running.items() if state not in _ENDED]
        for job_id in ids:
            server.Cancel(api.CancelJobRequest(job_id=job_id), timeout=_ANSWER_SECONDS)
        deadline = time.monotonic() + patience
        for job_id in ids:
            _wait(server, job_id, deadline)
    return bool(ids)


def _is_named(info: api.JobInfo, name: str) -> bool:
    options = info.pipeline_options.fields
    return info.job_name == name or (_NAME in options and options[_NAME].string_value == name)


def _wait(server: beam_job_api_pb2_grpc.JobServiceStub, job_id: str, deadline: float) -> None:
    """Wait until a job has ended, so that it writes nothing any more, as long as that is soon."""
    with contextlib.suppress(grpc.RpcError):
        states = server.GetStateStream(
            api.GetJobStateRequest(job_id=job_id), timeout=max(0.1, deadline - time.monotonic())
        )
        for each in states:
            if each.state in _ENDED:
                return


def _note(data: Path, name: str) -> Path:
    return data / "open_jobs" / f"{name}.json"
