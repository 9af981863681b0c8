"""The command `eval`: measures a release on the golden questions, beside the last evaluation or other settings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from beforehand.configuration import Config, Settings, read_settings, reported
from beforehand.run_plan import golden_questions
from rag.errors import ConfigurationError, IndexUnusableError

if TYPE_CHECKING:
    from rag.settings import RetrievalSettings
    from warehouse.audit.golden import Golden
    from warehouse.evaluation.answers import Answered
    from warehouse.evaluation.record import Evaluation
    from warehouse.evaluation.retrieval import Searched
    from warehouse.releases.release import Release
    from warehouse.settings import EvaluationSettings

Located = Sequence[tuple["Golden", frozenset[str]]]
_SHOWN = 10
_COUNTS = frozenset(("unjudged",))


@click.command("eval")
@click.argument("release", required=False)
@click.option(
    "--set",
    "changed",
    multiple=True,
    metavar="retrieval.KEY=VALUE",
    help="Retrieve with this setting too, and show what it gains; repeatable. Nothing is recorded.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, question by question.")
@click.pass_obj
@reported
def evaluate(config: Config, release: str | None, changed: tuple[str, ...], as_json: bool) -> None:
    """Measure retrieval and answers of RELEASE (by default the current one) on the golden questions."""
    settings = read_settings(config)
    if (settings.evaluation.judge_endpoint is None) != (settings.evaluation.judge_model is None):
        raise ConfigurationError("[evaluation]: judge_endpoint and judge_model belong together; give both or neither")
    other = read_settings((config[0], (*config[1], *map(_of_retrieval, changed)))) if changed else None
    from warehouse.append_log import now
    from warehouse.evaluation.record import Evaluation, golden_set, keep, last
    from warehouse.evaluation.retrieval import Models, locate_in_release, retrieval_measures
    from warehouse.releases.release import current, find

    found = find(settings.project.data, release) if release else current(settings.project.data)
    golden = _golden_in(settings, found)
    located = locate_in_release(found, golden)
    models = Models.load(found) if any(right for _, right in located) else None
    searched = _searched(found, located, settings.retrieval, models)
    if other is not None:
        compared = _searched(found, located, other.retrieval, models)
        _print_gain(searched, compared, changed, as_json)
        return
    answered, answers = _answers(settings, found, located)
    evaluation = Evaluation(
        at=now(),
        release_id=found.release_id,
        golden_set=golden_set(golden),
        questions=len(golden),
        located=len(searched),
        answerable=sum(each.judges_answers for each in golden),
        settings=settings.retrieval.recorded(),
        retrieval=retrieval_measures(searched),
        answers=answers,
        judge=settings.evaluation.judge_model,
    )
    before = last(settings.project.data)
    keep(settings.project.data, evaluation)
    if as_json:
        click.echo(json.dumps(_as_json(evaluation, before, searched, answered), indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(described(evaluation, before, searched)))


def _of_retrieval(flag: str) -> str:
    if not flag.startswith("retrieval.") or "=" not in flag:
        raise ConfigurationError(
            f"--set {flag}: `eval` compares settings of retrieval; write retrieval.KEY=VALUE, as in "
            "--set retrieval.late_candidates=0 (other settings come before `eval`)"
        )
    if flag.startswith("retrieval.language="):
        raise ConfigurationError(
            "--set retrieval.language: the release's index was built with its language; build another release"
        )
    return flag


def _golden_in(settings: Settings, release: Release) -> Sequence[Golden]:
    """Return the golden questions of the collections that a release has: of the files, and of the team's own lists.

    Raises:
        ConfigurationError: there are none.
    """
    import duckdb

    from warehouse.audit.expected_questions import expected_questions

    golden = golden_questions(settings)
    known = {each.name for each in (release.path / "collections").glob("*")}
    with duckdb.connect(str(release.database), read_only=True) as tables:
        listed = expected_questions(tables, {each.query_key for each in golden})
    inside = [each for each in (*golden, *listed) if each.collection in known]
    if not inside and golden:
        raise ConfigurationError(
            f"[audit] golden: of {len(golden)} golden questions none is about a collection of release "
            f"{release.release_id} ({', '.join(sorted(known)) or 'it has no indexes'})"
        )
    if not inside:
        raise ConfigurationError(
            "[audit] golden names no file of golden questions, and no question of the lists says what is `expected`; "
            "`eval` measures on them"
        )
    return inside


def _searched(release: Release, located: Located, settings: RetrievalSettings, models: object) -> Sequence[Searched]:
    from warehouse.evaluation.retrieval import Models, search

    if not isinstance(models, Models):
        return []
    if settings.reranker and models.reranker is None:
        raise IndexUnusableError(
            f"[retrieval] reranker: release {release.release_id} carries none; build another with it"
        )
    return search(release, located, settings, models)


def _answers(settings: Settings, release: Release, located: Located) -> tuple[Sequence[Answered], Mapping[str, float]]:
    from warehouse.evaluation.answers import answer_measures, read_answers

    answered = read_answers(release, located)
    measures = answer_measures(answered)
    return answered, {**measures, **asyncio.run(_judged(settings.evaluation, answered))}


async def _judged(judge: EvaluationSettings, answered: Sequence[Answered]) -> Mapping[str, float]:
    if judge.judge_endpoint is None or judge.judge_model is None:
        return {}
    from rag.llm.openai_client import OpenAIEndpoint
    from warehouse.evaluation.answers import judge_faith

    key = judge.judge_api_key.get_secret_value() if judge.judge_api_key else None
    llm = OpenAIEndpoint(judge.judge_endpoint.get_secret_value(), judge.judge_model, key, judge.judge_timeout_seconds)
    try:
        return await judge_faith(answered, llm)
    finally:
        await llm.aclose()


# -- as text and JSON --------------------------------------------------------------------------------------


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
    yield f"\nanswers ({evaluation.answerable} questions say what is right)"
    yield from _rows(evaluation.answers, before.answers if before else {})
    yield f"  judged by {evaluation.judge}" if evaluation.judge else "  faith not judged: [evaluation] names no judge"
    missed = [each for each in searched if not each.in_prompt]
    if missed:
        yield f"\nnot in the prompt: {_counted(len(missed))}"
        yield from (f"  {each.golden.question} (rank {each.rank or 'none'})" for each in missed[:_SHOWN])
        if len(missed) > _SHOWN:
            yield f"  and {len(missed) - _SHOWN} more; --json lists them"


def _counted(questions: int) -> str:
    return f"{questions} question{'' if questions == 1 else 's'}"


def _rows(measures: Mapping[str, float], before: Mapping[str, float], width: int = 16) -> Iterator[str]:
    if not measures:
        yield "  nothing to measure"
    for name, value in measures.items():
        change = f"  {value - before[name]:+.3f}" if name in before and name not in _COUNTS else ""
        yield f"  {name:<{width}} {f'{value:.0f}' if name in _COUNTS else f'{value:.3f}'}{change}"


def _print_gain(
    configured: Sequence[Searched], changed: Sequence[Searched], flags: Sequence[str], as_json: bool
) -> None:
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


def _as_json(
    evaluation: Evaluation, before: Evaluation | None, searched: Sequence[Searched], answered: Sequence[Answered]
) -> dict[str, object]:
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
    return {**asdict(evaluation), "previous": asdict(before) if before else None, "by_question": questions}
