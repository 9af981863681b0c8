"""Run Beam pipelines and restore the errors of their workers, so that each is still one sentence for a person.

Beam appends the step's name to a worker's exception. It raises a `RuntimeError` with the type in its text if the
type's constructor takes no text (a full disk), if it is an interruption (Ctrl-C), or with a whole traceback if the
worker is another process. A job of a job server outlives its client, so one that is interrupted is cancelled.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult

from batch import progress
from batch.memory import give_back
from batch.plan import RunPlan
from batch.runners.job_progress import following
from batch.runners.jobs import Job, noted
from batch.runners.options import job_endpoint, job_name, pipeline_options, runner_of, works_in_this_process
from rag import errors
from warehouse.errors import StorageError

# It logs what a job says and raises it too; a run prints one sentence.
logging.getLogger().addFilter(lambda record: record.module != "portable_runner")

_STEP = re.compile(r" \[while running '[^']*'\]")
_RAISED = re.compile(r"^(?:[\w.]*\.)?(\w+Error): (.+)$", re.MULTILINE)
_INTERRUPTED = re.compile(r"KeyboardInterrupt\b")
_FULL = re.compile(r"No space left on device|Disk quota exceeded")
_GONE = re.compile(r"StatusCode\.UNAVAILABLE")


@contextmanager
def running_pipeline(plan: RunPlan, seconds: float | None = None) -> Iterator[beam.Pipeline]:
    """Yield a pipeline of the plan's runner, which runs when the block ends.

    Raises:
        BeforehandError: a worker raised it.
        StorageError: the disk is full.
        KeyboardInterrupt: a signal interrupted a worker in this process.
        PipelineLateError: it has not ended after so many `seconds`; only jobs of a job server can be late.
    """
    options = pipeline_options(plan.settings, job_name(plan.run_id))
    endpoint = job_endpoint(options)  # before Beam takes the runner's name out of the options
    try:
        with _Pipeline(plan, options, seconds) as pipeline:
            yield pipeline
        give_back()
    except errors.BeforehandError as error:
        raise type(error)(_STEP.sub("", str(error))) from error
    except Exception as error:
        if _INTERRUPTED.match(str(error)):
            raise KeyboardInterrupt from None
        known = _recognised(str(error), plan.data) or _lost(error, endpoint)
        if known is None:
            raise
        raise known from error


class PipelineLateError(errors.BeforehandError):
    """A pipeline has not ended in time; it was cancelled."""


class _Pipeline(beam.Pipeline):
    """A pipeline that waits for its job, shows its progress, and cancels it if it is not to go on."""

    def __init__(self, plan: RunPlan, options: PipelineOptions, seconds: float | None) -> None:
        super().__init__(runner=runner_of(plan.settings, options), options=options)
        self._plan = plan
        self._seconds = seconds
        self._shown = not works_in_this_process(plan.settings, options)

    def run(self, test_runner_api: bool | str = "AUTO") -> PipelineResult:
        """Run the job and wait for its end."""
        endpoint = job_endpoint(self.options)
        job = Job(endpoint, self.options.get_all_options()["job_name"]) if endpoint else None
        with ExitStack() as around:
            if job:
                around.enter_context(noted(Path(self._plan.data), job))
            result = super().run(test_runner_api)
            if job:
                if self._shown:
                    around.enter_context(following(result, progress.observe))
                self._wait(result)
        return result

    def _wait(self, result: PipelineResult) -> None:
        state = result.wait_until_finish(self._seconds and int(1000 * self._seconds))
        if state not in ("DONE", "DRAINED"):
            raise PipelineLateError(f"the job {self.options.get_all_options()['job_name']} did not end in time")


def _recognised(text: str, data: str) -> errors.BeforehandError | None:
    """Return the error that a message of Beam stands for, None if it is not one that a user can act on."""
    if _FULL.search(text):
        return StorageError(f"The disk of {data} is full; free some space and start again.")
    for name, message in reversed(_RAISED.findall(text)):
        kind = getattr(errors, name, None)
        if isinstance(kind, type) and issubclass(kind, errors.BeforehandError):
            return kind(_STEP.sub("", message))
    return None


def _lost(error: Exception, endpoint: str | None) -> errors.BeforehandError | None:
    """Return the error that says that the job server is gone, None if it is not."""
    if endpoint and (isinstance(error, grpc.RpcError) or _GONE.search(str(error))):
        return errors.RunnerError(
            f"the job server at {endpoint} was lost while a job ran; finished work is kept, start again when it is back"
        )
    return None
