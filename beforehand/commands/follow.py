"""The command `follow`: releases while the day goes on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import click

from beforehand.configuration import Config, as_environment, prepare_environment, read_settings, reported

_BUDGET = "BEFOREHAND_BATCH__BUDGET_TOKENS"


@click.command()
@click.pass_obj
@reported
def follow(config: Config) -> None:
    """Build small releases as documents and visitors' questions come, until Ctrl-C or SIGTERM."""
    settings = read_settings(config)
    os.environ |= as_environment(config[1])  # builds are processes of their own
    prepare_environment(settings)
    from batch.sources.source_files import refuse_missing
    from beforehand.run_plan import compose_plan
    from flows.build_release import find_misses
    from flows.command import Ended, command
    from flows.follow import FOLLOW
    from flows.follow import follow as follow_project
    from flows.news import Lookout
    from flows.prefect_server import TRIGGER

    plan = compose_plan(settings, "follow")
    refuse_missing(plan)
    path, own = str(Path(config[0]).resolve()), settings.batch.budget_tokens

    def build(tokens: int | None) -> Ended:
        allowed = [each for each in (tokens, own) if each is not None]
        budget = {_BUDGET: str(min(allowed))} if allowed else {}
        with command(path, "run", environment={TRIGGER: FOLLOW, **budget}) as child:
            return child.wait(lambda _: None)

    for each in (signal.SIGINT, signal.SIGTERM):  # a job in the background of a shell ignores the first
        signal.signal(each, signal.default_int_handler)
    limits = settings.follow
    click.echo(
        f"following {', '.join(plan.collections)}: a look every {limits.poll_seconds:g} s, at most "
        f"{limits.builds_an_hour} builds an hour, until Ctrl-C",
        err=True,
    )
    lookout = Lookout(plan, settings.history, find_misses)
    follow_project(settings.project.data, limits, lookout, build, lambda line: click.echo(line, err=True))
