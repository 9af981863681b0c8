"""What a build leaves in Prefect to read: its stages, its audit, what changed since the last release, its cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from prefect.artifacts import create_link_artifact, create_markdown_artifact

from batch import progress
from warehouse.audit.release_audit import Check
from warehouse.settings import CostSettings
from warehouse.tables import RunRow


def show_audit(checks: Sequence[Check]) -> None:
    """Show the checks of an audit, failed ones first."""
    ordered = sorted(checks, key=lambda check: check.passed)
    failed = sum(not check.passed for check in checks)
    rows = [("passed" if check.passed else "**failed**", check.name, check.explanation) for check in ordered]
    title = f"{failed} of {len(checks)} checks failed" if failed else f"All {len(checks)} checks passed"
    _show("audit", title, ("", "check", "what was found"), rows)


def show_changes(changes: Mapping[str, int], previous: str | None, current: str) -> None:
    """Show what became of the answers of the last release."""
    title = f"Release {current}, compared with {previous}" if previous else f"Release {current}, the first one"
    _show("changes", title, ("answers", "what became of them"), [(f"{n:,}", name) for name, n in changes.items()])
    # What the questions are stays in the release: Prefect's database is not the place for what visitors typed.


def show_cost(run: RunRow, cost: CostSettings) -> None:
    """Show what a run's answers took and cost."""
    hours = run["generation_seconds"] / 3600
    rate = run["completion_tokens"] / run["generation_seconds"] if run["generation_seconds"] else 0.0
    rows = [
        ("generated", f"{run['generated']:,} answers"),
        ("reused", f"{run['reused']:,} answers"),
        ("prompt tokens", f"{run['prompt_tokens']:,}, {run['cached_tokens']:,} of them from the cache"),
        ("completion tokens", f"{run['completion_tokens']:,}"),
        ("the language model worked", f"{run['generation_seconds']:,.0f} s, {rate:,.0f} tokens a second"),
        ("cost", f"{hours * cost.gpu_hour:,.4f} {cost.currency} at {cost.gpu_hour:g} an hour"),
    ]
    _show("cost", "Cost of the run", ("", ""), rows)


def show_stages(run_id: str, seconds: Mapping[str, float], figures: Mapping[str, Mapping[str, int]]) -> None:
    """Show how long each stage took and what it did."""
    create_markdown_artifact(markdown=stages(run_id, seconds, figures), key="build-release")


def stages(run_id: str, seconds: Mapping[str, float], figures: Mapping[str, Mapping[str, int]]) -> str:
    """Return the stages of a run as Markdown."""
    rows = [
        (stage, f"{taken:.1f}", progress.describe_figures(figures.get(stage, {}))) for stage, taken in seconds.items()
    ]
    return _table(f"Run {run_id}", ("stage", "seconds", "what"), rows)


def link_release(release_id: str, folder: Path) -> None:
    """Link to the folder of a release; its manifest leads back to the flow run."""
    create_link_artifact(
        key="release",
        link=folder.resolve().as_uri(),
        link_text=f"release {release_id}",
        description=f"`beforehand releases show {release_id}` describes it; its `manifest.json` names this flow run.",
    )


def show_report(markdown: str) -> None:
    """Show the report on the service and its release, as it is when the run ends."""
    create_markdown_artifact(markdown=markdown, key="report")


def show_lines(key: str, title: str, lines: Iterable[str]) -> None:
    """Show the lines that a command printed."""
    text = "\n".join(lines)
    create_markdown_artifact(markdown=f"# {title}\n\n```\n{text}\n```", key=key)


def _show(key: str, title: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    create_markdown_artifact(markdown=_table(title, heads, rows), key=key)


def _table(title: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    ruler = tuple("---" for _ in heads)
    lines = [f"| {' | '.join(_cell(each) for each in row)} |" for row in (heads, ruler, *rows)]
    return "\n".join([f"# {title}", "", *lines])


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
