"""What `eval` prints: an evaluation as text or JSON, with the differences from the one before."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from warehouse.evaluation.answers import Answered
    from warehouse.evaluation.record import Evaluation, Measures
    from warehouse.evaluation.retrieval import Searched

_SHOWN = 10
_COUNTS = frozenset(("unjudged",))
_COLUMNS = ("questions", "recall@1", "recall@3", "recall@5", "recall@10", "mrr")
_WAYS = {"live": "live", "stored": "as the run stored it", "plain": "the run, without any help"}
"""Ways of searching in words; the others are named for the help of the language model."""


def described(evaluation: Evaluation, before: Evaluation | None, searched: Sequence[Searched]) -> Iterator[str]:
    """Yield an evaluation line by line, with the differences from the one before."""
    yield f"release {evaluation.release_id}, {evaluation.questions} golden questions"
    if before is None:
        yield "the first evaluation on record"
    else:
        same = before.golden_set == evaluation.golden_set
        yield f"compared with {before.release_id} of {before.at}" + ("" if same else ", on another golden set")
    unlocated = evaluation.questions - evaluation.located
    yield f"\nretrieval ({_counted(evaluation.located)} whose passages are known, {unlocated} left out)"
    yield from _rows(evaluation.retrieval, before.retrieval if before else {})
    for name, ways in evaluation.collections.items():
        yield from _ways_of_searching(name, ways, before.collections.get(name, {}) if before else {})
    yield f"\nanswers ({evaluation.answerable} questions say what is right)"
    yield from _rows(evaluation.answers, before.answers if before else {})
    yield f"  judged by {evaluation.judge}" if evaluation.judge else "  faith not judged: [evaluation] names no judge"
    missed = [each for each in searched if not each.in_prompt]
    if missed:
        yield f"\nnot in the prompt: {_counted(len(missed))}"
        yield from (f"  {each.golden.question} (rank {each.rank or 'none'})" for each in missed[:_SHOWN])
        if len(missed) > _SHOWN:
            yield f"  and {len(missed) - _SHOWN} more; --json lists them"


def _ways_of_searching(collection: str, ways: Mapping[str, Measures], before: Mapping[str, Measures]) -> Iterator[str]:
    """Yield a table of what each way of searching finds; its gain is that of the MRR over the plain ranking."""
    columns = "".join(f"{name:>11}" for name in (*_COLUMNS, "gain", "since last"))
    yield f"\nretrieval of {collection:<21}{columns}"
    for way, measures in ways.items():
        figures = "".join(f"{measures[name]:>11.{0 if name == 'questions' else 3}f}" for name in _COLUMNS)
        helped = way not in _WAYS and "plain" in ways
        gain = f"{measures['mrr'] - ways['plain']['mrr']:>+11.3f}" if helped else " " * 11
        since = f"{measures['mrr'] - before[way]['mrr']:>+11.3f}" if way in before else ""
        named = _WAYS.get(way, f"with {way.replace('_', ' ')}")
        yield f"  {named:<32}{figures}{gain}{since}".rstrip()


def _counted(questions: int) -> str:
    return f"{questions} question{'' if questions == 1 else 's'}"


def _rows(measures: Mapping[str, float], before: Mapping[str, float], width: int = 16) -> Iterator[str]:
    if not measures:
        yield "  nothing to measure"
    for name, value in measures.items():
        change = f"  {value - before[name]:+.3f}" if name in before and name not in _COUNTS else ""
        yield f"  {name:<{width}} {f'{value:.0f}' if name in _COUNTS else f'{value:.3f}'}{change}"


def print_gain(
    configured: Sequence[Searched], changed: Sequence[Searched], flags: Sequence[str], as_json: bool
) -> None:
    """Print what other settings of retrieval gain."""
    from warehouse.evaluation.retrieval import retrieval_measures

    before, after = retrieval_measures(configured), retrieval_measures(changed)
    if as_json:
        found = {"questions": len(configured), "configured": before, "changed": after, "settings": list(flags)}
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(f"{_counted(len(configured))} whose passages are known")
    click.echo(f"  {'':<16} configured  {' '.join(flags)}")
    if not before:
        click.echo("  nothing to measure")
    for name, value in before.items():
        click.echo(f"  {name:<16} {value:>10.3f}  {after[name]:.3f}  {after[name] - value:+.3f}")


def print_json(
    evaluation: Evaluation,
    before: Evaluation | None,
    searched: Sequence[Searched],
    answered: Sequence[Answered],
    sentences: Sequence[str],
) -> None:
    """Print an evaluation as JSON, with every question."""
    ranks = {(each.golden.collection, each.golden.query_key): each for each in searched}
    questions = []
    for each in answered:
        place = ranks.get((each.golden.collection, each.golden.query_key))
        questions.append(
            {
                "collection": each.golden.collection,
                "question": each.golden.question,
                "located": bool(each.right),
                "rank": place.rank if place else None,
                "in_prompt": place.in_prompt if place else None,
                "answer": each.answer,
                "cites_right": not each.right.isdisjoint(each.cited) if each.right else None,
            }
        )
    found = {**asdict(evaluation), "previous": asdict(before) if before else None, "by_question": questions}
    click.echo(json.dumps({**found, "warnings": [each.strip() for each in sentences]}, indent=2, ensure_ascii=False))
