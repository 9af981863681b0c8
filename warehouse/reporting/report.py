"""The report on a release and a period, as a file or as Markdown."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from markupsafe import Markup

from warehouse.durable import replace_file, storage_errors
from warehouse.history.redaction import Mode
from warehouse.reporting.figures import Scope, report_of
from warehouse.reporting.page import html, markdown
from warehouse.settings import CostSettings

_NOTHING = Markup()


def write_report(
    data: Path,
    target: Path,
    cost: CostSettings | None = None,
    scope: Scope | None = None,
    review: str | None = None,
    redaction: Mode | None = None,
    annex: Markup = _NOTHING,
) -> None:
    """Write the report on the current release and 30 days or `scope`, as Markdown if the target's name ends in .md.

    `review` is the address of the review page, to which the answers are linked; `annex` is put at the end of the page.

    Raises:
        NoReleaseError: nothing has been published.
        StorageError: the report can't be written, or a file of the history can't be read.
    """
    found = report_of(data, scope or Scope(30, datetime.now(UTC)), cost or CostSettings(), redaction)
    text = markdown(found, review) if target.suffix == ".md" else html(found, review, annex=annex)
    with storage_errors(target.parent, f"write {target.name}"):
        replace_file(target, text.encode())


def report_markdown(data: Path, cost: CostSettings | None = None, days: int = 7, review: str | None = None) -> str:
    """Return the report on the current release and the last `days` as Markdown, for an artifact of a flow.

    Nothing that visitors typed is in it, since Prefect does not forget when the history does.

    Raises:
        NoReleaseError: nothing has been published.
        StorageError: a file of the history can't be read.
    """
    return markdown(report_of(data, Scope(days, datetime.now(UTC)), cost or CostSettings()), review, typed=False)
