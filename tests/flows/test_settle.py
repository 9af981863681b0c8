"""Runs that ended without a word get their row and their states: at the start of a schedule, and while it goes on."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.states import Failed, Running, State

from flows.reporting.open_runs import OpenRun, note_open
from flows.reporting.run_states import end_run, read_run
from flows.settle import settle_before_schedule, settle_meanwhile
from warehouse.history.run_log import log_run, logged_runs
from warehouse.lease import Lease

RUN = "20261126T020000-dead"


@flow
def build() -> None: ...


@pytest.fixture
def left(prefect_api: str, tmp_path: Path) -> UUID:
    """A flow run that Prefect takes for running, and the note of its process, which is gone."""
    with get_client(sync_client=True) as client:
        run = UUID(str(client.create_flow_run(build, state=Running()).id))
    note_open(tmp_path, OpenRun(RUN, "2026-11-26T02:00:00+00:00", "embedded", (str(run),), prefect_api))
    (tmp_path / "releases").mkdir()
    return run


def state_of(run: UUID) -> State:
    state = read_run(run).state
    assert state is not None
    return state


def statuses(data: Path) -> list[object]:
    return [row["status"] for row in logged_runs(data)]


def test_a_run_that_was_killed_is_settled_when_a_schedule_starts(left: UUID, tmp_path: Path) -> None:
    settle_before_schedule(tmp_path, None, own_server=False)

    assert state_of(left).is_crashed()
    assert statuses(tmp_path) == ["killed"]
    assert [*(tmp_path / "open_runs").iterdir()] == []


def test_a_schedule_that_goes_on_settles_what_it_sees_twice(left: UUID, tmp_path: Path) -> None:
    """Whoever started the run has the first word."""
    seen = settle_meanwhile(tmp_path, None, ())
    assert state_of(left).is_running()

    settle_meanwhile(tmp_path, None, seen)

    assert state_of(left).is_crashed()


def test_nothing_is_settled_while_a_build_runs(left: UUID, tmp_path: Path) -> None:
    lease = Lease.acquire(tmp_path / "releases" / ".lease", "a run")

    assert settle_meanwhile(tmp_path, None, [RUN]) == ()
    settle_before_schedule(tmp_path, None, own_server=True)

    lease.release()
    assert state_of(left).is_running()


def test_a_run_that_could_not_tell_prefect_has_the_state_of_its_row(left: UUID, tmp_path: Path) -> None:
    log_run(tmp_path, {"run_id": RUN, "status": "failed"})

    settle_meanwhile(tmp_path, None, [RUN])

    assert state_of(left).is_failed()
    assert statuses(tmp_path) == ["failed"]


def test_a_run_that_could_not_write_its_row_gets_that_of_its_state(left: UUID, tmp_path: Path) -> None:
    end_run(left, Failed(message="the disk is full"))

    settle_meanwhile(tmp_path, None, [RUN])

    assert state_of(left).message == "the disk is full"
    assert statuses(tmp_path) == ["failed"]


def test_the_note_stays_until_prefect_can_write_it_down(
    left: UUID, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.reporting.run_states._set", lambda run, state: False)  # noqa: ARG005

    settle_meanwhile(tmp_path, None, [RUN])

    assert [each.stem for each in (tmp_path / "open_runs").iterdir()] == [RUN]
    monkeypatch.undo()
    settle_meanwhile(tmp_path, None, [RUN])
    assert state_of(left).is_crashed()
