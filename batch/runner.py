"""The Beam runners: which are offered, and their options."""

from __future__ import annotations

from apache_beam.options.pipeline_options import PipelineOptions

from batch.settings import BatchSettings

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
    """Return Beam's options for the configured runner."""
    return PipelineOptions([*RUNNERS[settings.runner], *settings.runner_options])
