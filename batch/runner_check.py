"""What is checked of a runner before a run: its options, its job server, and a handshake with a worker.

Without it a missing server, a pool without Beam, or workers of another version show as a minute of silence and fifty
lines of traceback, after the documents have been read. The handshake is a job of one element: a worker compares its
versions with ours and looks for what it will have to read. It proves one worker, not each.
"""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import apache_beam as beam
import grpc
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    SparkRunnerOptions,
)
from apache_beam.portability.api import beam_job_api_pb2 as api
from apache_beam.portability.api import beam_job_api_pb2_grpc

from batch.pipeline import PipelineLateError, running_pipeline
from batch.plan import RunPlan
from batch.runners.options import job_endpoint, pipeline_options, works_elsewhere
from batch.settings import BatchSettings
from batch.stores.parquet import read_bytes, write_bytes
from rag.errors import ConfigurationError, RunnerError

_REACH_SECONDS = 3.0
_ANSWER_SECONDS = 10.0
_HANDSHAKE_SECONDS = 60.0  # a worker that has to import everything on a busy machine takes half of it
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]", "::1")
_PORTABLE = ("portable", "flink", "spark")
_NO_MODULE = re.compile(r"No module named '?(\w+)")
_NO_WORKER = re.compile(r"control connection|failed to connect to all addresses|Error starting worker")


@dataclass(frozen=True)
class Versions:
    """What client and workers must have alike; of Python, the minor version."""

    python: str
    beam: str
    beforehand: str

    @classmethod
    def own(cls) -> Versions:
        """Return those of this process."""
        python = ".".join(platform.python_version_tuple()[:2])
        return cls(python, beam.__version__, version("beforehand"))

    def __str__(self) -> str:
        """Return them for a person."""
        return f"Python {self.python}, Beam {self.beam} and Beforehand {self.beforehand}"


def require_runner(settings: BatchSettings) -> None:
    """Raise unless the options of the configured runner are complete and its servers are there; takes moments.

    Raises:
        ConfigurationError: an option is missing; the message names it.
        RunnerError: the job server is away, or the pool on this machine.
    """
    options = pipeline_options(settings)
    _require_options(settings.runner, options)
    if endpoint := job_endpoint(options):
        _require_job_server(endpoint)
        _require_local_pool(endpoint, options)


def require_workers(plan: RunPlan) -> None:
    """Raise unless a worker has the same versions and sees what it is to read; takes seconds.

    Raises:
        RunnerError: there is no worker, or it lacks something.
    """
    if plan.settings.runner in _PORTABLE:
        _shake_hands(plan, pipeline_options(plan.settings))


def _require_options(runner: str, options: PipelineOptions) -> None:
    if runner == "flink":
        given = options.view_as(FlinkRunnerOptions)
        _require_server(runner, options, given.flink_master != "[auto]", given.flink_job_server_jar, "flink_master")
    elif runner == "spark":
        spark = options.view_as(SparkRunnerOptions)
        named = not spark.spark_master_url.startswith("local")
        _require_server(runner, options, named, spark.spark_job_server_jar, "spark_master_url")
    elif runner == "portable" and not job_endpoint(options):
        raise ConfigurationError(_lacks(runner, "no job server is named", "--job_endpoint=HOST:PORT"))
    elif runner == "dataflow":
        _require_dataflow(options)
    if runner in _PORTABLE:
        _require_environment(runner, options)


def _lacks(runner: str, what: str, option: str) -> str:
    return f'[batch] runner = "{runner}": {what}; add {option} to runner_options'


def _require_server(runner: str, options: PipelineOptions, has_master: bool, jar: str | None, master: str) -> None:
    """Raise unless a job server is named, or can be started from a jar: Beam would download one."""
    if job_endpoint(options):
        return
    if not has_master:
        raise ConfigurationError(
            _lacks(runner, "neither a job server nor a cluster is named", f"--job_endpoint=HOST:PORT or --{master}=…")
        )
    if not jar:
        raise ConfigurationError(
            _lacks(
                runner,
                "no job server is named",
                f"--job_endpoint=HOST:PORT, or --{runner}_job_server_jar=FILE to have one started from Beam's jar",
            )
        )
    if "://" not in jar and not Path(jar).is_file():
        raise ConfigurationError(f"[batch] runner_options: --{runner}_job_server_jar={jar}: there is no such file")
    if shutil.which("java") is None:
        raise ConfigurationError(f"--{runner}_job_server_jar needs java, which is not on the path; install it")


def _require_environment(runner: str, options: PipelineOptions) -> None:
    given = options.view_as(PortableOptions)
    kind = (given.environment_type or "").upper()
    if not kind:
        raise ConfigurationError(
            _lacks(
                runner,
                "nothing says where its workers are, and Beam's own containers have no Beforehand",
                "--environment_type=EXTERNAL and --environment_config=HOST:PORT of a pool (`beforehand workers`)",
            )
        )
    if kind == "EXTERNAL" and not given.environment_config:
        raise ConfigurationError(
            _lacks(runner, "nothing says where its pool of workers is", "--environment_config=HOST:PORT")
        )


