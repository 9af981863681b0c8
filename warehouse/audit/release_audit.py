"""Write, audit, publish: the audit of a build, answer by answer and as a whole.

An answer that fails is withheld: analysts see it, nobody is served it. Reviews are applied next, since people have
the last word. Then the whole release is checked against the settings and the previous release; the limits are shares,
so that they suit ten answers as well as a million, and questions count by their weight. A failed check stops
publication.

The rules for an answer are in rag/prompting/answer_rules.py, the others in sql/checks.sql and sql/doubts.sql.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import duckdb

from warehouse.audit.expected_questions import expected_questions
from warehouse.audit.golden import Golden, compare
from warehouse.audit.withholding import withhold
from warehouse.editorial.reviewed_build import apply_reviews
from warehouse.releases.build_folder import Build
from warehouse.releases.changes import previous_database, previous_has_wordings
from warehouse.releases.load import attach, constraints, writing
from warehouse.releases.release import CheckRow
from warehouse.settings import AuditSettings
from warehouse.sql import sql_text

_EXAMPLES = 5
# Of the team's own questions: visitors' questions come and go with what is asked. What this build set aside (beyond the
# budget, or because nobody asks it) is not lost.
_SERVED = """answers SEMI JOIN {database}questions AS q
    ON q.query_key = answers.query_key AND q.origin NOT IN ('corpus', 'journal')
    WHERE status = 'served' AND answers.query_key NOT IN (SELECT query_key FROM main.set_aside)"""


@dataclass(frozen=True)
class Check:
    """A check of a release: the measured figure, the allowed one, and examples that count against it."""

    name: str
    passed: bool
    figure: float
    allowed: float
    explanation: str
    examples: tuple[str, ...] = ()

    def as_row(self) -> CheckRow:
        """Return the check as the manifest and the table `checks` hold it."""
        return CheckRow(
            name=self.name,
            passed=self.passed,
            figure=self.figure,
            allowed=self.allowed,
            explanation=self.explanation,
            examples=list(self.examples),
        )


def audit(
    build: Build, settings: AuditSettings, golden: Sequence[Golden] = (), collections: Collection[str] | None = None
) -> list[Check]:
    """Audit a build: withhold answers, apply reviews, record doubts, and check the release as a whole.

    `collections` are the configured ones, None for all: a collection removed from the configuration does not count as
    shrunk. The results are also written to the tables; the caller publishes only if every check passed.
    """
    previous = previous_database(build.data)
    with writing(build.database) as connection:
        _set_variables(connection, settings)
        if previous is not None:
            attach(connection, previous, "previous")
        withhold(connection, settings.answer_rules())
        apply_reviews(connection, build.data)
        connection.execute(sql_text("doubts.sql"))
        if previous is not None:
            connection.execute(sql_text("curated_doubts.sql"))
        checks = list(_checks(connection, settings))
        if previous is not None:
            checks += _shrink_checks(connection, settings, collections)
        judged = [each for each in golden if each.judges_answers]
        judged += expected_questions(connection, {each.query_key for each in judged})
        if judged:
            checks += _golden_checks(connection, settings, judged, has_previous=previous is not None)
        connection.execute("DELETE FROM checks")
        for check in checks:
            row = check.as_row()
            connection.execute(f"INSERT INTO checks ({', '.join(row)}) VALUES (?, ?, ?, ?, ?, ?)", list(row.values()))
    return checks


def note_status(build: Build, status: str) -> None:
    """Write how a run ended into its build's tables, before the release becomes read-only."""
    with writing(build.database) as connection:
        connection.execute("UPDATE runs SET status = ? WHERE run_id = ?", [status, build.run_id])


def failures(checks: Sequence[Check]) -> str:
    """Return a sentence for each failed check; "" if all passed."""
    failed = [check for check in checks if not check.passed]
    return " ".join(
        f"{check.explanation}" + (f" For example: {'; '.join(check.examples)}." if check.examples else "")
        for check in failed
    )


def _set_variables(connection: duckdb.DuckDBPyConnection, settings: AuditSettings) -> None:
    variables = {
        "require_citation": settings.require_citation,
        "least_support": settings.least_support,
        "doubtful_support": settings.doubtful_support,
    }
    for name, value in variables.items():
        connection.execute(f"SET VARIABLE {name} = ?", [value])


def _checks(connection: duckdb.DuckDBPyConnection, settings: AuditSettings) -> Iterator[Check]:
    yield from _share_checks(connection, settings)
    yield _canary_check(connection, settings)
    yield _constraint_check(connection)


def _shrink_checks(
    connection: duckdb.DuckDBPyConnection, settings: AuditSettings, collections: Collection[str] | None
) -> Iterator[Check]:
    for name, table in (
        ("documents", "documents"), ("chunks", "chunks"), ("served answers", _SERVED),
    ):  # fmt: skip
        yield _shrink_check(connection, settings, name, table, collections)


