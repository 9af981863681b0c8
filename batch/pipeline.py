"""Run a Beam pipeline so that what goes wrong in a worker is still one sentence for a person.

Beam raises a worker's exception with the step's name appended, as a `RuntimeError` with the type in its text where
the type's constructor takes no text (a full disk), and with a whole traceback as its text where the worker is
another process. Here it becomes the error that it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import apache_beam as beam

from batch.plan import RunPlan
from batch.runner import pipeline_options
from rag import errors
from warehouse.errors import StorageError

_STEP = re.compile(r" \[while running '[^']*'\]")
_RAISED = re.compile(r"^(?:[\w.]*\.)?(\w+Error): (.+)$", re.MULTILINE)
_FULL = re.compile(r"No space left on device|Disk quota exceeded")


@contextmanager
def running_pipeline(plan: RunPlan) -> Iterator[Any]:
    """Give a pipeline of the plan's runner that runs to its end when the block ends.

    Raises:
        BeforehandError: what a worker raised, without Beam's additions.
        StorageError: the disk is full.
    """
    try:
        with beam.Pipeline(options=pipeline_options(plan.settings)) as pipeline:
            yield pipeline
    except errors.BeforehandError as error:
        raise type(error)(_STEP.sub("", str(error))) from error
    except Exception as error:
        known = _recognised(str(error), plan.data)
        if known is None:
            raise
        raise known from error


def _recognised(text: str, data: str) -> errors.BeforehandError | None:
    """Return the user's error that a text tells of, None where there is none."""
    if _FULL.search(text):
        return StorageError(f"The disk of {data} is full; free some space and start again.")
    for name, message in reversed(_RAISED.findall(text)):
        kind = getattr(errors, name, None)
        if isinstance(kind, type) and issubclass(kind, errors.BeforehandError):
            return kind(_STEP.sub("", message))
    return None
