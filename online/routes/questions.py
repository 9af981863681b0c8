"""`GET /v1/questions`: search and browse what is anticipated."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from online.answering.anticipated import Page, browse, search
from online.answering.lookup import Lookup
from online.http.authentication import Keys
from online.http.openapi import gives, problems
from online.http.responses import json_response
from online.http.schemas import COLLECTION_CHARACTERS, QUESTION_CHARACTERS, Questions

_MOST = 100


def questions(lookup: Lookup, keys: Keys) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["questions"], default_response_class=Response)

    @router.get(
        "/v1/questions",
        summary="Search or browse what is anticipated",
        responses={200: gives("Anticipated questions", Questions), **problems(401, 403, 422, 429, 503)},
    )
    async def find(
        request: Request,
        q: Annotated[str | None, Query(max_length=QUESTION_CHARACTERS, description="What to look for.")] = None,
        collection: Annotated[str | None, Query(min_length=1, max_length=COLLECTION_CHARACTERS)] = None,
        limit: Annotated[int, Query(ge=1, le=_MOST)] = 20,
        offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    ) -> Response:
        caller = keys.caller(request.scope)
        caller.require("ask")
        page = Page(caller.collection(collection), limit, offset)
        with lookup.release().hold() as release:
            if q is not None and q.strip():
                return json_response(await lookup.pool.run(search, lookup, release, page, q))
            return json_response(browse(lookup, release, page))

    return router
