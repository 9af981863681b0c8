"""The commands `generate`: answers that are generated elsewhere, in batches of a server or by files."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from beforehand.configuration import Config, Settings, read_settings, reported
from beforehand.model_servers import ask_batches
from beforehand.run_plan import compose_plan, run_for_stage
from rag.errors import ConfigurationError, LlmError, LlmRefusedError

if TYPE_CHECKING:
    from batch.generation.batch_lines import Failure
    from batch.generation.submissions import Submission

_SHOWN = 10


@click.group("generate")
def generate() -> None:
    """Have answers generated elsewhere: by files on any machine, or by a server's Batch API."""


@generate.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--run", "run_id", help="The run whose prompts are meant; by default the last one.")
@click.pass_obj
@reported
def export_prompts(config: Config, file: Path, run_id: str | None) -> None:
    """Write the prompts that have no answer to FILE, as lines of OpenAI's batch format."""
    settings = read_settings(config)
    from batch.generation.batch_files import export
    from batch.stages.generate import in_order, plan_prompts, prompts_folder, task_of

    plan = compose_plan(settings, run_id or run_for_stage(settings, "generate"))
    if not Path(prompts_folder(plan)).is_dir():
        raise ConfigurationError(f"run {plan.run_id} has no prompts; `beforehand run` makes them")
    pending, _ = plan_prompts(plan)
    if not pending:
        click.echo("every prompt has an answer", err=True)
        return
    export(plan, prompts_folder(plan), in_order(plan, pending), task_of(plan), file.resolve())
    click.echo(f"{len(pending):,} prompts for {plan.llm.name} are in {file}")


@generate.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.pass_obj
@reported
def import_answers(config: Config, files: tuple[Path, ...]) -> None:
    """Take the answers of FILES, lines of OpenAI's batch format as vLLM's run-batch writes them.

    The next run publishes them; lines that can't be used become its rejects.
    """
    settings = read_settings(config)
    from batch.generation.batch_files import import_results

    data = str(settings.project.data)
    results = import_results(data, f"{data}/answers", files)
    click.echo(f"{len(results.answers):,} answers are taken; `beforehand run` goes on with them")
    if results.known:
        click.echo(f"{results.known:,} were known before", err=True)
    _show_failures(results.failures)
    if results.failures and not (results.answers or results.known):
        raise ConfigurationError(f"no line of {', '.join(map(str, files))} could be used")


def _show_failures(failures: Sequence[Failure]) -> None:
    for each in failures[:_SHOWN]:
        click.echo(each.reason, err=True)
    if len(failures) > _SHOWN:
        click.echo(f"and {len(failures) - _SHOWN:,} lines more", err=True)


@generate.command("status")
@click.pass_obj
@reported
def show_waiting(config: Config) -> None:
    """List what is being generated elsewhere, with the state of each batch."""
    settings = read_settings(config)
    from batch.generation.submissions import open_submissions

    waiting = open_submissions(str(settings.project.data))
    for each in waiting:
        told = each.file if each.kind == "batch_files" else f"{each.batch or 'not confirmed'} at {each.address}"
        click.echo(f"{each.begun[:19]}  {len(each.fingerprints):,} prompts  {told}  {_state(settings, each)}".rstrip())
    if not waiting:
        click.echo("nothing is being generated elsewhere", err=True)


def _state(settings: Settings, submission: Submission) -> str:
    if not submission.batch:
        return ""
    try:
        batch = asyncio.run(ask_batches(settings, lambda client: client.get(submission.batch)))
    except LlmError as error:
        return str(error)
    return f"{batch.status}, {batch.done:,} done"


@generate.command("cancel")
@click.pass_obj
@reported
def cancel_batches(config: Config) -> None:
    """Cancel the batches at the server; the next run keeps what they have answered."""
    settings = read_settings(config)
    from batch.generation.submissions import open_submissions

    waiting = [each for each in open_submissions(str(settings.project.data)) if each.batch]
    for each in waiting:
        click.echo(f"{each.batch}: {_cancelled(settings, each.batch)}")
    if not waiting:
        click.echo("no batch is under way", err=True)


def _cancelled(settings: Settings, batch: str) -> str:
    try:
        return asyncio.run(ask_batches(settings, lambda client: client.cancel(batch))).status
    except LlmRefusedError as error:  # it has ended
        return str(error)
