"""From a parsed request to the question that it asks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from online.answering.question import Asked
from rag.identity import query_key

if TYPE_CHECKING:
    from online.http.authentication import Caller
    from online.http.request_parsing import Directives
    from online.http.schemas import Ask


def asked_by(
    caller: Caller, ask: Ask, wishes: Directives, request_id: str, started: float, route: str = "answers"
) -> Asked:
    """Resolve the collection and name the question.

    Raises:
        Problem: the collection is not the caller's, or a filter is not the caller's to choose.
    """
    collection = caller.collection(ask.collection)
    filters = caller.filters(collection, ask.filters)
    return Asked(
        request_id=request_id,
        collection=collection,
        question=ask.question,
        query_key=query_key(collection, ask.question, filters),
        started=started,
        key_id=caller.key_id,
        asker=caller.asker,
        route=route,
        explain=ask.explain,
        stream=ask.stream,
        html=ask.html,
        fresh=wishes.fresh,
        private=wishes.private,
        filters=filters,
    )


def asking(asked: Asked, question: str) -> Asked:
    """Return the same request with another question."""
    return replace(asked, question=question, query_key=query_key(asked.collection, question, asked.filters))
