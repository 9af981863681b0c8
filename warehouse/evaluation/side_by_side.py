"""Two releases, or a release and a shadow build, side by side: what a team looks at before it changes a model.

Figures are over the questions that both answer with a model. Time and cost are those of generating all these answers,
at the pace of the runs that did and at each side's prices, whether they were reused or not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import duckdb

from rag.evaluation import sign_test, wilson_interval
from warehouse.analysis.diff import Difference, diff
from warehouse.analysis.other_releases import define_by_release
from warehouse.audit.golden import Golden, right
from warehouse.editorial.blind_pairs import Verdicts
from warehouse.evaluation.answers import answer_measures, read_answers
from warehouse.evaluation.record import Measures
from warehouse.evaluation.retrieval import locate_in_release, read_stored, retrieval_measures
from warehouse.releases.load import attach
from warehouse.releases.release import Release
from warehouse.settings import CostSettings
from warehouse.sql import prepare, sql_text

_RUNS = ("run_id", "generation_seconds", "completion_tokens", "batched_completion_tokens")


@dataclass(frozen=True)
class Side:
    """One of the two: `name` is what it was asked for by, `figures` are of the common questions."""

    name: str
    release_id: str
    model: str
    template: str
    encoder: str
    currency: str
    figures: Mapping[str, float | None]
    retrieval: Measures
    answers: Measures


@dataclass(frozen=True)
class Judged:
    """What people said of pairs: how often each side was better, and the share of `after` with its 95 % interval."""

    before: int
    after: int
    same: int
    waiting: int
    share: float | None = None
    interval: tuple[float, float] | None = None
    p: float | None = None


@dataclass(frozen=True)
class SideBySide:
    """The comparison; `lost` and `gained` are golden questions that only one side answers rightly."""

    before: Side
    after: Side
    common: int
    differences: Sequence[Difference]
    changed: int
    lost: Sequence[str] = ()
    gained: Sequence[str] = ()
    golden: int = 0
    judged: Judged = field(default_factory=lambda: Judged(0, 0, 0, 0))

    @property
    def share(self) -> float:
        """The share of the common questions that are answered differently."""
        return self.changed / self.common if self.common else 0.0

    @property
    def counts(self) -> Mapping[str, int]:
        """Return how many questions differ, by the kind of difference."""
        return dict(Counter(each.change for each in self.differences))


def compare_releases(
    names: tuple[str, str],
    releases: tuple[Release, Release],
    costs: tuple[CostSettings, CostSettings],
    golden: Sequence[Golden],
    overlap: float,
) -> SideBySide:
    """Compare two releases.

    Raises:
        TornReleaseError: the tables of a release can't be opened.
    """
    differences = diff(*releases)
    figures, common = _figures(*releases)
    sides = [
        _side(*each, golden) for each in zip(names, releases, costs, (figures["before"], figures["after"]), strict=True)
    ]
    lost, gained, judged = _golden(releases, golden, overlap)
    changed = sum(each.change == "answered differently" for each in differences)
    return SideBySide(sides[0], sides[1], common, differences, changed, lost, gained, judged)


def judged_by(verdicts: Verdicts) -> Judged:
    """Return the tally of people's verdicts, with a Wilson interval and an exact sign test over those that differ."""
    before, after = verdicts.before, verdicts.after
    decided = before + after
    if not decided:
        return Judged(before, after, verdicts.same, verdicts.waiting)
    return Judged(
        before, after, verdicts.same, verdicts.waiting, after / decided, wilson_interval(after, decided),
        sign_test(after, decided),
    )  # fmt: skip


def _figures(before: Release, after: Release) -> tuple[dict[str, dict[str, float | None]], int]:
    """Return the figures of each side, and how many questions both answer."""
    with duckdb.connect() as connection:
        prepare(connection)
        for side, release in (("before", before), ("after", after)):
            attach(connection, release.database, side)
            _define_runs(connection, side)
        define_by_release(connection, {"before": "before", "after": "after"})
        found = connection.execute(sql_text("side_by_side.sql"))
        columns = [column[0] for column in found.description or ()][1:]
        rows = {str(row[0]): dict(zip(columns, map(_number, row[1:]), strict=True)) for row in found.fetchall()}
        both = "SELECT count(*) FROM before.main.answers JOIN after.main.answers USING (query_key)"
        (common,) = connection.execute(both).fetchone() or (0,)
    return {side: rows.get(side, {}) for side in ("before", "after")}, int(common)


def _define_runs(connection: duckdb.DuckDBPyConnection, side: str) -> None:
    """Define the runs of a side; an older release lacks some columns."""
    query = "SELECT column_name FROM duckdb_columns() WHERE database_name = ? AND table_name = 'runs'"
    known = {name for (name,) in connection.execute(query, [side]).fetchall()}
    columns = ", ".join(name if name in known else f"NULL::BIGINT AS {name}" for name in _RUNS)
    connection.execute(f"CREATE VIEW memory.main.{side}_runs AS SELECT {columns} FROM {side}.main.runs")


def _number(value: object) -> float | None:
    return None if value is None else float(str(value))


def _side(
    name: str, release: Release, cost: CostSettings, figures: dict[str, float | None], golden: Sequence[Golden]
) -> Side:
    manifest = release.manifest
    known = {each.name for each in (release.path / "collections").glob("*")}
    located = locate_in_release(release, [each for each in golden if each.collection in known])
    stored = read_stored(release, located)
    return Side(
        name,
        release.release_id,
        str(manifest.get("model", "")),
        str(manifest.get("template", ""))[:12],
        str(manifest.get("encoder", {}).get("id", "")),
        cost.currency,
        {**figures, "cost": _cost(figures, cost)},
        retrieval_measures(stored) if stored else {},
        answer_measures(read_answers(release, located)) if located else {},
    )


def _cost(figures: Mapping[str, float | None], cost: CostSettings) -> float | None:
    prompt, completion = figures.get("prompt_tokens"), figures.get("completion_tokens")
    if prompt is None or completion is None:
        return None
    price = 1 - (1 - cost.batch_price) * (figures.get("batched") or 0.0)
    tokens = (prompt * cost.prompt_million + completion * cost.completion_million) / 1e6 * price
    return tokens + (figures.get("seconds") or 0.0) / 3600 * cost.gpu_hour


def _golden(
    releases: tuple[Release, Release], golden: Sequence[Golden], overlap: float
) -> tuple[list[str], list[str], int]:
    """Return the golden questions that only the first release answers rightly, those of the second, and how many."""
    judging = [(each, frozenset[str]()) for each in golden if each.judges_answers]
    answered = [read_answers(release, judging) if judging else [] for release in releases]
    lost: list[str] = []
    gained: list[str] = []
    for one, other in zip(*answered, strict=True):
        was, now = right(one.golden, one.answer, overlap), right(other.golden, other.answer, overlap)
        if was != now:
            (lost if was else gained).append(one.golden.question)
    return lost, gained, len(judging)
