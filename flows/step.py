"""A step of a run: a Prefect task that shows its progress, and whose time and figures are recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.states import State

from batch import progress
from flows.errors import without_secrets
from flows.ledger import Ledger
from flows.reporting.logs import say
from rag.errors import AnswersPendingError, ConfigurationError, LlmMisconfiguredError, TooManyRejectsError

T = TypeVar("T")

# A retry of these would end like the first attempt.
_FINAL = (ConfigurationError, LlmMisconfiguredError, TooManyRejectsError)


def loaded_figures(rows: Mapping[str, int]) -> dict[str, int]:
    """Return the figures of loading that its line shows."""
    return {table: rows[table] for table in ("questions", "answers", "citations", "rejects")}


def timed(name: str, doing: str, ledger: Ledger, body: Callable[[], T], retries: int = 0) -> T:
    """Run a body as a task, show its progress, and record its time and figures."""
    progress.enter(name, doing)
    ledger.started[name] = datetime.now(UTC)
    started = time.monotonic()
    as_task = task(
        name=name,
        retries=retries,
        retry_delay_seconds=5,
        retry_condition_fn=_may_help,
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    outcome: T | AnswersPendingError = as_task(
        lambda: without_secrets(lambda: _done_or_waiting(body), ledger.secrets)
    )()
    if isinstance(outcome, AnswersPendingError):
        raise outcome
    ledger.seconds[name] = time.monotonic() - started
    ledger.figures[name] = _figures(outcome)
    progress.leave(name, ledger.figures[name], ledger.seconds[name])
    say(f"{name}: {progress.describe_figures(ledger.figures[name])}, {ledger.seconds[name]:.1f} s")
    return outcome


def _done_or_waiting(body: Callable[[], T]) -> T | AnswersPendingError:
    """Return what a body returns, or that it waits: a task that waits has not failed."""
    try:
        return body()
    except AnswersPendingError as error:
        return error


def _may_help(_task: object, _run: object, state: State) -> bool:
    """Whether a retry may help a task that failed."""
    return not isinstance(state.result(raise_on_failure=False), _FINAL)


def _figures(outcome: object) -> Mapping[str, int]:
    """Return the figures that a stage's line shows."""
    if isinstance(outcome, Mapping):
        return outcome
    return {"checks passed": len(outcome)} if isinstance(outcome, list) and all(c.passed for c in outcome) else {}
