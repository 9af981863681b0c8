"""A job that its client left is found by its name, and cancelled."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from apache_beam.portability.api import beam_job_api_pb2 as api
from apache_beam.portability.api import beam_job_api_pb2_grpc

from batch.runners.jobs import Job, cancel, cancel_left_jobs, noted

RUNNING, CANCELLED, DONE = api.JobState.RUNNING, api.JobState.CANCELLED, api.JobState.DONE


class JobServer(beam_job_api_pb2_grpc.JobServiceServicer):
    """A job server that knows jobs by id, with their names and states."""

    def __init__(self) -> None:
        self.jobs: dict[str, tuple[str, int]] = {}
        self.endpoint = ""

    def GetJobs(self, _request: object, _context: object) -> api.GetJobsResponse:  # noqa: N802
        found = api.GetJobsResponse()
        for job_id, (name, state) in self.jobs.items():
            info = found.job_info.add(job_id=job_id, job_name="job", state=state)
            info.pipeline_options["beam:option:job_name:v1"] = name
        return found

    def Cancel(self, request: api.CancelJobRequest, _context: object) -> api.CancelJobResponse:  # noqa: N802
        self.jobs[request.job_id] = (self.jobs[request.job_id][0], CANCELLED)
        return api.CancelJobResponse(state=CANCELLED)

    def GetStateStream(self, request: api.GetJobStateRequest, _context: object) -> Iterator[api.JobStateEvent]:  # noqa: N802
        yield api.JobStateEvent(state=self.jobs[request.job_id][1])


@pytest.fixture
def jobs() -> Iterator[JobServer]:
    service = JobServer()
    server = grpc.server(ThreadPoolExecutor(2))
    beam_job_api_pb2_grpc.add_JobServiceServicer_to_server(service, server)
    service.endpoint = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield service
    server.stop(None)


def test_only_running_jobs_of_the_name_are_cancelled(jobs: JobServer) -> None:
    jobs.jobs = {"1": ("beforehand-a", DONE), "2": ("beforehand-a", RUNNING), "3": ("beforehand-b", RUNNING)}

    assert cancel(Job(jobs.endpoint, "beforehand-a"))

    assert [state for _, state in jobs.jobs.values()] == [DONE, CANCELLED, RUNNING]
    assert not cancel(Job(jobs.endpoint, "beforehand-a")), "nothing is left to cancel"


def test_the_job_of_a_killed_client_is_cancelled_at_the_next_start(jobs: JobServer, tmp_path: Path) -> None:
    jobs.jobs = {"1": ("beforehand-a", RUNNING)}
    client = noted(tmp_path, Job(jobs.endpoint, "beforehand-a"))
    client.__enter__()  # and it is killed

    said = cancel_left_jobs(tmp_path)

    assert said == [f"job beforehand-a of a killed run was still running at {jobs.endpoint}; cancelled"]
    assert jobs.jobs["1"][1] == CANCELLED
    assert cancel_left_jobs(tmp_path) == []


def test_the_job_of_an_interrupted_client_is_cancelled_at_once(jobs: JobServer, tmp_path: Path) -> None:
    jobs.jobs = {"1": ("beforehand-a", RUNNING)}

    with pytest.raises(KeyboardInterrupt), noted(tmp_path, Job(jobs.endpoint, "beforehand-a")):
        raise KeyboardInterrupt

    assert jobs.jobs["1"][1] == CANCELLED
    assert list((tmp_path / "open_jobs").iterdir()) == []


def test_a_job_that_ended_well_leaves_no_note(jobs: JobServer, tmp_path: Path) -> None:
    with noted(tmp_path, Job(jobs.endpoint, "beforehand-a")):
        pass

    assert list((tmp_path / "open_jobs").iterdir()) == []


def test_a_server_that_is_away_is_told_and_asked_again_next_time(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), noted(tmp_path, Job("127.0.0.1:1", "beforehand-a")):
        raise KeyboardInterrupt

    [said] = cancel_left_jobs(tmp_path)

    assert "127.0.0.1:1 does not answer" in said
    assert cancel_left_jobs(tmp_path) == [said]
