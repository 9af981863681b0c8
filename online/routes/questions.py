"""`GET /v1/questions`: search and browse what is anticipated."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from online.answering.anticipated import Page, browse, search
from online.answering.lookup import Lookup
from online.errors import Problem
from online.http.authentication import Keys
from online.http.openapi import gives, problems
from online.http.responses import json_response
from online.http.schemas import COLLECTION_CHARACTERS, FILTER_CHARACTERS, QUESTION_CHARACTERS, Questions

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
        filter: Annotated[  # noqa: A002 - the parameter's name in the address
            list[Annotated[str, Query(max_length=FILTER_CHARACTERS)]] | None,
            Query(description="A value of the collection's filters, as `version:2`; repeatable."),
        ] = None,
    ) -> Response:
        caller = keys.caller(request.scope)
        caller.require("ask")
        named = caller.collection(collection)
        page = Page(named, limit, offset, caller.filters(named, _named(filter or ())))
        with lookup.prepared.release().hold() as release:
            if q is not None and q.strip():
                return json_response(await lookup.pool.run(search, lookup, release, page, q))
            return json_response(browse(lookup, release, page))

    return router


def _named(parameters: Iterable[str]) -> dict[str, str]:
    """Return the values that parameters such as `version:2` name."""
    parts = [each.partition(":") for each in parameters]
    if unnamed := [field for field, colon, _ in parts if not colon]:
        raise Problem("invalid", f"Write a filter as field:value, not {unnamed[0]!r}.", param="filter")
    return {field.strip(): value for field, _, value in parts}
