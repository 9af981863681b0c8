"""The commands for the warehouse: sql, releases, withdraw, review, report.

They read releases and write decisions; none needs a model, Beam or Prefect.
"""

from __future__ import annotations

import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import click
from markupsafe import Markup

from beforehand.configuration import Config, Settings, read_settings, reported
from beforehand.lazy_group import LazyGroup
from rag.errors import ConfigurationError

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("query", required=False)
@click.option("--release", help="The release to query; by default the current one.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json", "jsonl", "parquet"]),
    help="By default that of --output's ending; on the terminal a table.",
)
@click.option("--output", type=_FILE, help="Write to a file: .csv, .json, .jsonl, .parquet, or .txt for a table.")
@click.pass_obj
@reported
def sql(config: Config, query: str | None, release: str | None, form: str | None, output: Path | None) -> None:
    """Query the releases and the history in SQL; without QUERY, list the tables, views and macros."""
    settings = read_settings(config)
    from warehouse.analysis.connection import connect
    from warehouse.analysis.query_output import LONGEST_CELL, format_of, result_file, write_result
    from warehouse.history.compaction import naming_torn_days
    from warehouse.sql import sql_text

    form = form or ("table" if output is None else format_of(output))
    text, longest = (query, LONGEST_CELL) if query else (sql_text("list_tables.sql"), None)
    compact_journal(settings)
    data = settings.project.data
    with (
        naming_torn_days(data),
        closing(connect(data, release, settings.cost, settings.history.redaction)) as connection,
    ):
        if output is None:
            write_result(connection, text, form, sys.stdout.buffer, longest)
        else:
            with result_file(output, form) as file:
                rows = write_result(connection, text, form, file, longest)
            click.echo(f"{rows:,} rows written to {output}", err=True)


def compact_journal(settings: Settings) -> None:
    """Compact the journal, so that the newest requests are included; warn if the data folder can't be written."""
    from warehouse.errors import StorageError
    from warehouse.history.shared_compaction import compact_journal as compact

    try:
        compact(settings.project.data, settings.history)
    except StorageError as error:
        click.echo(f"beforehand: the newest requests may be missing: {error}", err=True)


_RELEASES = {
    "certify": "beforehand.release_check:certify",
    "check": "beforehand.release_check:check_current",
    "compare": "beforehand.commands.compare:compare",
}


@click.group(cls=LazyGroup, lazy=_RELEASES)
def releases() -> None:
    """List, show, compare, verify, roll back and prune releases."""


@releases.command("list")
@click.pass_obj
@reported
def list_releases(config: Config) -> None:
    """List the releases, the current one marked, and the builds that failed their audit."""
    from warehouse.analysis.release_summary import describe_releases

    for line in describe_releases(read_settings(config).project.data):
        click.echo(line)


@releases.command("show")
@click.argument("release", required=False)
@click.pass_obj
@reported
def show_release(config: Config, release: str | None) -> None:
    """Show the contents of RELEASE (or of a failed build) and its audit; by default the current one."""
    from warehouse.analysis.release_summary import describe_release
    from warehouse.releases.release import current, find

    data = read_settings(config).project.data
    click.echo(describe_release(find(data, release) if release else current(data)))


@releases.command("diff")
@click.argument("before")
@click.argument("after")
@click.option("--full", is_flag=True, help="Show both answers of each question.")
@click.pass_obj
@reported
def diff_releases(config: Config, before: str, after: str, full: bool) -> None:
    """Show which questions were added, dropped or answered differently between two releases, and why."""
    from warehouse.analysis.diff import diff
    from warehouse.analysis.release_summary import describe_differences
    from warehouse.releases.release import find

    data = read_settings(config).project.data
    click.echo(describe_differences(diff(find(data, before), find(data, after)), full=full))


@releases.command("rollback")
@click.argument("release", required=False)
@click.option("--by", help="Who does it; by default the name of the account.")
@click.option("--reason", help="Why; recorded with it in publications.jsonl.")
@click.pass_obj
@reported
def rollback_release(config: Config, release: str | None, by: str | None, reason: str | None) -> None:
    """Make RELEASE the current one again; by default the one before the current."""
    from warehouse.releases.rollback import rollback

    target = rollback(read_settings(config).project.data, release, by, reason)
    click.echo(f"current release: {target.release_id}")


@releases.command("verify")
@click.argument("release", required=False)
@click.pass_obj
@reported
def verify_release(config: Config, release: str | None) -> None:
    """Compute the checksums of RELEASE (by default the current one) and of its tables again; say what was changed."""
    from warehouse.releases.release import current, find
    from warehouse.releases.verification import changes_since_sealed

    data = read_settings(config).project.data
    found = find(data, release) if release else current(data)
    changes = changes_since_sealed(found)
    for sentence in changes:
        click.echo(f"{found.release_id}: {sentence}", err=True)
    if changes:
        click.echo("Who changed it is not recorded. `beforehand releases rollback` goes back to another.", err=True)
        sys.exit(2)
    click.echo(f"{found.release_id}: all files and tables are as they were sealed")


@releases.command("prune")
@click.option("--keep", type=click.IntRange(min=1), help="How many releases to keep; by default as configured.")
@click.pass_obj
@reported
def prune_releases(config: Config, keep: int | None) -> None:
    """Remove old releases, except the current one and those held by a server."""
    from warehouse.releases.retention import prune

    settings = read_settings(config)
    pruned = prune(settings.project.data, settings.releases.keep if keep is None else keep)
    click.echo(f"removed {len(pruned.removed)} releases, {len(pruned.held)} are still held by a server")


