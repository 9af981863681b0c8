"""The command `decide`: which design is the cheapest that meets the goals, for this traffic."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from beforehand.configuration import Config, Settings, read_settings, reported

if TYPE_CHECKING:
    from warehouse.economics.decision import BreakEven, Decision, Scenario


@click.command()
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page with plots too.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
@reported
def decide(config: Config, html: Path | None, as_json: bool) -> None:
    """Compare monolith, microservices, batch window and hosted API: cost, GPUs, latency, break-even.

    What the section [decide] leaves open is taken from the history, the run log and the release; a file with that
    section alone suffices: `beforehand --config company.toml decide`.
    """
    from warehouse.durable import replace_file, storage_errors

    found = decision(read_settings(config))
    if html is not None:
        from warehouse.economics.plots import page

        with storage_errors(html.absolute().parent, f"write {html.name}"):
            replace_file(html.absolute(), page(found).encode())
    click.echo(json.dumps(asdict(found), indent=2, ensure_ascii=False) if as_json else "\n".join(described(found)))


def decision(settings: Settings) -> Decision:
    """Return the comparison for a project's history and settings."""
    from warehouse.economics.decision import decide as compare
    from warehouse.economics.observed import completed
    from warehouse.economics.queueing import Limits

    given = settings.decide
    shared: dict[str, object] = {
        name: getattr(settings.cost, name)
        for name in ("gpu_hour", "currency")
        if name in settings.cost.model_fields_set and name not in given.model_fields_set
    }
    service = settings.service
    limits = Limits(
        service.concurrency,
        service.concurrency_limit,
        service.target_seconds,
        service.queue_length,
        service.queue_seconds,
    )
    given, sources = completed(given.model_copy(update=shared), settings.project.data, datetime.now(UTC).date())
    return compare(given, limits, sources)


def described(found: Decision) -> Iterator[str]:
    """Yield the comparison line by line."""
    from warehouse.economics.plots import figure

    currency = str(found.assumptions["currency"])
    for scenario in found.scenarios:
        yield from _table(scenario, currency)
        yield ""
    yield "where it turns, everything else as assumed"
    yield from (f"  {_turn(each, figure(each.value))}" for each in found.break_even)
    if not found.break_even:
        yield "  nowhere in the range that was tried"
    yield "\nassumptions ([decide] or --set decide.NAME=VALUE changes them)"
    for name, value in found.assumptions.items():
        shown = figure(value) if isinstance(value, int | float) else str(value)
        yield f"  {name:<26} {shown:>12}  {found.sources.get(name, '')}"


def _table(scenario: Scenario, currency: str) -> Iterator[str]:
    best = scenario.cheapest
    yield f"{scenario.name}: {f'{best} is the cheapest that meets the goals' if best else 'no design meets the goals'}"
    yield f"  {'design':<16} {currency + ' a month':>14} {'GPUs':>5} {'p50':>9} {'p99':>9} {'refused':>8}  goals"
    for each in scenario.verdicts:
        yield (
            f"  {each.design:<16} {each.cost:>14,.2f} {each.gpus:>5} {each.p50:>7.3f} s {each.p99:>7.2f} s "
            f"{each.refused:>8.1%}  {'met' if each.meets else 'not met'}"
        )


def _turn(each: BreakEven, value: str) -> str:
    better = "is the cheapest" if each.among == "all" else "is cheaper"
    return f"{each.assumption} from {value} on: {each.above} {better}; below: {each.below}"
