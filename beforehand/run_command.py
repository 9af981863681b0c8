"""The command `run`: builds a release, or carries out one stage of a run."""

from __future__ import annotations

import os
from uuid import UUID

import click
from rich.console import Console

from beforehand.configuration import Config, prepare_environment, read_settings, reported
from beforehand.run_plan import compose_plan, new_run, run_for_stage
from rag.credentials import secret_values

console = Console(stderr=True, highlight=False)


@click.command()
@click.option("--stage", help="Run only this stage, on the files of the last run (or of --run).")
@click.option("--run", "run_id", help="The run to continue, or for --stage.")
@click.pass_obj
@reported
def run(config: Config, stage: str | None, run_id: str | None) -> None:
    """Read, retrieve, generate, audit and publish a release."""
    settings = read_settings(config)
    if stage in (None, "generate"):
        from beforehand.generate_command import refuse_without_batch_api

        refuse_without_batch_api(settings)
    prepare_environment(settings)
    from batch import progress
    from warehouse.releases.build_lease import refuse_second_build

    with progress.display(console):
        progress.enter("start", "loading Beam and Prefect")
        from batch.runner_check import require_runner, require_workers
        from batch.sharing import for_workers

        require_runner(settings.batch)  # before Prefect is loaded
        from flows.prefect_server import LINK, prefect_server

        if stage:
            from flows.build_release import run_one_stage

            plan = compose_plan(settings, run_id or run_for_stage(settings, stage))
            require_workers(for_workers(plan))
            run_one_stage(stage, plan)
            return
        link = os.environ.pop(LINK, "")
        if not link:
            refuse_second_build(settings.project.data)
        with prefect_server(settings.project.data / "prefect") as server:
            from batch.sources.source_files import refuse_missing
            from flows.build_release import build_release
            from flows.publish_release import Publication
            from flows.reporting.early_failure import told_if_refused
            from flows.reporting.logs import flush

            with told_if_refused(settings.alerts.webhook, link, secret_values(settings)):
                plan = compose_plan(settings, run_id or new_run())
                refuse_missing(plan)
                require_workers(for_workers(plan))
            if server is not None:
                server.wait_until_ready()
            keep = settings.releases
            publication = Publication(
                settings.audit,
                settings.history,
                keep.keep,
                keep.keep_runs,
                settings.cost,
                settings.alerts.webhook,
            )
            try:
                outcome = build_release(config[0].resolve(), plan, publication, UUID(link) if link else None)
            finally:
                flush()
    click.echo(f"published release {outcome.release_id}")
