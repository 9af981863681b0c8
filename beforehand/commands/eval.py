"""The command `eval`: measures a release on the golden questions, beside the last evaluation or other settings."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from beforehand.commands.eval_output import described, print_gain, print_json
from beforehand.configuration import Config, Settings, read_settings, reported
from beforehand.model_names import served_name
from beforehand.model_servers import refuse_judge
from beforehand.run_plan import golden_questions
from rag.errors import ConfigurationError, IndexUnusableError, ModelError

if TYPE_CHECKING:
    from batch.plan import RunPlan
    from batch.retrieval.help_gain import HelpGain
    from rag.settings import RetrievalSettings
    from warehouse.audit.golden import Golden
    from warehouse.evaluation.answers import Answered
    from warehouse.evaluation.record import Measures
    from warehouse.evaluation.retrieval import Searched
    from warehouse.releases.release import Release
    from warehouse.settings import EvaluationSettings

Located = Sequence[tuple["Golden", frozenset[str]]]


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
    refuse_judge(settings)
    from warehouse.append_log import now
    from warehouse.evaluation.record import Evaluation, golden_set, keep, last
    from warehouse.evaluation.retrieval import Models, locate_in_release, read_stored, retrieval_measures
    from warehouse.releases.release import current, find

    found = find(settings.project.data, release) if release else current(settings.project.data)
    golden = _golden_in(settings, found)
    located = locate_in_release(found, golden)
    models = Models.load(found) if any(right for _, right in located) else None
    searched = _searched(found, located, settings.retrieval, models)
    if other is not None:
        compared = _searched(found, located, other.retrieval, models)
        print_gain(searched, compared, changed, as_json)
        return
    answered, answers = _answers(settings, found, located)
    collections, sentences = _ways(settings, found, golden, searched, read_stored(found, located))
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
        collections=collections,
    )
    before = last(settings.project.data)
    keep(settings.project.data, evaluation)
    if as_json:
        print_json(evaluation, before, searched, answered, sentences)
    else:
        click.echo("\n".join([*described(evaluation, before, searched), *sentences]))


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


def _ways(
    settings: Settings,
    release: Release,
    golden: Sequence[Golden],
    searched: Sequence[Searched],
    stored: Sequence[Searched],
) -> tuple[dict[str, dict[str, Measures]], list[str]]:
    """Return the measures of each collection by the way of searching, and what a person should know of the help."""
    from warehouse.evaluation.retrieval import by_collection

    ways: dict[str, dict[str, Measures]] = {}
    for way, found in (("live", searched), ("stored", stored)):
        for name, measures in by_collection(found).items():
            ways.setdefault(name, {})[way] = measures
    sentences: list[str] = []
    for name, gain in _help_gains(settings, release, golden).items():
        for way, figures in gain.figures.items():
            ways.setdefault(name, {})[way] = {"questions": float(gain.questions), **figures}
        sentences += [f"\n{name}: {each}" for each in gain.sentences()]
    return ways, sentences


def _help_gains(settings: Settings, release: Release, golden: Sequence[Golden]) -> Mapping[str, HelpGain]:
    """Measure the help in the run that built a release; where that can't be, return what the run measured itself."""
    from batch.retrieval.help_gain import gains_from
    from batch.retrieval.help_measuring import measure_help

    plan = _plan_of(settings, release)
    if plan is None:
        return gains_from(release.manifest.get("retrieval", {}).get("help", {}))
    plan = replace(plan, golden=tuple(golden))
    known = {each.collection for each in golden} & set(plan.collections)
    return {name: gain for name in sorted(known) if (gain := measure_help(plan, name)) is not None}


def _plan_of(settings: Settings, release: Release) -> RunPlan | None:
    """Return the plan of the run that built a release; None if its files or models are gone, or the encoder differs."""
    from beforehand.run_plan import compose_plan

    run_id = release.manifest.get("run_id", "")
    if not run_id or not (settings.project.data / "runs" / run_id / "retrieve").is_dir():
        return None
    try:
        plan = compose_plan(settings, run_id)
    except (ConfigurationError, ModelError):
        return None
    return plan if plan.encoder_id == release.manifest["encoder"]["id"] else None


def _answers(settings: Settings, release: Release, located: Located) -> tuple[Sequence[Answered], Mapping[str, float]]:
    from warehouse.evaluation.answers import answer_measures, read_answers

    answered = read_answers(release, located)
    measures = answer_measures(answered)
    return answered, {**measures, **asyncio.run(_judged(_with_served_judge(settings), answered))}


def _with_served_judge(settings: Settings) -> EvaluationSettings:
    """Return the settings with the judge's name as its server knows it."""
    named = settings.evaluation.judge_model
    return settings.evaluation.model_copy(update={"judge_model": named and served_name(settings, named)})


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
