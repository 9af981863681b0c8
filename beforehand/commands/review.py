"""The command `review`: what waits for a person goes out in files, and decisions come back."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from beforehand.commands.warehouse import compact_journal
from beforehand.configuration import Config, read_settings, reported
from rag.errors import ConfigurationError

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def review() -> None:
    """Export withheld and doubtful answers for review, and import decisions."""


@review.command("export")
@click.argument("target", type=_FILE)
@click.option("--near-misses", is_flag=True, help="Export pairs of questions that nearly hit, for labelling, instead.")
@click.option("--wordings", is_flag=True, help="Export wordings that the judge is not sure about, instead.")
@click.option("--all", "decided", is_flag=True, help="With --wordings: also what was ruled to be a wording or a fence.")
@click.option("--pairs", is_flag=True, help="Export pairs of answers for a blind verdict (releases compare), instead.")
@click.pass_obj
@reported
def export_review(config: Config, target: Path, near_misses: bool, wordings: bool, decided: bool, pairs: bool) -> None:
    """Write everything that waits for a person, with its evidence, to TARGET (.csv, .xlsx, .jsonl or .parquet)."""
    from warehouse.editorial.review import export_near_misses, export_pairs, export_reviews, export_wordings

    if near_misses + wordings + pairs > 1:
        raise ConfigurationError("--near-misses, --wordings and --pairs go into files of their own; name one of them")
    if decided and not wordings:
        raise ConfigurationError("--all belongs to --wordings: write `review export --wordings --all FILE`")
    settings = read_settings(config)
    compact_journal(settings)
    data = settings.project.data
    if pairs:
        export, noun = export_pairs, "pair"
    elif near_misses:
        export, noun = export_near_misses, "pair"
    else:
        export, noun = (
            (partial(export_wordings, decided=decided), "wording") if wordings else (export_reviews, "answer")
        )
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
    from warehouse.editorial.joining import joined_pair, pair, rule

    data = read_settings(config).project.data
    found = (joined_pair if undo else pair)(data, kept, other, collection)
    rule(data, found, reviewer, "separate" if undo else "join")
    what = "is a question of its own again" if undo else f"becomes a wording of {found.kept_question!r}"
    click.echo(f"{found.question!r} {what} with the next release")
