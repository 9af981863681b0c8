"""The command `report`: what is to do, what changed and what it is worth, on one page."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
from markupsafe import Markup

from beforehand.commands.warehouse import compact_journal
from beforehand.configuration import Config, Settings, read_settings, reported
from rag.errors import ConfigurationError

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--output", type=_FILE, default=Path("report.html"), show_default=True, help="A name in .md: Markdown.")
@click.option("--days", type=click.IntRange(1, 366), default=30, show_default=True, help="Days of history to show.")
@click.option(
    "--collection", "collections", multiple=True, help="A collection to show, again for more; by default all."
)
@click.option("--review", help="Address of the review page, for links; by default that of the configured service.")
@click.option("--decision", is_flag=True, help="Add what each design would cost, with plots, as `decide` says it.")
@click.pass_obj
@reported
def report(
    config: Config, output: Path, days: int, collections: tuple[str, ...], review: str | None, decision: bool
) -> None:
    """Write a report on what is to do, what changed and what it is worth, as HTML or Markdown."""
    from warehouse.reporting.figures import Scope
    from warehouse.reporting.report import write_report

    settings = read_settings(config)
    for name in collections:
        if name not in settings.collections:
            raise ConfigurationError(f"--collection {name}: unknown; known are {', '.join(settings.collections)}")
    compact_journal(settings)
    write_report(
        settings.project.data,
        output.absolute(),
        settings.cost,
        Scope(days, datetime.now(UTC), collections or None),
        review=review or _review_address(settings),
        redaction=settings.history.redaction,
        annex=_designs(settings) if decision else Markup(),
    )
    click.echo(f"written to {output}")


def _designs(settings: Settings) -> Markup:
    from beforehand.commands.decide import decision
    from warehouse.economics.plots import section

    return Markup(section(decision(settings)))  # everything in it is escaped


def _review_address(settings: Settings) -> str | None:
    """Return the address of the review page of the configured service; without keys it has none."""
    service = settings.service
    return f"http://{service.host}:{service.port}{service.base_path}/review" if service.keys else None
