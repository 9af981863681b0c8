"""The report on a release and a period, as a file or as Markdown."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from warehouse.durable import replace_file, storage_errors
from warehouse.history.redaction import Mode
from warehouse.reporting.figures import Scope, report_of
from warehouse.reporting.page import html, markdown
from warehouse.settings import CostSettings


def write_report(
    data: Path,
    target: Path,
    cost: CostSettings | None = None,
    days: int = 30,
    now: datetime | None = None,
    collections: tuple[str, ...] | None = None,
    review: str | None = None,
    redaction: Mode | None = None,
) -> None:
    """Write the report on the current release and the last `days`, as Markdown if the target's name ends in .md.

    `review` is the address of the review page, to which the answers are linked.

    Raises:
        NoReleaseError: nothing has been published.
        StorageError: the report can't be written, or a file of the history can't be read.
    """
    scope = Scope(days, now or datetime.now(UTC), collections)
    found = report_of(data, scope, cost or CostSettings(), redaction)
    text = (markdown if target.suffix == ".md" else html)(found, review)
    with storage_errors(target.parent, f"write {target.name}"):
        replace_file(target, text.encode())


def report_markdown(data: Path, cost: CostSettings | None = None, days: int = 7, review: str | None = None) -> str:
    """Return the report on the current release and the last `days` as Markdown, for an artifact of a flow.

    Raises:
        NoReleaseError: nothing has been published.
        StorageError: a file of the history can't be read.
    """
    return markdown(report_of(data, Scope(days, datetime.now(UTC)), cost or CostSettings()), review)
