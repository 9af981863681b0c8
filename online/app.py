"""The application: the routes around the pieces.

`create_app` gets its language model handed in and does not know whether it speaks HTTP or lives in this
process. Everything else is made in `online.service`, once; nothing is global.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import NoReturn

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route

from online.http.middleware import Edge
from online.http.openapi import describe
from online.http.problems import Problem
from online.routes.answers import AnswersRoute, JobRoute
from online.routes.chat import ChatRoute
from online.routes.faq import faq
from online.routes.feedback import feedback
from online.routes.health import operations
from online.routes.models import models
from online.routes.questions import questions
from online.service import Service
from online.settings import ServiceSettings
from online.telemetry.tracing import Tracing
from rag.llm.protocol import Llm
from rag.settings import CollectionSettings, RetrievalSettings, SamplingSettings

_KINDS = {400: "malformed", 404: "not-found", 405: "method", 413: "too-large", 415: "media-type"}


def create_app(  # noqa: PLR0913 - the parts of a service, handed in one by one
    settings: ServiceSettings,
    data: Path,
    collections: Mapping[str, CollectionSettings],
    llm: Llm,
    sampling: SamplingSettings | None = None,
    retrieval: RetrievalSettings | None = None,
    *,
    tracing: Tracing | None = None,
    on_start: Callable[[], None] = lambda: None,
    on_stop: Callable[[], Awaitable[None]] | None = None,
) -> FastAPI:
    """Make the service. It starts without a release too, and serves the first one as soon as there is one.

    `on_start` is called when the first release is open, `on_stop` is awaited at the very end, to close what was
    handed in.
    """
    service = Service(
        settings,
        data,
        collections,
        llm,
        sampling or SamplingSettings.model_validate({}),
        retrieval or RetrievalSettings.model_validate({}),
        tracing,
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            async with service.running():
                on_start()
                yield
        finally:
            if on_stop is not None:
                await on_stop()

    app = FastAPI(
        title="Beforehand",
        description="Answers the questions that people are about to ask, before they ask them.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    answers = AnswersRoute(service.answering, service.keys, service.recording, service.jobs)
    chat = ChatRoute(service.answering, service.keys, service.recording, service.model)
    app.router.routes += [
        Route("/v1/answers", answers, methods=["POST"]),
        Route("/v1/answers/{job_id}", JobRoute(service.jobs, service.keys), methods=["GET"]),
        Route("/v1/chat/completions", chat, methods=["POST"]),
        *faq(service),
    ]
    for router in (models, questions, feedback, operations):
        app.include_router(router(service))
    describe(app, keys_required=service.keys.required)
    app.add_exception_handler(HTTPException, _refuse_http)
    app.add_exception_handler(RequestValidationError, _refuse_invalid)
    app.add_middleware(
        Edge,
        body_bytes=settings.body_bytes,
        on_problem=service.count_problem,
        direct={"/v1/answers": answers},
        tracing=tracing,
    )
    return app


async def _refuse_http(_: Request, error: Exception) -> NoReturn:
    assert isinstance(error, HTTPException)
    kind = _KINDS.get(error.status_code, "malformed")
    raise Problem(kind, f"{error.detail}.", headers=dict(error.headers or {})) from error


async def _refuse_invalid(_: Request, error: Exception) -> NoReturn:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    raise Problem("invalid", f"{place or 'the body'}: {first['msg']}.", param=place or None) from error