def _require_dataflow(options: PipelineOptions) -> None:
    if importlib.util.find_spec("apitools") is None:
        raise ConfigurationError(
            '[batch] runner = "dataflow": it needs Beam\'s package for Google Cloud; `pip install "apache-beam[gcp]"`'
        )
    given = options.view_as(GoogleCloudOptions)
    for name in ("project", "region", "temp_location"):
        if not getattr(given, name):
            raise ConfigurationError(_lacks("dataflow", f"no {name} is named", f"--{name}=…"))


def _require_job_server(endpoint: str) -> None:
    _require_listener(endpoint, "job server", "--job_endpoint", "start it, or correct the address")
    with grpc.insecure_channel(endpoint) as channel:
        server = beam_job_api_pb2_grpc.JobServiceStub(channel)
        try:
            server.DescribePipelineOptions(api.DescribePipelineOptionsRequest(), timeout=_ANSWER_SECONDS)
        except grpc.RpcError as error:
            raise RunnerError(
                f"{endpoint} is no Beam job server ({error.code().name.lower().replace('_', ' ')}); correct "
                "--job_endpoint in [batch] runner_options"
            ) from None


def _require_local_pool(endpoint: str, options: PipelineOptions) -> None:
    """Raise if a pool on this machine is named that is not there; one elsewhere may be seen by its cluster only."""
    given = options.view_as(PortableOptions)
    pool: str = given.environment_config or ""
    local = all(each.rpartition(":")[0] in _LOOPBACK for each in (endpoint, pool))
    if (given.environment_type or "").upper() == "EXTERNAL" and local:
        _require_listener(pool, "pool of workers", "--environment_config", "start it with `beforehand workers`")


def _require_listener(address: str, what: str, option: str, remedy: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigurationError(f"[batch] runner_options: {option}={address}: write HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_SECONDS).close()
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        raise RunnerError(f"no {what} answers at {address} ({said}), which {option} names; {remedy}") from None


class _Meet(beam.DoFn):
    """The path of a file that a worker should see, and what it should hold → nothing, or an error."""

    def __init__(self, expected: Versions, folders: tuple[str, ...]) -> None:
        self._expected = expected
        self._folders = folders

    def process(self, probe: tuple[str, bytes]) -> Iterator[None]:
        path, content = probe
        own = Versions.own()
        if own != self._expected:
            raise RunnerError(f"the workers have {own}, this machine has {self._expected}; install the same on both")
        try:
            found = read_bytes(path)
        except Exception:  # each file system has its own errors
            found = b""
        missing = [] if found == content else [path.rpartition("/runs/")[0]]
        missing += [each for each in self._folders if not FileSystems.exists(each)]
        if missing:
            raise RunnerError(
                f"the workers don't see {missing[0]}; keep the project's data in an object store (data = "
                '"s3://bucket/prefix"), or data and models in a folder that all machines share'
            )
        yield from ()


def _shake_hands(plan: RunPlan, options: PipelineOptions) -> None:
    """Have a worker compare its versions with ours, and look for what it will read."""
    probe = f"{plan.folder('handshake')}/probe"
    content = plan.run_id.encode()
    write_bytes(probe, content)
    models = [plan.encoder, plan.reranker, plan.llm.folder and str(plan.llm.folder.path)]
    local = works_elsewhere(plan.settings, options) and plan.shared is None
    folders = tuple(each for each in models if each) if local else ()
    try:
        with running_pipeline(plan, _HANDSHAKE_SECONDS) as pipeline:
            meet = _Meet(Versions.own(), folders)
            _ = pipeline | "Probe" >> beam.Create([(probe, content)]) | "Meet" >> beam.ParDo(meet)
    except RunnerError:
        raise
    except PipelineLateError:
        raise RunnerError(_no_worker(options)) from None
    except Exception as error:
        raise _explained(str(error), options) from error
    finally:
        FileSystems.delete([plan.folder("handshake")])
        with suppress(OSError):  # a run that is refused leaves nothing
            Path(plan.data, "runs", plan.run_id).rmdir()


def _no_worker(options: PipelineOptions) -> str:
    given = options.view_as(PortableOptions)
    where = given.environment_config or given.environment_type
    return (
        f"no worker of {where} has begun within {_HANDSHAKE_SECONDS:.0f} seconds; is the pool there, and has its "
        "Python Beam and Beforehand? `beforehand workers` starts one that has"
    )


def _explained(said: str, options: PipelineOptions) -> Exception:
    if lacks := _NO_MODULE.search(said):
        name = {"apache_beam": "Beam"}.get(lacks[1], f"Beforehand (no module {lacks[1]})")
        return RunnerError(f"the workers lack {name}; start their pool with `beforehand workers`")
    if _NO_WORKER.search(said):
        return RunnerError(_no_worker(options))
    last = [line for line in said.splitlines() if line.strip()][-1:] or ["no reason was given"]
    return RunnerError(f"a first small job failed: {last[0].strip()}")
