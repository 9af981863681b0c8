"""Runs that have begun and not ended: a note for each, so that the next start can settle those that were killed.

A killed process writes nothing. Who holds the build's lease knows that every other run with a note is dead: it gets
its row in the run log, and its flow run the state Crashed.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pyarrow as pa

from flows.reporting.run_states import crashed_state, end_run
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


def settle_killed(data: Path, server: str, spared: Iterable[str] = (), log: Path | None = None) -> list[str]:
    """Give the runs that were killed their row and their state; call it with the lease held.

    `log` is the data folder whose log gets the rows, by default the same.

    Returns the ids of those whose end nobody has noticed: whoever started a run in Prefect may have seen it die.
    """
    unnoticed = []
    logged = {str(row["run_id"]) for row in logged_runs(log or data)}
    for note in sorted(_note(data, "*").parent.glob("*.json")):
        if note.stem in spared:
            continue
        with contextlib.suppress(OSError, ValueError, KeyError):  # a torn note is removed all the same
            known = json.loads(note.read_text(encoding="utf-8"))
            if note.stem not in logged:
                log_run(log or data, _row(known))
            if known["server"] == server or server.startswith("http://127.0.0.1:"):  # our own database, at any port
                state = crashed_state("The build's process was killed.")
                noticed = [not end_run(UUID(flow_run), state) for flow_run in known["flow_runs"]]
                unnoticed.extend([] if all(noticed) else [note.stem])
        note.unlink(missing_ok=True)
    return unnoticed


def _note(data: Path, run_id: str) -> Path:
    return data / "open_runs" / f"{run_id}.json"


def _row(known: dict[str, object]) -> dict[str, object]:
    return {
        **{field.name: 0 for field in RUNS if not pa.types.is_string(field.type)},
        "run_id": known["run_id"],
        "started_at": datetime.fromisoformat(str(known["started_at"])),
        "finished_at": datetime.now(UTC),
        "status": KILLED,
        "runner": known["runner"],
        "settings": "{}",
        "shadow": known.get("shadow"),
        "trigger": known.get("trigger"),
    }