@click.command()
@click.argument("document")
@click.option("--collection", help="The document's collection, if there are several.")
@click.option("--reason", help="Recorded with it; by default 'withdrawn by hand', or 'reinstated by hand'.")
@click.option("--undo", is_flag=True, help="Undo the withdrawal.")
@click.pass_obj
@reported
def withdraw(config: Config, document: str, collection: str | None, reason: str | None, undo: bool) -> None:
    """Stop serving every answer that rests on DOCUMENT, at once, also in running servers."""
    from warehouse.editorial.known_documents import refuse_unknown_document
    from warehouse.editorial.withdrawal import reinstate
    from warehouse.editorial.withdrawal import withdraw as withdraw_document

    settings = read_settings(config)
    name = collection or only_collection(settings)
    if name not in settings.collections:
        raise ConfigurationError(f"--collection {name}: unknown; known are {', '.join(settings.collections)}")
    if undo:
        reinstate(settings.project.data, name, document, reason or "reinstated by hand")
    else:
        refuse_unknown_document(settings.project.data, name, document)
        withdraw_document(settings.project.data, name, document, reason or "withdrawn by hand")
    click.echo(f"{document} of {name} is {'back' if undo else 'withdrawn'}")


def only_collection(settings: Settings) -> str:
    """Return the only collection.

    Raises:
        ConfigurationError: there are several, or none.
    """
    if len(settings.collections) != 1:
        raise ConfigurationError(f"name one of the collections with --collection: {', '.join(settings.collections)}")
    return next(iter(settings.collections))


@click.group()
def review() -> None:
    """Export withheld and doubtful answers for review, and import decisions."""


@review.command("export")
@click.argument("target", type=_FILE)
@click.option("--near-misses", is_flag=True, help="Export pairs of questions that nearly hit, for labelling, instead.")
@click.option("--wordings", is_flag=True, help="Export wordings that the judge is not sure about, instead.")
@click.option("--pairs", is_flag=True, help="Export pairs of answers for a blind verdict (releases compare), instead.")
@click.pass_obj
@reported
def export_review(config: Config, target: Path, near_misses: bool, wordings: bool, pairs: bool) -> None:
    """Write everything that waits for a person, with its evidence, to TARGET (.csv, .xlsx, .jsonl or .parquet)."""
    from warehouse.editorial.review import export_near_misses, export_pairs, export_reviews, export_wordings

    if near_misses + wordings + pairs > 1:
        raise ConfigurationError("--near-misses, --wordings and --pairs go into files of their own; name one of them")
    settings = read_settings(config)
    compact_journal(settings)
    data = settings.project.data
    if pairs:
        export, noun = export_pairs, "pair"
    elif near_misses:
        export, noun = export_near_misses, "pair"
    else:
        export, noun = (export_wordings, "wording") if wordings else (export_reviews, "answer")
    count = export(data, target)
    noun += "" if count == 1 else "s"
    click.echo(f"{count} {noun} written to {target}")


@review.command("import")
@click.argument("source", type=_FILE)
@click.option("--reviewer", required=True, help="The reviewer of rows that name none.")
@click.pass_obj
@reported
def import_review(config: Config, source: Path, reviewer: str) -> None:
    """Import the decisions in SOURCE; they hold at once. Rows that can't hold are named, and the exit code is 2."""
    from warehouse.editorial.review_import import import_reviews

    imported = import_reviews(read_settings(config).project.data, source, reviewer)
    for row in imported.rows:
        if row.message:
            place = f"row {row.row}" + (f" ({row.question})" if row.question else "")
            click.echo(f"{place}: {'' if row.held else 'does not hold: '}{row.message}", err=True)
    decided = ", ".join(f"{count} {decision}" for decision, count in imported.decisions.items() if count)
    held = f"held: {decided or 'no decisions'}, {imported.pairs} pairs"
    held += f", {imported.wordings} wordings" if imported.wordings else ""
    held += f", {imported.verdicts} verdicts" if imported.verdicts else ""
    click.echo(f"{held}; not held: {len(imported.refused)}; undecided: {imported.undecided}")
    if imported.refused:
        sys.exit(2)


@review.command("join")
@click.argument("kept")
@click.argument("other")
@click.option("--reviewer", required=True, help="Who decides.")
@click.option("--collection", help="The collection of both questions, if they are asked in several.")
@click.option("--undo", is_flag=True, help="Take the joining back.")
@click.pass_obj
@reported
def join_questions(config: Config, kept: str, other: str, reviewer: str, collection: str | None, undo: bool) -> None:
    """Make the question OTHER a wording of the question KEPT, from the next release on; both by text or key."""
    from warehouse.editorial.joining import pair, rule, ruled_on

    data = read_settings(config).project.data
    found = pair(data, kept, other, collection)
    if undo and ruled_on(data, found) != "join":
        raise ConfigurationError(f"{found.question!r} is not joined to {found.kept_question!r}")
    rule(data, found, reviewer, "separate" if undo else "join")
    what = "is a question of its own again" if undo else f"becomes a wording of {found.kept_question!r}"
    click.echo(f"{found.question!r} {what} with the next release")


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
        review=review or review_address(settings),
        redaction=settings.history.redaction,
        annex=_designs(settings) if decision else Markup(),
    )
    click.echo(f"written to {output}")


def _designs(settings: Settings) -> Markup:
    from beforehand.commands.decide import decision
    from warehouse.economics.plots import section

    return Markup(section(decision(settings)))  # everything in it is escaped


def review_address(settings: Settings) -> str | None:
    """Return the address of the review page of the configured service; without keys it has none."""
    service = settings.service
    return f"http://{service.host}:{service.port}{service.base_path}/review" if service.keys else None
