"""Run Beam pipelines and restore the errors of their workers, so that each is still one sentence for a person.

Beam appends the step's name to a worker's exception. It raises a `RuntimeError` with the type in its text if the
type's constructor takes no text (a full disk), if it is an interruption (Ctrl-C), or with a whole traceback if the
worker is another process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import apache_beam as beam

from batch.plan import RunPlan
from batch.runner import pipeline_options
from rag import errors
from warehouse.errors import StorageError

_STEP = re.compile(r" \[while running '[^']*'\]")
_RAISED = re.compile(r"^(?:[\w.]*\.)?(\w+Error): (.+)$", re.MULTILINE)
_INTERRUPTED = re.compile(r"KeyboardInterrupt\b")
_FULL = re.compile(r"No space left on device|Disk quota exceeded")


@contextmanager
def running_pipeline(plan: RunPlan) -> Iterator[beam.Pipeline]:
    """Yield a pipeline of the plan's runner, which runs when the block ends.

    Raises:
        BeforehandError: a worker raised it.
        StorageError: the disk is full.
        KeyboardInterrupt: a signal interrupted a worker in this process.
    """
    try:
        with beam.Pipeline(options=pipeline_options(plan.settings)) as pipeline:
            yield pipeline
    except errors.BeforehandError as error:
        raise type(error)(_STEP.sub("", str(error))) from error
    except Exception as error:
        if _INTERRUPTED.match(str(error)):
            raise KeyboardInterrupt from None
        known = _recognised(str(error), plan.data)
        if known is None:
            raise
        raise known from error


def _recognised(text: str, data: str) -> errors.BeforehandError | None:
    """Return the error that a message of Beam stands for, None if it is not one that a user can act on."""
    if _FULL.search(text):
        return StorageError(f"The disk of {data} is full; free some space and start again.")
    for name, message in reversed(_RAISED.findall(text)):
        kind = getattr(errors, name, None)
        if isinstance(kind, type) and issubclass(kind, errors.BeforehandError):
            return kind(_STEP.sub("", message))
    return None
