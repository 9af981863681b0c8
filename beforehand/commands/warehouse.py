"""The commands for the warehouse: sql, releases, withdraw.

They read releases and write decisions; none needs a model, Beam or Prefect.
"""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import click

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
