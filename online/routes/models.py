"""`GET /v1/models`: the names under which an OpenAI client can ask."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from online.http.authentication import Caller
from online.http.problems import Problem
from online.routes.chat_request import MODEL
from online.service import Service


class Model(BaseModel):
    """A name to ask under: `beforehand/<collection>`, or the language model itself where one is asked by default."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "beforehand"


class Models(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[Model]


def models(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["OpenAI-compatible"])

    def of(caller: Caller) -> list[Model]:
        names = [f"{MODEL}/{name}" for name in caller.collections]
        if caller.default is not None:  # without one, a name that names no collection asks nothing
            names.append(service.model.llm.model)
        return [Model(id=name) for name in names]

    @router.get("/v1/models", summary="The names to ask under")
    async def every(request: Request) -> Models:
        return Models(data=of(_asking(service, request)))

    @router.get("/v1/models/{model:path}", summary="One of them")
    async def one(request: Request, model: str) -> Model:
        for each in of(_asking(service, request)):
            if each.id == model:
                return each
        raise Problem("not-found", "There is no such model.", param="model")

    return router


def _asking(service: Service, request: Request) -> Caller:
    caller = service.keys.caller(request.scope)
    caller.require("ask")
    return caller
