"""`GET /v1/questions`: what is anticipated, to search and to browse.

A search embeds what was typed and gives the nearest; without one the questions come page by page in the order of
the index. Both see one collection and nothing else, and no question whose answer has been withdrawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from online.answering.lookup import Answering
from online.answering.semantic_hit import Anticipated
from online.http.schemas import COLLECTION_CHARACTERS, QUESTION_CHARACTERS
from online.release.open_release import OpenRelease
from online.service import Service

_MOST = 100


class AnticipatedQuestion(BaseModel):
    """A question that is answered beforehand. `similarity` is set by a search."""

    question: str
    query_key: str
    similarity: float | None = None


class Questions(BaseModel):
    """Anticipated questions; `next_offset` is where the next page begins, if there is one."""

    questions: list[AnticipatedQuestion]
    total: int = Field(description="Anticipated questions of the collection, all in all.")
    next_offset: int | None = None


@dataclass(frozen=True)
class Page:
    """Where to look, and how far."""

    collection: str
    limit: int
    offset: int


def questions(service: Service) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["questions"])

    @router.get("/v1/questions", summary="Search or browse what is anticipated")
    async def find(
        request: Request,
        q: Annotated[str | None, Query(max_length=QUESTION_CHARACTERS, description="What to look for.")] = None,
        collection: Annotated[str | None, Query(min_length=1, max_length=COLLECTION_CHARACTERS)] = None,
        limit: Annotated[int, Query(ge=1, le=_MOST)] = 20,
        offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    ) -> Questions:
        caller = service.keys.caller(request.scope)
        caller.require("ask")
        page = Page(caller.collection(collection), limit, offset)
        with service.answering.release().hold() as release:
            if q is not None and q.strip():
                return await service.pool.run(search, service.answering, release, page, q)
            return browse(service.answering, release, page)

    return router


def search(answering: Answering, release: OpenRelease, page: Page, typed: str) -> Questions:
    """Return the anticipated questions that are nearest to what was typed; blocking."""
    index = release.collection(page.collection).questions
    vector = release.encoder.embed([typed])
    near = index.search(vector, page.offset + page.limit)[0][page.offset :]
    found = [_shown(answering, release, page.collection, key, similarity) for key, similarity in near]
    return _page(found, page, len(index))


def browse(answering: Answering, release: OpenRelease, page: Page) -> Questions:
    """Return one page of the anticipated questions."""
    keys = release.collection(page.collection).questions.ids
    some = [
        _shown(answering, release, page.collection, key, None) for key in keys[page.offset : page.offset + page.limit]
    ]
    return _page(some, page, len(keys))


def _page(found: list[AnticipatedQuestion | None], page: Page, total: int) -> Questions:
    after = page.offset + page.limit
    return Questions(
        questions=[each for each in found if each is not None],
        total=total,
        next_offset=after if after < total else None,
    )


def _shown(
    answering: Answering, release: OpenRelease, collection: str, query_key: str, similarity: float | None
) -> AnticipatedQuestion | None:
    stored = release.index.question(query_key)
    if stored is None or not answering.is_served(release, collection, query_key):
        return None
    anticipated = msgspec.json.decode(stored, type=Anticipated)
    return AnticipatedQuestion(
        question=anticipated.question,
        query_key=query_key,
        similarity=None if similarity is None else round(similarity, 4),
    )
