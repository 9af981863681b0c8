"""When and why the answer to a question changed: between which releases, and by which cause.

The causes are those of `releases diff`. Where passages changed though no document that the answer cites did, the
manifests say what else may have moved them: the encoder, the settings of retrieval. What people decided about the
question and its documents between two releases stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from warehouse.analysis.connection import connect
from warehouse.analysis.diff import Difference, diff
from warehouse.errors import NoReleaseError
from warehouse.log_line import read
from warehouse.releases.release import Release, releases
from warehouse.sql import sql_text


@dataclass(frozen=True)
class AnswerThen:
    """What a release has of a question; `query_key` is the question's own, `wording` the wording that was asked for."""

    release_id: str
    created_at: str
    query_key: str | None
    question: str | None
    wording: str | None
    answer: str | None
    status: str | None
    withheld_reason: str | None
    set_aside: str | None

    @property
    def told(self) -> tuple[str | None, str | None, str | None]:
        """What visitors notice: which question answers, its text, and whether it is served."""
        return self.query_key if self.answer is not None else None, self.answer, self.status


@dataclass(frozen=True)
class Step:
    """A change of the answer from one release to the next, and its causes; `documents` are those that changed."""

    before: AnswerThen
    after: AnswerThen
    causes: tuple[str, ...]
    documents: tuple[str, ...]


@dataclass(frozen=True)
class Bisection:
    """The history of an answer: `first` is the oldest release that is kept."""

    first: AnswerThen
    last: AnswerThen
    releases: int
    steps: tuple[Step, ...]


def bisect(data: Path, key: str) -> Bisection:
    """Return the changes of a question's answer over all releases that are kept.

    Raises:
        NoReleaseError: there is no release, or none has the question.
    """
    kept = sorted(releases(data), key=lambda each: each.manifest["created_at"])
    found = [_answer_then(data, release, key) for release in kept]
    if not any(each.question or each.set_aside for each in found):
        known = f"{len(found)} releases are kept" if found else "there is no release"
        raise NoReleaseError(f'no release has this question ({known}); `beforehand sql "FROM questions"` lists them')
    steps = [
        _step(data, key, (old, before), (new, after))
        for (old, before), (new, after) in pairwise(zip(kept, found, strict=True))
        if before.told != after.told
    ]
    return Bisection(found[0], found[-1], len(found), tuple(steps))


def _answer_then(data: Path, release: Release, key: str) -> AnswerThen:
    with closing(connect(data, release.release_id, described=False)) as session:
        row = session.execute(sql_text("answer_in_release.sql"), {"key": key}).fetchone()
    return AnswerThen(release.release_id, str(release.manifest["created_at"]), *(row or (None,) * 7))


Side = tuple[Release, AnswerThen]


def _step(data: Path, key: str, old: Side, new: Side) -> Step:
    (before, was), (after, now) = old, new
    keys = {each for each in (was.query_key, now.query_key, key) if each}
    differences = [each for each in diff(before, after) if each.query_key in keys]
    documents = sorted({name for each in differences for name in each.documents})
    causes = [
        *_joined(was, now), *_causes(differences, documents, before, after), *_absent(was, now),
        *_between(data, was, now, keys, documents),
    ]  # fmt: skip
    return Step(was, now, tuple(dict.fromkeys(causes)), tuple(documents))


def _joined(was: AnswerThen, now: AnswerThen) -> Iterator[str]:
    """Yield that the question became a wording of another, or a question of its own again."""
    if was.query_key != now.query_key and now.wording is not None:
        yield f"it became a wording of {now.question!r}"
    elif was.query_key != now.query_key and was.wording is not None:
        yield f"it is no wording of {was.question!r} any more"


def _causes(
    differences: Sequence[Difference], documents: Sequence[str], before: Release, after: Release
) -> Iterator[str]:
    for each in differences:
        for cause in each.causes:
            if cause == "passages" and not documents:
                yield from _retrieval(before.manifest, after.manifest)
            yield cause
    if documents:
        yield "document edit"


def _retrieval(before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[str]:
    """Yield what may have moved passages whose documents are as they were."""
    for name, words in (("encoder", "encoder"), ("reranker", "reranker"), ("retrieval", "retrieval settings")):
        if before.get(name) != after.get(name):
            yield words


def _absent(was: AnswerThen, now: AnswerThen) -> Iterator[str]:
    if was.answer is None and now.answer is not None:
        unknown = "it was not anticipated before" if was.question is None else "it had no answer before"
        reasons = {"budget": "it was beyond the budget before", "retired": "it had retired, and was asked again"}
        yield reasons.get(was.set_aside or "", unknown)
    if was.answer is not None and now.answer is None:
        reasons = {"budget": "beyond the budget of the run", "retired": "it retired: nobody asked it"}
        unknown = "it is no longer anticipated" if now.question is None else "it has no answer"
        yield reasons.get(now.set_aside or "", unknown)


def _between(data: Path, was: AnswerThen, now: AnswerThen, keys: set[str], documents: Sequence[str]) -> Iterator[str]:
    """Yield what people decided about the question or its documents between the two releases."""
    for record in read(data / "reviews.jsonl"):
        if record.get("query_key") in keys and was.created_at < str(record.get("reviewed_at")) <= now.created_at:
            yield f"decision: {record.get('decision')} by {record.get('reviewer')}"
    for record in read(data / "withdrawals.jsonl"):
        if record.get("document_id") in documents and was.created_at < str(record.get("at")) <= now.created_at:
            yield f"{record.get('document_id')}: {record.get('action')} ({record.get('reason')})"
