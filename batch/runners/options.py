"""The Beam runners: which are offered, their options, and the names of jobs.

Beam's own default downloads a runner, which hangs where packets are dropped; its Dask runner loses rows, so it is not
offered. What is set here comes before the options of the configuration, which therefore win.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re

from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, PortableOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineRunner
from apache_beam.transforms.environments import ExternalEnvironment

from batch.runners.local_pool import local_pool
from batch.settings import BatchSettings
from rag.credentials import reveal
from rag.errors import ConfigurationError

logging.getLogger(PipelineOptions.__module__).setLevel(logging.ERROR)  # it logs the options that it doesn't know

RUNNERS: dict[str, tuple[str, ...]] = {
    "embedded": ("--runner=FnApiRunner",),
    "multi_processing": ("--runner=FnApiRunner", "--direct_num_workers=0"),  # 0: as many as there are cores
    "portable": ("--runner=PortableRunner",),
    # Retries of a task, since Flink's default is none; shuffles through files, so that stages need no room in memory
    # at once; a second for the next stage to find the worker that the last one had.
    "flink": (
        "--runner=FlinkRunner",
        "--number_of_execution_retries=3",
        "--execution_retry_delay=2000",
        "--execution_mode_for_batch=BATCH_FORCED",
        "--environment_cache_millis=1000",
    ),
    "spark": ("--runner=SparkRunner", "--environment_cache_millis=1000"),
    "dataflow": ("--runner=DataflowRunner",),
}
_OF_JOB_SERVERS = ("PortableRunner", "FlinkRunner", "SparkRunner")


def pipeline_options(settings: BatchSettings, job: str | None = None) -> PipelineOptions:
    """Return Beam's options for the configured runner; `job` names the job, unless the configuration does.

    Raises:
        ConfigurationError: Beam refuses the value of an option; Beam itself would print it and exit.
    """
    named = [f"--job_name={job}"] if job else []
    options = PipelineOptions([*RUNNERS[settings.runner], *named, *map(reveal, settings.runner_options)])
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            options.get_all_options()
    except (SystemExit, ValueError):
        named_option = re.search(r"argument (--[\w-]+)", said.getvalue())
        refused = named_option[1] if named_option else "one of " + ", ".join(map(str, settings.runner_options))
        raise ConfigurationError(f"[batch] runner_options: Beam refuses the value of {refused}; correct it") from None
    return options


def runner_of(settings: BatchSettings, options: PipelineOptions) -> PipelineRunner | None:
    """Return the runner where its name does not say all: one whose workers are processes that are kept."""
    if settings.runner != "multi_processing":
        return None
    options.view_as(DirectOptions).direct_running_mode = "in_memory"  # Beam's own mode starts Python for each pipeline
    return FnApiRunner(default_environment=ExternalEnvironment(local_pool()))


def job_name(run_id: str) -> str:
    """Return the name of a run's jobs, in the letters that all runners take."""
    return f"beforehand-{run_id.lower()}"


def job_endpoint(options: PipelineOptions) -> str | None:
    """Return the address of the job server that a job goes to; None for a runner that has none."""
    endpoint: str | None = options.view_as(PortableOptions).job_endpoint
    return endpoint if options.view_as(StandardOptions).runner in _OF_JOB_SERVERS else None


def works_in_this_process(settings: BatchSettings, options: PipelineOptions) -> bool:
    """Whether the workers are threads of this process, and so report their progress to it."""
    environment: str | None = options.view_as(PortableOptions).environment_type
    return settings.runner == "embedded" or (environment or "").upper() == "LOOPBACK"


def works_elsewhere(settings: BatchSettings, options: PipelineOptions) -> bool:
    """Whether workers may be on other machines."""
    return settings.runner != "multi_processing" and not works_in_this_process(settings, options)
