"""`GET /v1/models`: the names under which an OpenAI client can ask."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from online.chat.request import model_of
from online.errors import Problem
from online.http.authentication import Keys
from online.http.openai_schemas import Model, Models
from online.http.openapi import gives, problems
from online.http.responses import json_response


def models(keys: Keys, language_model: str | None) -> APIRouter:
    """Return the routes; `language_model` is the model's own name, if there is one."""
    router = APIRouter(tags=["OpenAI-compatible"], default_response_class=Response)

    def known_to(request: Request) -> list[Model]:
        caller = keys.caller(request.scope)
        caller.require("ask")
        names = [model_of(name) for name in caller.collections]
        if language_model is not None and caller.default is not None:  # else a name of no collection asks nothing
            names.append(language_model)
        return [Model(id=name) for name in names]

    @router.get(
        "/v1/models",
        summary="The names to ask under",
        responses={200: gives("The names", Models), **problems(401, 403, 429, openai=True)},
    )
    async def every(request: Request) -> Response:
        return json_response(Models(data=known_to(request)))

    @router.get(
        "/v1/models/{model:path}",
        summary="One of them",
        responses={200: gives("The name", Model), **problems(401, 403, 404, 422, 429, openai=True)},
    )
    async def one(request: Request, model: str) -> Response:
        for each in known_to(request):
            if each.id == model:
                return json_response(each)
        raise Problem("not-found", "There is no such model.", param="model", code="model_not_found")

    return router
