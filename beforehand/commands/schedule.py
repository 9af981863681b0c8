"""The command `schedule`: Prefect's server and page, and the flows that it runs in time."""

from __future__ import annotations

import os

import click

from beforehand.configuration import Config, as_environment, prepare_environment, read_settings, reported


@click.command()
@click.pass_obj
@reported
def schedule(config: Config) -> None:
    """Build a release in every batch window and do the chores around it, until stopped."""
    settings = read_settings(config)
    os.environ |= as_environment(config[1])  # builds are processes of their own
    prepare_environment(settings)
    from flows.prefect_server import page_address, prefect_server

    plan = settings.schedule
    with prefect_server(settings.project.data / "prefect", port=plan.port) as server:
        click.echo(f"Prefect's page: {page_address()} (starting)", err=True)
        from flows.schedule import keep_schedule
        from flows.settle import settle_before_schedule

        if server is not None:
            server.wait_until_ready()
        settle_before_schedule(settings.project.data, settings.alerts.webhook, own_server=server is not None)
        click.echo(f"a release is built at {plan.cron!r} ({plan.timezone}), until Ctrl-C", err=True)
        keep_schedule(config[0], plan, settings.project.data, settings.history.recorded(), settings.alerts.webhook)
