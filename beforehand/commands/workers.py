"""The command `workers`: a pool of worker processes for a Beam runner, beside each machine of its cluster."""

from __future__ import annotations

import os

import click

from beforehand.configuration import reach_loopback_directly, reported


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=int, default=50000, show_default=True, help="Port to listen on; 0 takes a free one.")
@reported
def workers(host: str, port: int) -> None:
    """Run a pool of worker processes, which a Beam runner finds at `--environment_config=HOST:PORT`.

    It needs no configuration: what workers read and how they reach it comes with each job, except for credentials,
    which they take from their environment.
    """
    reach_loopback_directly()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from batch.runners.pool import run_pool

    run_pool(host, port, lambda bound: click.echo(f"workers wait at {host}:{bound}", err=True))
