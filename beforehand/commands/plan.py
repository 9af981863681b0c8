"""The command `plan`: what tomorrow's hits cost, before a token is spent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import click

from beforehand.commands.warehouse import compact_journal
from beforehand.configuration import Config, Settings, prepare_environment, read_settings, reported
from beforehand.run_plan import compose_plan, new_run

if TYPE_CHECKING:
    from batch.generation.worth import WorthRow
    from batch.plan import RunPlan
    from warehouse.planning.budget import Candidate, Curve

_LAST_RUNS = 5


@dataclass(frozen=True)
class NextRun:
    """What the next run would do.

    `answered` questions have an answer; `audit` are those that are always answered, for `audit_tokens`; the candidates
    are the others, the most valuable first, with the `unread` proposals, which are not written yet and so estimates.
    `pace` is in tokens a second.
    """

    questions: int
    answered: int
    retired: int
    unread: int
    audit: int
    audit_tokens: int
    candidates: tuple[Candidate, ...]
    names: Mapping[str, str]
    curve: Curve
    paying: int
    pace: float | None
    budget: float | None


@click.command()
@click.option("--days", type=click.FloatRange(min=0, min_open=True), default=30.0, show_default=True,
              help="How long an answer is of use, until its documents change.")  # fmt: skip
@click.option("--live-ratio", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True,
              help="What a token costs in a live answer, for one in the batch.")  # fmt: skip
@click.option("--tokens-a-second", type=click.FloatRange(min=0, min_open=True),
              help="The pace of the batch; by default that of the last runs.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, question by question.")
@click.pass_obj
@reported
def plan(config: Config, days: float, live_ratio: float, tokens_a_second: float | None, as_json: bool) -> None:
    """Show what the next run would bring: hits of tomorrow against tokens and hours, before a token is spent.

    Reads, embeds and retrieves as a run does, in a scratch folder; nothing is generated and nothing is published.
    """
    settings = read_settings(config)
    prepare_environment(settings)
    compact_journal(settings)
    found = next_run(settings, days, live_ratio, tokens_a_second)
    click.echo(json.dumps(as_data(found), indent=2, ensure_ascii=False) if as_json else "\n".join(described(found)))


def next_run(settings: Settings, days: float, live_ratio: float, pace: float | None) -> NextRun:
    """Rehearse the next run, and replay the history against what it would answer."""
    from beforehand.commands.rehearsal import rehearsal, run_to_prompts
    from flows.build_release import STAGES, find_misses

    real = compose_plan(settings, new_run())
    with rehearsal(real, keep_vectors=True) as scratch:
        rehearsed, figures = run_to_prompts(replace(scratch, misses=find_misses(scratch)), STAGES)
        return _next_run(real, rehearsed, figures, days, live_ratio, pace or _pace(settings.project.data))


def _next_run(
    real: RunPlan,
    rehearsed: RunPlan,
    figures: Mapping[str, Mapping[str, int]],
    days: float,
    live_ratio: float,
    pace: float | None,
) -> NextRun:
    from batch.generation import worth
    from batch.stages.generate import plan_prompts
    from warehouse.planning.budget import Candidate, by_worth, curve, paying
    from warehouse.planning.demand import Anticipated, forecast

    pending, _ = plan_prompts(rehearsed)
    rows = worth.worth_rows(rehearsed)
    prompts = list(worth.read_prompts(rehearsed))
    rates = worth.known_rates(rehearsed, prompts) or worth.dear_rates(rehearsed)
    always = worth.always_answered(rehearsed, rows)
    costs = {each.query_key: rates.tokens(each) for each in pending}
    audit_tokens = sum(tokens for key, tokens in costs.items() if key in always)
    unread = _unread(rehearsed, rows) if prompts else 0
    proposals = [Anticipated(f"proposal {number + 1}", "corpus") for number in range(unread)]
    optional = {key: tokens for key, tokens in costs.items() if key not in always}
    optional |= {each.query_key: round(mean(map(rates.tokens, prompts))) for each in proposals}
    asked = worth.asked(rehearsed)
    everything = [*worth.anticipated(rehearsed, rows), *proposals]
    hits = forecast(everything, asked, worth.tomorrow(), going_on=True).hits
    ordered = by_worth(Candidate(key, hits[key], tokens) for key, tokens in optional.items())
    budget = _budget(real, pace)
    questions = [each for each in everything if each.origin != "canary"]
    left = None if budget is None else max(0.0, budget - audit_tokens)
    return NextRun(
        questions=len(rows),
        answered=len(rows) - len(pending),
        retired=figures["anticipate"].get("retired", 0),
        unread=unread,
        audit=len(costs) + unread - len(optional),
        audit_tokens=audit_tokens,
        candidates=tuple(ordered),
        names={
            **{row["query_key"]: row["question"] for row in rows},
            **{each.query_key: "a proposal that is not written yet" for each in proposals},
        },
        curve=curve(questions, optional, asked, worth.tomorrow(), left),
        paying=paying(ordered, days, live_ratio),
        pace=pace,
        budget=budget,
    )


def _unread(rehearsed: RunPlan, rows: Sequence[WorthRow]) -> int:
    """Return how many proposals are not written yet: one for each chunk that is to be read, as a rule."""
    from batch.stages.propose import unasked_chunks, wants_proposals

    if not wants_proposals(rehearsed):
        return 0
    wanted = sum(each.proposals for each in rehearsed.collections.values())
    return max(0, min(unasked_chunks(rehearsed), wanted - sum(row["origin"] == "corpus" for row in rows)))


def _budget(plan: RunPlan, pace: float | None) -> float | None:
    """Return the configured budget in tokens, None without one or where the pace is not known."""
    limits = [] if plan.settings.budget_tokens is None else [float(plan.settings.budget_tokens)]
    if plan.settings.budget_minutes is not None and pace is not None:
        limits.append(plan.settings.budget_minutes * 60 * pace)
    return min(limits, default=None)


def _pace(data: Path) -> float | None:
    """Return the tokens a second of the last runs that generated, prompts included."""
    from warehouse.history.run_log import logged_runs

    runs = [run for run in logged_runs(data) if run["generated"] and run["generation_seconds"] and not run["shadow"]][
        -_LAST_RUNS:
    ]
    tokens = sum(int(str(run[kind] or 0)) for run in runs for kind in ("prompt_tokens", "completion_tokens"))
    seconds = sum(float(str(run["generation_seconds"])) for run in runs)
    return tokens / seconds if tokens and seconds else None


# -- as text and JSON --------------------------------------------------------------------------------------


def described(found: NextRun) -> Iterator[str]:
    """Yield a forecast line by line."""
    count, tokens = len(found.candidates), sum(each.tokens for each in found.candidates)
    yield f"{found.questions:,} questions, {found.answered:,} of them answered already, at no cost"
    yield f"  to generate: {count:,} answers, about {tokens:,} tokens{_hours(tokens, found.pace, ', ')}"
    if found.audit:
        yield f"  and {found.audit:,} for the audit, about {found.audit_tokens:,} tokens, whatever the budget"
    if found.retired:
        yield f"  {found.retired:,} have retired, since nobody asks them"
    if found.unread > 0:
        yield f"  {found.unread:,} of these are proposals that are not written yet; all about them is an estimate"
    if found.pace is None:
        yield "  no run on record tells the pace; --tokens-a-second gives the hours"
    yield ""
    yield from _table(found)
    yield ""
    yield from _verdict(found)


def _table(found: NextRun) -> Iterator[str]:
    curve = found.curve
    if curve.asked is None:
        yield "the history is too short for a replay, which needs 8 days; hits are as expected by weight and demand"
    else:
        sure = "" if curve.level is None else f"; the next day is between them with {curve.level:.0%}"
        yield f"hits a day, as {curve.held_out} held-out days would have had ({curve.asked:,.0f} asked a day{sure})"
    yield "        tokens   hours  answers  expected     hits  fewest    most  share"
    for each in curve.points:
        hours = "-" if found.pace is None else f"{each.tokens / found.pace / 3600:.2f}"
        row = f"  {each.tokens:>12,} {hours:>7} {each.answers:>8,} {each.expected:>9,.1f}"
        if each.hits is not None:
            share = each.hits / curve.asked if curve.asked else 0.0
            row += f" {each.hits:>8,.1f} {each.fewest:>7,} {each.most:>7,} {share:>6.1%}"
        yield row


def _verdict(found: NextRun) -> Iterator[str]:
    count = len(found.candidates)
    if found.budget is not None:
        point = max((each for each in found.curve.points if each.tokens <= found.budget - found.audit_tokens),
                    key=lambda each: each.tokens, default=found.curve.points[0])  # fmt: skip
        yield f"the budget of {found.budget:,.0f} tokens is for {point.answers:,} of {count:,} answers"
    tokens = sum(each.tokens for each in found.candidates[: found.paying])
    if found.paying == count:
        yield f"all {count:,} pay" if count else "there is nothing to generate"
        return
    unpaid = found.candidates[found.paying]
    yield (
        f"the next question stops paying after {found.paying:,} answers, {tokens:,} tokens: "
        f"{found.names[unpaid.query_key]!r} is expected {unpaid.hits:.3f} times a day"
    )


def _hours(tokens: int, pace: float | None, before: str) -> str:
    return "" if pace is None else f"{before}{tokens / pace / 3600:.2f} hours at {pace:,.0f} tokens a second"


def as_data(found: NextRun) -> dict[str, Any]:
    """Return a forecast as JSON has it."""
    data = asdict(found)
    names = data.pop("names")
    data["candidates"] = [{"question": names[each["query_key"]], **each} for each in data["candidates"]]
    return data
