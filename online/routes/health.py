"""What whoever runs the service looks at: is it alive, is it ready, what does it count."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from online.service import Service


class Health(BaseModel):
    """The process is alive."""

    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """Whether anticipated questions can be answered; `problem` says what is not followed, such as a newer release."""

    status: Literal["ready", "not ready"]
    release: str | None
    collections: list[str]
    language_model: Literal["closed", "open", "half-open"]
    problem: str | None = None


def operations(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["operations"])

    @router.get("/healthz", summary="Is the process alive?")
    async def healthz() -> Health:
        return Health()

    @router.get("/readyz", summary="Can it answer?", responses={503: {"model": Readiness, "description": "Not ready"}})
    async def readyz(response: Response) -> Readiness:
        release = service.current.get()
        if release is None:
            response.status_code = 503
        return Readiness(
            status="not ready" if release is None else "ready",
            release=None if release is None else release.release_id,
            collections=sorted(service.answering.collections) if not service.keys.required else [],
            language_model=service.model.breaker.state,
            problem=service.trouble,
        )

    @router.get(
        "/metrics",
        summary="Prometheus metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics(request: Request) -> Response:
        if service.keys.required:
            service.keys.caller(request.scope).require("admin")
        service.refresh_metrics()
        return Response(service.metrics.scrape(), media_type=CONTENT_TYPE_LATEST)

    return router
