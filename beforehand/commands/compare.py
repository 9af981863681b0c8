"""The command `releases compare`: two releases, or a release and a shadow build, side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from beforehand.configuration import Config, Settings, read_settings, reported
from beforehand.run_plan import golden_questions

if TYPE_CHECKING:
    from warehouse.evaluation.side_by_side import Judged, Side, SideBySide
    from warehouse.settings import CostSettings

_SHOWN = 10
_SURE = 0.05  # a result so uneven is called chance no more
_MEASURES = {
    "answers": ("answers of a model", "{:,.0f}"),
    "served": ("served", "{:,.0f}"),
    "refusals": ("refusals", "{:,.0f}"),
    "otherwise_withheld": ("withheld otherwise", "{:,.0f}"),
    "support": ("support", "{:.3f}"),
    "cited": ("passages cited", "{:.2f}"),
    "characters": ("length in characters", "{:,.0f}"),
    "prompt_tokens": ("prompt tokens", "{:,.0f}"),
    "completion_tokens": ("completion tokens", "{:,.0f}"),
    "seconds": ("seconds to generate", "{:,.1f}"),
    "cost": ("cost to generate", "{:,.4f}"),
}


@click.command()
@click.argument("before")
@click.argument("after")
@click.option("--sample", type=click.IntRange(1), help="Put so many pairs of answers before people, to judge blind.")
@click.option("--full", is_flag=True, help="List every question that differs, with both answers.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, question by question.")
@click.pass_obj
@reported
def compare(config: Config, before: str, after: str, sample: int | None, full: bool, as_json: bool) -> None:
    """Show two releases side by side: answers, support, refusals, length, golden questions, recall, cost and time.

    BEFORE and AFTER are releases, `current`, or names of shadow builds. Pairs of --sample are judged on the page
    /review/pairs or in a file (`review export --pairs`), and counted here.
    """
    settings = read_settings(config)
    from warehouse.editorial.blind_pairs import sample_pairs, verdicts
    from warehouse.evaluation.side_by_side import compare_releases, judged_by
    from warehouse.releases.shadows import find_any

    data = settings.project.data
    found = find_any(data, before), find_any(data, after)
    costs = _cost(config, settings, before), _cost(config, settings, after)
    compared = compare_releases(
        (before, after), found, costs, golden_questions(settings), settings.audit.golden_overlap
    )
    if sample is not None:
        fresh = sample_pairs(data, compared.differences, sample)
        click.echo(f"{fresh} pairs wait on /review/pairs and for `beforehand review export --pairs`", err=True)
    said = verdicts(data, compared.differences)
    if as_json:
        click.echo(json.dumps(as_data(compared, judged_by(said)), indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(described(compared, judged_by(said), full=full)))


def _cost(config: Config, settings: Settings, name: str) -> CostSettings:
    """Return the prices of a side: a shadow build may have its own."""
    return read_settings(config, shadow=name).cost if name in settings.shadow else settings.cost


def as_data(compared: SideBySide, judged: Judged) -> dict[str, object]:
    """Return a comparison as JSON has it."""
    return {
        **asdict(compared),
        "changed": {"count": compared.changed, "share": compared.share, **compared.counts},
        "judged": asdict(judged),
    }


# -- as text -----------------------------------------------------------------------------------------------


def described(compared: SideBySide, judged: Judged, *, full: bool) -> Iterator[str]:
    """Yield a comparison line by line."""
    before, after = compared.before, compared.after
    yield from _heads(before, after)
    yield ""
    yield (
        f"of {compared.common:,} questions that both answer, {compared.changed:,} are answered differently "
        f"({compared.share:.1%})" + "".join(f", {n:,} {what}" for what, n in compared.counts.items() if _apart(what))
    )
    yield ""
    yield f"{'':<22} {before.name[:18]:>18} {after.name[:18]:>18} {'difference':>12}"
    for name, (label, form) in _MEASURES.items():
        yield _row(label, form, before.figures.get(name), after.figures.get(name))
    yield from _golden(compared)
    yield ""
    yield from _verdict(before, after, judged)
    yield from _differences(compared, full=full)


def _apart(change: str) -> bool:
    return change != "answered differently"


def _heads(before: Side, after: Side) -> Iterator[str]:
    for side in (before, after):
        yield f"{side.name}: release {side.release_id}, {side.model}, template {side.template}, encoder {side.encoder}"
    if before.currency != after.currency:
        yield f"costs are in {before.currency} and {after.currency}"


def _row(label: str, form: str, before: float | None, after: float | None) -> str:
    shown = [("-" if each is None else form.format(each)) for each in (before, after)]
    change = ""
    if before is not None and after is not None:
        change = f"{form.format(after - before)}" if after < before else f"+{form.format(after - before)}"
    return f"{label:<22} {shown[0]:>18} {shown[1]:>18} {change:>12}"


def _golden(compared: SideBySide) -> Iterator[str]:
    for kind, sides in (
        ("retrieval", (compared.before.retrieval, compared.after.retrieval)),
        ("answers", (compared.before.answers, compared.after.answers)),
    ):
        names = dict.fromkeys((*sides[0], *sides[1]))
        if names:
            yield f"golden questions, {kind}"
        for name in names:
            yield _row(f"  {name}", "{:.3f}", sides[0].get(name), sides[1].get(name))
    if compared.golden:
        yield (
            f"of {compared.golden} golden questions {len(compared.gained)} are answered rightly only by "
            f"{compared.after.name}, {len(compared.lost)} only by {compared.before.name}"
        )
        yield from (f"  only {compared.before.name}: {question}" for question in compared.lost[:_SHOWN])


def _verdict(before: Side, after: Side, judged: Judged) -> Iterator[str]:
    """Say what people found, with how sure that is."""
    if judged.waiting:
        yield f"{judged.waiting} pairs wait for a person: /review/pairs, or `beforehand review export --pairs FILE`"
    if judged.share is None or judged.interval is None or judged.p is None:
        if judged.same:
            yield f"people found neither better in all {judged.same} pairs that they judged"
        elif not judged.waiting:
            yield "nobody has judged a pair yet; --sample 50 puts pairs before people"
        return
    low, high = judged.interval
    sure = (
        f"{after.name if judged.share > 0.5 else before.name} is better" if judged.p < _SURE else "that may be chance"
    )
    yield (
        f"people, blind: {after.name} is better in {judged.after}, {before.name} in {judged.before}, neither in "
        f"{judged.same}; {judged.share:.0%} for {after.name} (95 % interval {low:.0%} to {high:.0%}, sign test p = "
        f"{judged.p:.3f}): {sure}"
    )


def _differences(compared: SideBySide, *, full: bool) -> Iterator[str]:
    shown = compared.differences if full else compared.differences[:_SHOWN]
    for each in shown:
        causes = f" ({', '.join(each.causes)})" if each.causes else ""
        yield f"\n{each.change}{causes}: {each.question}"
        yield f"  - {_status(each.status_before)}{each.answer_before or ''}"
        yield f"  + {_status(each.status_after)}{each.answer_after or ''}"
    if len(compared.differences) > len(shown):
        yield f"\n… and {len(compared.differences) - len(shown):,} more; --full lists all"


def _status(status: str | None) -> str:
    return "(withheld) " if status == "withheld" else ""
