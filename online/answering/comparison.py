"""Answers a share of semantic hits live as well, in the background, to check whether they were right.

Only while the language model is idle: a comparison never takes a visitor's place. Two answers agree if the cosine of
their vectors is at least 0.7, their numbers are not all different, and no clause of one contradicts a clause of the
other. That is crude: a live answer in other words may count as different, so the estimate errs on the high side.
Feedback and reviews catch what it can't see.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from online.answering.live_answer import LiveQuestion, answer_live
from online.answering.question import Asked, LiveAnswer, Prepared, Sought
from online.errors import Problem
from online.records.journal import Journal, JournalRow, journal_filters
from rag.errors import LlmError
from rag.paraphrase.answer_contradiction import contradict
from rag.retrieval.embedding import OnnxEncoder
from rag.selection.certificate import SelectionCertificate
from warehouse.errors import WarehouseError
from warehouse.releases.comparisons import Comparison

if TYPE_CHECKING:
    from online.answering.lookup import Lookup
    from online.release.open_release import OpenRelease

_ALIKE = 0.7
_NUMBER = re.compile(r"(?<!\[)\b\d+(?:[.,]\d+)*\b(?![\d, ]*\])")  # not the references in brackets

_log = logging.getLogger("beforehand.comparison")


@dataclass
class Comparisons:
    """Compares a share of semantic hits; `draw` gives numbers from 0 to 1."""

    lookup: Lookup
    journal: Journal | None
    share: float
    draw: Callable[[], float] = random.random
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def consider(self, asked: Asked, hit: Prepared) -> None:
        """Compare this hit if the draw says so and the language model has nothing to do."""
        if hit.sought is None or hit.sought.decision is None:
            return
        admission = self.lookup.model.admission
        if self.share <= 0 or self.draw() >= self.share or admission.waiting or admission.running:
            return
        task = asyncio.create_task(self._compare(asked, hit, hit.sought, hit.sought.decision.score))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Cancel the comparisons under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _compare(self, asked: Asked, hit: Prepared, sought: Sought, score: float) -> None:
        lookup = self.lookup
        withdrawn = lookup.prepared.withdrawn.documents(asked.collection)
        try:
            with lookup.prepared.release().hold() as release:
                question = LiveQuestion(
                    asked.collection,
                    asked.question,
                    asked.query_key,
                    sought,
                    withdrawn,
                    lookup.rules,
                    lookup.identity.within(release.model),
                    filters=asked.filters,
                )
                live = await answer_live(question, release, lookup.model, lookup.pool, lambda _: None, None)
                if live.fault is not None:  # it says nothing about the hit
                    return
                agrees = await lookup.pool.run(agree, release.encoder, _text(hit), live.linked.text)
                selected = isinstance(sought.certificate, SelectionCertificate)
                comparison = Comparison(asked.collection, score, agrees, selected)
                await asyncio.to_thread(lookup.watch.record, release.release_id, comparison)
                await lookup.watch.follow()
                self._journal(asked, hit, live, release, agrees=agrees)
        except (Problem, LlmError, WarehouseError) as error:
            _log.info("no comparison for %s: %s", asked.request_id, error)

    def _journal(self, asked: Asked, hit: Prepared, live: LiveAnswer, release: OpenRelease, *, agrees: bool) -> None:
        if self.journal is None:
            return
        self.journal.append(
            JournalRow(
                kind="comparison",
                request_id=asked.request_id,
                at=datetime.datetime.now(datetime.UTC),
                collection=asked.collection,
                route=asked.route,
                question=None if asked.private else asked.question,
                query_key=asked.query_key,
                filters=journal_filters(asked.filters),
                source="semantic",
                matched_key=hit.head.query_key,
                similarity=None if hit.sought is None else float(hit.sought.candidates[0].similarity),
                answer=None if asked.private else live.linked.text,
                model=live.completion.model,
                release_id=release.release_id,
                agrees=agrees,
            )
        )


def _text(hit: Prepared) -> str:
    return str(msgspec.json.decode(hit.body)["answer"])


def agree(encoder: OnnxEncoder, served: str, live: str) -> bool:
    """Whether two answers say the same, as far as vectors, numbers and clauses tell; blocking."""
    numbers, others = set(_NUMBER.findall(served)), set(_NUMBER.findall(live))
    if numbers and others and numbers.isdisjoint(others):
        return False
    if contradict(served, live) is not None:
        return False
    first, second = encoder.embed([served, live])
    return float(np.dot(first, second)) >= _ALIKE