def _share_checks(connection: duckdb.DuckDBPyConnection, settings: AuditSettings) -> Iterator[Check]:
    pattern = r"^-- ([\w ]+) \| (\w+) \| (.+)\n([^;]+);"
    for name, setting, sentence, population in re.findall(pattern, sql_text("checks.sql"), re.MULTILINE):
        row = connection.execute(
            "SELECT count(*) FILTER (bad), count(*), sum(weight) FILTER (bad), sum(weight), "
            f"list(item ORDER BY weight DESC, item) FILTER (bad) FROM ({population})"
        ).fetchone()
        bad, total, bad_weight, weight, examples = row or (0, 0, 0.0, 0.0, None)
        limit = getattr(settings, setting)
        allowed = 1 - limit if setting.startswith("least") else limit
        share, by = _share(bad, total, bad_weight or 0.0, weight or 0.0)
        words = f"{sentence.format(bad=bad, total=total)} ({share:.1%}{by}, at most {allowed:.1%})."
        yield Check(name, share <= allowed, share, allowed, words, _some(examples))


def _share(part: int, total: int, part_weight: float, weight: float) -> tuple[float, str]:
    """Return the share of a part by weight, and how a sentence says so where it isn't the share by number."""
    by_number = part / total if total else 0.0
    if weight <= 0 or math.isclose(part_weight / weight, by_number, abs_tol=1e-9):
        return by_number, ""
    return part_weight / weight, " by weight"


def _canary_check(connection: duckdb.DuckDBPyConnection, settings: AuditSettings) -> Check:
    rows = connection.execute(
        "SELECT q.question FROM answers JOIN questions q USING (query_key) "
        "WHERE withheld_reason = 'canary, confidently answered'"
    ).fetchall()
    if not connection.execute("FROM questions WHERE origin = 'canary' LIMIT 1").fetchone():
        return Check("canaries", True, 0, settings.most_confident_canaries, "no canaries are configured.")
    return _count_check(
        "canaries", len(rows), settings.most_confident_canaries, "nonsense questions got a confident answer",
        [row[0] for row in rows],
    )  # fmt: skip


def _constraint_check(connection: duckdb.DuckDBPyConnection) -> Check:
    broken = [rule for rule, query in constraints() if connection.execute(f"FROM ({query}) LIMIT 1").fetchone()]
    return _count_check("references", len(broken), 0, "rules about keys and references are broken", broken)


def _shrink_check(
    connection: duckdb.DuckDBPyConnection,
    settings: AuditSettings,
    name: str,
    table: str,
    collections: Collection[str] | None,
) -> Check:
    """Compare each collection: the total would hide the loss of a small one."""
    count = "SELECT collection, count(*) AS {} FROM {} GROUP BY collection"
    rows = connection.execute(
        f"SELECT collection, coalesce(now, 0), before FROM ({count.format('before', _before(table))}) "
        f"LEFT JOIN ({count.format('now', table.format(database=''))}) USING (collection)"
    ).fetchall()
    wanted = [row for row in rows if collections is None or row[0] in collections]
    shares = [(max(0.0, 1 - now / before), collection, now, before) for collection, now, before in wanted]
    share, collection, now, before = max(shares, default=(0.0, "", 0, 0))
    allowed = settings.most_shrunk
    words = f"{now} {name} after {before} in the release before, in the collection {collection}"
    return Check(
        f"fewer {name}", share <= allowed, share, allowed,
        f"{words if shares else f'no {name} in the release before'} ({share:.1%} fewer, at most {allowed:.1%}).",
    )  # fmt: skip


def _before(table: str) -> str:
    return f"previous.main.{table.format(database='previous.main.')}"


def _golden_checks(
    connection: duckdb.DuckDBPyConnection, settings: AuditSettings, golden: Sequence[Golden], *, has_previous: bool
) -> Iterator[Check]:
    answers = served_golden(connection, "", golden)
    before = served_golden(connection, "previous.main.", golden) if has_previous else None
    wrong, worse = compare(golden, answers, before, settings.golden_overlap)
    yield _count_check(
        "golden questions", len(worse), settings.most_golden_worse,
        "golden questions were right in the release before and are wrong now", [g.question for g in worse],
    )  # fmt: skip
    weight, wrong_weight = (sum(each.weight for each in some) for some in (golden, wrong))
    wrong_share, by = _share(len(wrong), len(golden), wrong_weight, weight)
    share = 1 - wrong_share
    yield Check(
        "golden share", share >= settings.least_golden, share, settings.least_golden,
        f"{len(golden) - len(wrong)} of {len(golden)} golden questions are right "
        f"({share:.1%}{by}, at least {settings.least_golden:.1%}).",
        _some([g.question for g in wrong]),
    )  # fmt: skip


def served_golden(connection: duckdb.DuckDBPyConnection, database: str, golden: Sequence[Golden]) -> dict[str, str]:
    """Return the served answers by the keys of golden questions; one may be a further wording of another question."""
    known = not database or previous_has_wordings(connection)
    wordings = f"FROM {database}wordings" if known else "FROM wordings WHERE false"
    query = (
        f"SELECT g.key, a.answer FROM (SELECT unnest(?::VARCHAR[]) AS key) g LEFT JOIN ({wordings}) w "
        f"ON w.wording_key = g.key JOIN {database}answers a ON a.query_key = coalesce(w.query_key, g.key) "
        "WHERE a.status = 'served'"
    )
    return dict(connection.execute(query, [[g.query_key for g in golden]]).fetchall())


def _count_check(name: str, figure: int, allowed: int, what: str, examples: Sequence[str]) -> Check:
    return Check(name, figure <= allowed, figure, allowed, f"{figure} {what} (at most {allowed}).", _some(examples))


def _some(examples: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(examples or ())[:_EXAMPLES]
