"""Runs that have begun and not ended: a note for each, so that the next start can settle those that were killed.

A killed process writes nothing, nor does one whose disk is full, and Prefect's server may be unable to note how a run
ended. Who holds the build's lease knows that every other run with a note is over: it gets its row in the run log, and
its flow runs the state that the row says, or Crashed.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pyarrow as pa
from prefect.states import State

from flows.reporting.run_states import (
    cancelled_state,
    crashed_state,
    end_run,
    failed_state,
    is_open,
    read_run,
    waiting_state,
)
from warehouse.durable import replace_file
from warehouse.history.run_log import log_run, logged_runs
from warehouse.tables import RUNS

KILLED = "killed"


@dataclass(frozen=True)
class OpenRun:
    """A run: when it began, its flow runs (the child's first), their server, its shadow's name, what started it."""

    run_id: str
    started_at: str
    runner: str
    flow_runs: tuple[str, ...]
    server: str
    shadow: str | None = None
    trigger: str | None = None


def note_open(data: Path, run: OpenRun) -> None:
    """Note that a run has begun."""
    note = _note(data, run.run_id)
    note.parent.mkdir(parents=True, exist_ok=True)
    replace_file(note, json.dumps(asdict(run)).encode())


def note_ended(data: Path, run_id: str) -> None:
    """Remove the note of a run that has its row in the run log."""
    _note(data, run_id).unlink(missing_ok=True)


def settle_killed(data: Path, server: str, spared: Collection[str] = (), log: Path | None = None) -> list[str]:
    """Give the runs that were killed their row and their state; call it with the lease held.

    `log` is the data folder whose log gets the rows, by default the same.

    Returns the ids of those whose end nobody has noticed: the run itself, or whoever started it in Prefect. A note
    stays as long as Prefect can't write down that its flow runs are over.

    Raises:
        StorageError: the disk is full.
    """
    unnoticed = []
    logged = {str(row["run_id"]): str(row["status"]) for row in logged_runs(log or data)}
    for note in open_notes(data):
        if note.stem in spared:
            continue
        known = _read(note)
        if known is not None:
            if note.stem not in logged:
                log_run(log or data, _row(known, _status(UUID(known.flow_runs[0]))))
            if known.server == server or server.startswith("http://127.0.0.1:"):  # our own database, at any port
                state, runs = _state(logged.get(note.stem, KILLED)), [UUID(each) for each in known.flow_runs]
                noticed = [not end_run(each, state) for each in runs]
                if any(is_open(each) for each in runs):
                    continue
                unnoticed.extend([] if all(noticed) or note.stem in logged else [note.stem])
        note.unlink(missing_ok=True)
    return unnoticed


def open_notes(data: Path) -> list[Path]:
    """Return the notes of the runs that have not ended, as far as anybody knows; their names are the runs' ids."""
    return sorted(_note(data, "*").parent.glob("*.json"))


def _read(note: Path) -> OpenRun | None:
    """Return what a note holds, None if a crash tore it."""
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
        return OpenRun(**{**known, "flow_runs": tuple(known["flow_runs"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _state(status: str) -> State[None]:
    """Return the state of a run of which Prefect was not told how it ended."""
    if status in (KILLED, "published", "shadow"):  # what was done may still have been killed before its last word
        return crashed_state("The build's process was killed, or its disk was full.")
    if status in ("cancelled", "interrupted"):
        return cancelled_state(in_prefect=status == "cancelled")
    if status == "waiting":
        return waiting_state("It waits for answers that are made elsewhere.")
    return failed_state(f"The run log says: {status}. Prefect could not be told at the time.")


def _note(data: Path, run_id: str) -> Path:
    return data / "open_runs" / f"{run_id}.json"


def _status(flow_run: UUID) -> str:
    """Return how a run without a row ended, as Prefect has it; a disk that is full may have had no room for the row."""
    with suppress(Exception):
        state = read_run(flow_run).state
        if state is not None and state.is_failed():
            return "failed"
    return KILLED


def _row(known: OpenRun, status: str) -> dict[str, object]:
    return {
        **{field.name: 0 for field in RUNS if not pa.types.is_string(field.type)},
        "run_id": known.run_id,
        "started_at": datetime.fromisoformat(known.started_at),
        "finished_at": datetime.now(UTC),
        "status": status,
        "runner": known.runner,
        "settings": "{}",
        "shadow": known.shadow,
        "trigger": known.trigger,
    }
