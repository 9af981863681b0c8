"""Endpoints for operators: is the process alive, can it answer, what does it count."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from online.http.authentication import Keys
from online.http.openapi import gives, problems
from online.http.responses import json_response
from online.http.schemas import Health, Readiness


def operations(keys: Keys, readiness: Callable[[], Readiness], scrape: Callable[[], bytes]) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["operations"], default_response_class=Response)

    @router.get("/healthz", summary="Is the process alive?", responses={200: gives("It is", Health)})
    async def healthz() -> Response:
        return json_response(Health())

    @router.get(
        "/readyz",
        summary="Can it answer?",
        responses={200: gives("It can", Readiness), 503: gives("Not ready", Readiness)},
    )
    async def readyz() -> Response:
        found = readiness()
        return json_response(found, 200 if found.status == "ready" else 503)

    @router.get(
        "/metrics",
        summary="Prometheus metrics",
        responses={
            200: {"description": "All metrics", "content": {"text/plain": {"schema": {"type": "string"}}}},
            **problems(401, 403, 429),
        },
    )
    async def metrics(request: Request) -> Response:
        if keys.required:
            keys.caller(request.scope).require("admin")
        return Response(scrape(), media_type=CONTENT_TYPE_LATEST)

    return router
