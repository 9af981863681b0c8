"""The Beam runner: which one runs the pipelines, and with which options."""

from __future__ import annotations

from apache_beam.options.pipeline_options import PipelineOptions

from batch.settings import BatchSettings

# What a person calls a runner, and Beam's options for it. Beam's own default tries to download a runner,
# which hangs where packets are dropped; its Dask runner loses rows, so it is not offered.
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
