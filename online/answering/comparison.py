"""Answering a share of semantic hits live as well, in the background, to see whether they were right.

Only while the language model is idle: a comparison never takes a visitor's place. Two answers agree if the cosine of
their vectors is at least 0.7, their numbers are not all different, and no clause of one contradicts one of the other
(`rag.paraphrase.contradiction` has the figures). That is crude. A live answer in other words may count as different,
so the estimate errs on the high side. Reports of visitors (`online.routes.feedback`) and reviews are there for what it
can't see.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import numpy as np

from online.answering.live_answer import LiveAnswer, Miss, answer_live
from online.answering.lookup import Answering, Asked, Prepared
from online.http.problems import Problem
from online.records.journal import Journal, Record
from online.release.open_release import OpenRelease
from rag.errors import LlmError
from rag.paraphrase.contradiction import contradict
from rag.retrieval.embedding import OnnxEncoder
from warehouse.errors import WarehouseError
from warehouse.releases.comparisons import Comparison

_ALIKE = 0.7
_NUMBER = re.compile(r"(?<!\[)\b\d+(?:[.,]\d+)*\b(?![\d, ]*\])")  # not the references in brackets

_log = logging.getLogger("beforehand.comparison")


@dataclass
class Comparisons:
    """Compares a share of semantic hits; `draw` gives numbers from 0 to 1."""

    answering: Answering
    journal: Journal | None
    share: float
    draw: Callable[[], float] = random.random
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def consider(self, asked: Asked, hit: Prepared) -> None:
        """Compare this hit if the draw says so and the language model has nothing to do."""
        admission = self.answering.model.admission
        if self.share <= 0 or self.draw() >= self.share or admission.waiting or admission.running:
            return
        task = asyncio.create_task(self._compare(asked, hit))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _compare(self, asked: Asked, hit: Prepared) -> None:
        assert hit.sought is not None
        assert hit.sought.decision is not None
        answering = self.answering
        withdrawn = answering.withdrawn.documents(asked.collection)
        miss = Miss(asked.collection, asked.question, asked.query_key, hit.sought.vector, withdrawn)
        try:
            with answering.release().hold() as release:
                live = await answer_live(miss, release, answering.model, answering.pool, lambda _: None, None)
                agrees = await answering.pool.run(agree, release.encoder, _text(hit), live.linked.text)
                comparison = Comparison(asked.collection, hit.sought.decision.score, agrees)
                await asyncio.to_thread(answering.watch.record, release.release_id, comparison)
                answering.watch.follow()
                self._journal(asked, hit, live, release, agrees=agrees)
        except (Problem, LlmError, WarehouseError) as error:
            _log.info("no comparison for %s: %s", asked.request_id, error)

    def _journal(self, asked: Asked, hit: Prepared, live: LiveAnswer, release: OpenRelease, *, agrees: bool) -> None:
        if self.journal is None:
            return
        self.journal.append(
            Record(
                kind="comparison",
                request_id=asked.request_id,
                at=datetime.datetime.now(datetime.UTC),
                collection=asked.collection,
                route=asked.route,
                question=None if asked.private else asked.question,
                query_key=asked.query_key,
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
    """Say whether two answers say the same, as far as vectors, numbers and clauses tell; blocking."""
    numbers, others = set(_NUMBER.findall(served)), set(_NUMBER.findall(live))
    if numbers and others and numbers.isdisjoint(others):
        return False
    if contradict(served, live) is not None:
        return False
    first, second = encoder.embed([served, live])
    return float(np.dot(first, second)) >= _ALIKE
