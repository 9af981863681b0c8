"""What a run says, in Prefect: a line for each stage, and the warnings of all packages, not drowned.

Beam and vLLM may repeat a warning thousands of times: of each kind a few are passed on, the others counted.
"""

from __future__ import annotations

import collections
import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from prefect.logging import get_run_logger

from rag.credentials import hide

_MOST_ALIKE = 5
_MOST = 500
_FLUSH_SECONDS = 5.0
_OWN_HANDLERS = ("vllm",)  # loggers that don't pass their records on to the root's handlers
_NOT_OURS = ("prefect", "httpx", "httpcore", "uvicorn")  # Prefect's own go to Prefect already


class _ToPrefect(logging.Handler):
    """Passes warnings of all packages to the flow run's logger, a few of each kind."""

    def __init__(self, secrets: Collection[str]) -> None:
        super().__init__(logging.WARNING)
        self._logger = get_run_logger()
        self._secrets = secrets
        self._seen: collections.Counter[tuple[str, str]] = collections.Counter()

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on, unless many of its kind were."""
        if record.name.split(".")[0] in _NOT_OURS or getattr(record, "passed_on", False):
            return
        record.passed_on = True  # a logger and the root may both have this handler
        kind = (record.name, str(record.msg)[:120])
        self._seen[kind] += 1
        if self._seen[kind] <= _MOST_ALIKE and len(self._seen) <= _MOST:
            self._logger.log(record.levelno, "%s: %s", record.name, hide(_text(record), self._secrets))

    def left_out(self) -> Iterator[str]:
        """Yield a line for each logger of which records were left out."""
        by_logger: collections.Counter[str] = collections.Counter()
        for number, ((name, _), count) in enumerate(self._seen.items()):
            by_logger[name] += count if number >= _MOST else max(0, count - _MOST_ALIKE)
        yield from (f"{name}: {count:,} more warnings like these" for name, count in by_logger.items() if count)


def _text(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # a package's own mistake in its format
        return str(record.msg)


@contextmanager
def warnings_in_prefect(secrets: Collection[str]) -> Iterator[None]:
    """Pass the warnings of all packages to the running flow run's log while the block runs."""
    handler = _ToPrefect(secrets)
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in _OWN_HANDLERS)]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        for line in handler.left_out():
            say(line)


def say(line: str) -> None:
    """Write a line into the running flow run's log."""
    get_run_logger().info(line)


def flush() -> None:
    """Send what waits to be sent, before the server that is to have it stops."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=_FLUSH_SECONDS)
