"""The command `up`: everything on one machine, for someone who wants to see it run."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

import click

from beforehand.configuration import Config, Settings, as_environment, read_settings, reported
from beforehand.parts import Part, RunningPart, running_parts, wait_until_ended, wait_until_well


def parts_of(settings: Settings) -> list[Part]:
    """Return what `up` starts: no language model where the configuration names a server, or the service loads it."""
    schedule = settings.schedule
    own_model = settings.llm.mode == "endpoint" and "endpoint" not in settings.llm.model_fields_set
    model = Part("llm", f"language model {settings.llm.model}", ("llm",), r"at (http\S+)/v1;", "/health")
    return [
        *([model] if own_model else []),
        Part("serve", "answers, FAQ page at /", ("serve",), r"serving answers at (http\S+)", "/healthz"),
        Part(
            "schedule",
            f"Prefect's page; builds at {schedule.cron!r} ({schedule.timezone})",
            ("schedule",),
            r"Prefect's page: (http\S+)",
            "/api/health",
        ),
    ]


def table(running: Sequence[RunningPart]) -> str:
    """Return where each part is."""
    rows = [(each.part.name, each.url or "", each.part.what) for each in running]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{name:<{widths[0]}}  {url:<{widths[1]}}  {what}" for name, url, what in rows)


@click.command()
@click.pass_obj
@reported
def up(config: Config) -> None:
    """Start the language model, the answer service and the schedule with Prefect's page, until Ctrl-C."""
    settings = read_settings(config)
    os.environ |= as_environment(config[1])  # the parts are processes of their own

    def say(line: str) -> None:
        click.echo(line, err=True)

    parts = parts_of(settings)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a build has its seconds to end then, too
    say(f"starting {', '.join(each.name for each in parts)}; a language model takes a minute or two")
    try:
        with running_parts(parts, config[0].resolve(), settings.project.data / "logs" / "up", say) as running:
            wait_until_well(running)
            say(f"\n{table(running)}\n\nall of it runs until Ctrl-C; the first release: `beforehand run`")
            wait_until_ended(running)
    except KeyboardInterrupt:
        say("all of it has stopped")
