"""The ranking of questions with what the language model did for it: other wordings, and its verdicts.

`Assistance` says which of both count, so that `rank_assisted` gives the rankings with and without either from one run:
that is how the gain is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import pyarrow as pa
import pyarrow.compute as pc

from batch.plan import Assistance, RunPlan
from batch.retrieval.question_ranking import ReadQuestion, rank, read_questions
from batch.rows import VERDICTS, WORDINGS, VerdictRow, WordingRow
from batch.stores.parquet import read_tables, table_rows
from rag.retrieval.fusion import Ranked, fuse_searches, numbered
from rag.retrieval.passages import Lookup
from warehouse.tables import QuestionRow


@dataclass(frozen=True)
class RankedQuestion:
    """A question's candidates, and those that its own words alone find.

    `verdicts` are probabilities by chunk id that the chunk answers the question.
    """

    ranked: Sequence[Ranked]
    own: Sequence[Ranked]
    verdicts: Mapping[str, float]


def rank_assisted(
    plan: RunPlan,
    collection: str,
    rows: Sequence[QuestionRow],
    lookup: Lookup,
    assistance: Assistance | None = None,
    read: Mapping[str, ReadQuestion] = MappingProxyType({}),
) -> list[RankedQuestion]:
    """Return the ranked candidates of n questions; `assistance` is by default what the collection wants.

    What the stages before wrote of wordings and verdicts must be there. `read` has questions that were read before.
    """
    wanted = assistance or plan.assistance(collection)
    others = _wordings(plan, rows, wanted) if wanted.rewordings or wanted.sketch else {}
    verdicts = _verdicts(plan, rows) if wanted.judge else {}
    texts: list[QuestionRow] = list(rows)
    for row in rows:  # a wording is asked with all that its question has
        texts += [{**row, "question": text} for text in others.get(row["query_key"], ())]
    indexes = f"{plan.folder('enrich' if wanted.chunk_questions else 'index')}/{collection}"
    unread = list(dict.fromkeys(each["question"] for each in texts if each["question"] not in read))
    ranked = rank(plan, collection, texts, {**read, **read_questions(plan, unread)}, lookup, indexes)
    further = iter(ranked[len(rows) :])
    found = []
    for row, own in zip(rows, ranked, strict=False):
        reworded = [next(further) for _ in others.get(row["query_key"], ())]
        fused = fuse_searches([own, *reworded]) if reworded else own
        opinion = verdicts.get(row["query_key"], {})
        found.append(RankedQuestion(judged(fused, opinion), own, opinion))
    return found


def judged(ranked: Sequence[Ranked], verdicts: Mapping[str, float]) -> list[Ranked]:
    """Rank candidates again by their verdicts, given by chunk id; those without one keep their places.

    Equal verdicts leave the order as it was, so a judge that says the same of all changes nothing.
    """
    places = [place for place, each in enumerate(ranked) if each.chunk_id in verdicts]
    best = sorted((ranked[place] for place in places), key=lambda each: (-verdicts[each.chunk_id], each.rank))
    order = list(ranked)
    for place, each in zip(places, best, strict=True):
        order[place] = each
    return numbered(order)


def _wordings(plan: RunPlan, rows: Sequence[QuestionRow], wanted: Assistance) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    keys = _keys(rows)
    for table in read_tables(f"{plan.folder('reword')}/wordings/*.parquet", WORDINGS):
        for row in table_rows(table.filter(pc.is_in(table["query_key"], keys)), WordingRow):
            if wanted.sketch if row["sketched"] else wanted.rewordings:
                found.setdefault(row["query_key"], []).append(row["question"])
    return found


def _verdicts(plan: RunPlan, rows: Sequence[QuestionRow]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    keys = _keys(rows)
    for table in read_tables(f"{plan.folder('judge')}/verdicts/*.parquet", VERDICTS):
        for row in table_rows(table.filter(pc.is_in(table["query_key"], keys)), VerdictRow):
            found.setdefault(row["query_key"], {})[row["chunk_id"]] = row["yes"]
    return found


def _keys(rows: Sequence[QuestionRow]) -> pa.Array:
    return pa.array([row["query_key"] for row in rows], pa.string())
