"""The command `bisect`: between which releases an answer changed, and by which cause."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from beforehand.commands.warehouse import only_collection
from beforehand.configuration import Config, Settings, read_settings, reported
from rag.errors import ConfigurationError
from rag.identity import query_key

if TYPE_CHECKING:
    from warehouse.analysis.bisection import AnswerThen, Bisection

_KEY = re.compile("[0-9a-f]{32}")
_LONGEST = 160


@click.command("bisect")
@click.argument("question")
@click.option("--collection", help="The question's collection, if there are several.")
@click.option("--filter", "filters", multiple=True, metavar="FIELD=VALUE", help="A filter of the question; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, with whole answers.")
@click.pass_obj
@reported
def bisect(config: Config, question: str, collection: str | None, filters: tuple[str, ...], as_json: bool) -> None:
    """Say between which releases the answer to QUESTION (its text or its key) changed, and by which cause."""
    from warehouse.analysis.bisection import bisect as find_changes

    settings = read_settings(config)
    found = find_changes(settings.project.data, _key(settings, question, collection, filters))
    click.echo(json.dumps(asdict(found), indent=2, ensure_ascii=False) if as_json else "\n".join(described(found)))


def _key(settings: Settings, question: str, collection: str | None, filters: tuple[str, ...]) -> str:
    if _KEY.fullmatch(question):
        return question
    name = collection or only_collection(settings)
    if name not in settings.collections:
        raise ConfigurationError(f"--collection {name}: unknown; known are {', '.join(settings.collections)}")
    given = dict(each.partition("=")[::2] for each in filters)
    filtering = settings.collections[name].filtering
    if unknown := sorted(set(given) - set(filtering.fields)):
        declared = ", ".join(filtering.fields) or "none"
        raise ConfigurationError(f"--filter {unknown[0]}: the collection {name} has no such filter; it has {declared}")
    return query_key(name, question, filtering.of(given))


def described(found: Bisection) -> Iterator[str]:
    """Yield the history of an answer line by line."""
    question = found.last.question or found.first.question
    yield f"{question}: changed {len(found.steps)} times in {found.releases} releases"
    yield f"\n{found.first.release_id} (the oldest that is kept)\n  {_told(found.first)}"
    for step in found.steps:
        documents = f" [{', '.join(step.documents)}]" if step.documents else ""
        yield f"\n{step.before.release_id} -> {step.after.release_id}: {', '.join(step.causes)}{documents}"
        yield f"  {_told(step.after)}"


def _told(then: AnswerThen) -> str:
    if then.answer is None:
        return "(no answer)"
    text = " ".join(then.answer.split())
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return text if then.status == "served" else f"(withheld: {then.withheld_reason}) {text}"
