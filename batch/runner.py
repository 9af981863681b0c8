"""The Beam runners: which are offered, and their options."""

from __future__ import annotations

import contextlib
import io
import logging
import re

from apache_beam.options.pipeline_options import PipelineOptions

from batch.settings import BatchSettings
from rag.credentials import reveal
from rag.errors import ConfigurationError

logging.getLogger(PipelineOptions.__module__).setLevel(logging.ERROR)  # it logs the options that it doesn't know

# Beam's options by the name of the runner in the configuration. Beam's own default downloads a runner, which
# hangs where packets are dropped; its Dask runner loses rows, so it is not offered.
RUNNERS: dict[str, list[str]] = {
    "embedded": ["--runner=FnApiRunner"],
    "multi_processing": ["--runner=FnApiRunner", "--direct_running_mode=multi_processing"],
    "portable": ["--runner=PortableRunner"],
    "flink": ["--runner=FlinkRunner"],
    "spark": ["--runner=SparkRunner"],
    "dataflow": ["--runner=DataflowRunner"],
}


def pipeline_options(settings: BatchSettings) -> PipelineOptions:
    """Return Beam's options for the configured runner.

    Raises:
        ConfigurationError: Beam refuses the value of an option; Beam itself would print it and exit.
    """
    options = PipelineOptions([*RUNNERS[settings.runner], *map(reveal, settings.runner_options)])
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            options.get_all_options()
    except (SystemExit, ValueError):
        named = re.search(r"argument (--[\w-]+)", said.getvalue())
        refused = named[1] if named else "one of " + ", ".join(map(str, settings.runner_options))
        raise ConfigurationError(f"[batch] runner_options: Beam refuses the value of {refused}; correct it") from None
    return options
