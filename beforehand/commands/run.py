"""The command `run`: builds a release, builds a shadow beside the releases, or carries out one stage of a run."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import click
from rich.console import Console

from beforehand.configuration import Config, Settings, prepare_environment, read_settings, reported
from beforehand.run_plan import compose_plan, new_run, run_for_stage
from rag.credentials import secret_values
from rag.errors import ConfigurationError

if TYPE_CHECKING:
    from batch.plan import RunPlan

console = Console(stderr=True, highlight=False)


@click.command()
@click.option("--stage", help="Run only this stage, on the files of the last run (or of --run).")
@click.option("--run", "run_id", help="The run to continue, or for --stage.")
@click.option("--shadow", metavar="NAME", help="Build with the settings of [shadow.NAME], and publish nothing.")
@click.pass_obj
@reported
def run(config: Config, stage: str | None, run_id: str | None, shadow: str | None) -> None:
    """Read, retrieve, generate, audit and publish a release."""
    if shadow is not None:
        if stage is not None:
            raise ConfigurationError("--stage and --shadow don't go together: a shadow build runs all its stages")
        run_shadow(config, shadow, run_id)
        return
    settings = read_settings(config)
    if stage in (None, "generate"):
        from beforehand.model_servers import refuse_servers

        refuse_servers(settings)
    prepare_environment(settings)
    from batch import progress
    from warehouse.releases.build_lease import refuse_second_build

    with progress.display(console):
        progress.enter("start", "loading Beam and Prefect")
        if stage:
            _run_stage(settings, stage, run_id)
            return
        from flows.prefect_server import LINK, TRIGGER, prefect_server

        link, trigger = os.environ.pop(LINK, ""), os.environ.pop(TRIGGER, "manual")
        if not link:
            refuse_second_build(settings.project.data)
        with prefect_server(settings.project.data / "prefect") as server:
            from batch.runner_check import require_runner, require_workers
            from flows.reporting.early_failure import told_if_refused

            telling = partial(told_if_refused, settings.alerts.webhook, link, secret_values(settings))
            with telling():
                require_runner(settings.batch)  # before Prefect is loaded
            from batch.sharing import for_workers
            from batch.sources.source_files import refuse_missing
            from flows.build_release import build_release
            from flows.publish_release import Publication
            from flows.reporting.logs import flush

            with telling():
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
                outcome = build_release(config[0].resolve(), plan, publication, UUID(link) if link else None, trigger)
            finally:
                flush()
    click.echo(f"published release {outcome.release_id}")


def _run_stage(settings: Settings, stage: str, run_id: str | None) -> None:
    from batch.runner_check import require_runner, require_workers
    from batch.sharing import for_workers
    from flows.build_release import run_one_stage

    require_runner(settings.batch)
    plan = compose_plan(settings, run_id or run_for_stage(settings, stage))
    require_workers(for_workers(plan))
    run_one_stage(stage, plan)


def run_shadow(config: Config, name: str, run_id: str | None) -> None:
    """Build a shadow, keep it, and say how it is compared.

    Raises:
        ConfigurationError: the configuration has no such shadow build, or something in it can't be.
        ModelError: a model is missing, torn or not what is configured.
    """
    settings = read_settings(config, shadow=name)
    _refuse_waiting_for_files(settings, name)
    from beforehand.model_servers import refuse_servers
    from flows.prefect_server import prefect_server, running_server
    from warehouse.releases.build_lease import refuse_second_build
    from warehouse.releases.shadows import shadow_folder

    refuse_servers(settings)
    folder = shadow_folder(settings.project.data, name)
    refuse_second_build(folder)
    plan = compose_plan(settings, run_id or new_run())
    home = settings.project.data / "prefect"
    if running_server(home) is None:  # a server of its own, so that it shares no database with a build of a release
        home = folder / "prefect"
        os.environ.setdefault("PREFECT_HOME", str(home))
    prepare_environment(settings)
    from batch import progress

    with progress.display(console):
        progress.enter("start", "loading Beam and Prefect")
        _refuse_runner(settings, plan, name)
        with prefect_server(home) as server:
            from batch.sources.source_files import refuse_missing
            from beforehand.object_store import sharing_stores
            from flows.build_release import run_stages
            from flows.publish_release import Publication
            from flows.reporting.logs import flush
            from flows.shadow_build import build_shadow

            refuse_missing(plan)
            if server is not None:
                server.wait_until_ready()
            keep = settings.releases
            publication = Publication(settings.audit, settings.history, keep.keep, keep.keep_runs, settings.cost)
            try:
                with sharing_stores(settings.project.data):
                    built = build_shadow(config[0].resolve(), plan, publication, name, run_stages)
            finally:
                flush()
    click.echo(f"shadow build {name}: release {built.release.release_id}, which nobody is served")
    for check in built.failed:
        click.echo(f"its audit would keep it from being published: {check.explanation}")
    click.echo(f"`beforehand releases compare current {name}` compares it with the current release")


def _refuse_waiting_for_files(settings: Settings, name: str) -> None:
    if settings.batch.generate_with == "batch_files":
        raise ConfigurationError(
            f'--shadow {name}: [batch] generate_with = "batch_files" waits for files, which a shadow build can\'t; set '
            f'[shadow.{name}.batch] generate_with to "engine", "endpoints" or "batch_api"'
        )


def _refuse_runner(settings: Settings, plan: RunPlan, name: str) -> None:
    """Raise unless the runner is there, with workers that see the folder of a shadow build."""
    from batch.runner_check import require_runner, require_workers
    from batch.runners.options import pipeline_options, works_elsewhere
    from warehouse.objects.place import place_of

    require_runner(settings.batch)
    stored = place_of(settings.project.data) is not None
    if stored and works_elsewhere(settings.batch, pipeline_options(settings.batch)):
        raise ConfigurationError(
            f"--shadow {name}: its workers would share no folder with this machine, which a shadow build needs; set "
            f'[shadow.{name}.batch] runner = "embedded"'
        )
    require_workers(plan)
