"""The application: the routes around the parts of the service.

`create_app` is handed its language model and does not know whether that speaks HTTP or lives in this process.
Everything else is made in `online.service`, once; nothing is global.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

from fastapi import APIRouter, FastAPI, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Route

from online.chat.bypass import Bypassing
from online.chat.conversation import Conversing
from online.http.middleware import Edge
from online.http.openapi import describe
from online.http.origin import SitePolicy
from online.http.problems import refuse_http, refuse_invalid
from online.pages.review_access import Access
from online.routes.answers import Asking, answers
from online.routes.chat import Chatting, chat
from online.routes.embeddings import embeddings
from online.routes.faq import faq, faq_page
from online.routes.feedback import FeedbackDesk, feedback
from online.routes.health import operations
from online.routes.lookup import Looking, lookup
from online.routes.models import models
from online.routes.questions import questions
from online.routes.report import ReportPage, Reports, report
from online.routes.responses import Responding, responses
from online.routes.review import ReviewPage, review
from online.routes.widget import widget
from online.service import LiveParts, Service
from online.settings import ServiceSettings
from online.telemetry.tracing import Tracing
from rag.collection_settings import CollectionSettings
from rag.errors import ConfigurationError
from rag.identity import ModelIdentity
from rag.llm.protocol import Llm
from rag.prompting.answer_rules import AnswerRules
from rag.settings import RetrievalSettings, SamplingSettings
from warehouse.history.redaction import Mode
from warehouse.settings import CostSettings


def create_app(  # noqa: PLR0913 - the parts of a service, one by one
    settings: ServiceSettings,
    data: Path,
    collections: Mapping[str, CollectionSettings],
    llm: Llm,
    sampling: SamplingSettings | None = None,
    retrieval: RetrievalSettings | None = None,
    *,
    rules: AnswerRules | None = None,
    identity: ModelIdentity | None = None,
    tracing: Tracing | None = None,
    cost: CostSettings | None = None,
    redaction: Mode | None = None,
    on_start: Callable[[], None] = lambda: None,
    on_stop: Callable[[], Awaitable[None]] | None = None,
) -> FastAPI:
    """Return the service. It also starts without a release, and serves the first one as soon as there is one.

    `rules` are those that a live answer has to pass, `identity` is how the releases name the language model, by
    default its own name; `cost` and `redaction` are for the report.
    `on_start` is called when the first release is open, `on_stop` is awaited at the very end.
    """
    live = LiveParts(
        llm,
        identity or ModelIdentity(llm.model),
        sampling or SamplingSettings.model_validate({}),
        retrieval or RetrievalSettings.model_validate({}),
        rules or AnswerRules(),
    )
    service = Service(settings, data, collections, live, tracing)

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
        redirect_slashes=False,  # such a redirect knows neither the base path nor the proxy's address
        lifespan=lifespan,
    )
    app.state.service = service
    base_path = settings.base_path
    asking = Asking(service.exchanges, service.jobs, service.keys, base_path)
    reports = Reports(data, service.report_pool, cost or CostSettings(), redaction)
    for router in _routers(service, asking, reports, collections):
        app.include_router(router)
    _answer_head(app)
    _refuse_own_path(base_path, app)
    describe(app, keys_required=service.keys.required, base_path=base_path)
    app.add_exception_handler(HTTPException, refuse_http)
    app.add_exception_handler(RequestValidationError, refuse_invalid)
    app.add_middleware(
        Edge,
        body_bytes=settings.body_bytes,
        on_problem=service.count_problem,
        direct={"/v1/answers": asking},
        span=None if tracing is None else tracing.request,
        policy=SitePolicy.of(settings),
        base_path=base_path,
    )
    return app


def _routers(
    service: Service, asking: Asking, reports: Reports, collections: Mapping[str, CollectionSettings]
) -> tuple[APIRouter, ...]:
    """Return all addresses of the service, by subject."""
    settings, keys, data = service.settings, service.keys, reports.data
    base_path = settings.base_path
    bypassing = Bypassing(service.exchanges, service.model)
    conversing = Conversing(service.exchanges, bypassing, service.model, collections)
    page = faq_page(service.exchanges, keys, settings.page_title, base_path, service.count_problem)
    desk = ReviewPage(
        data,
        Access(keys, service.sessions, base_path, "review"),
        service.review_pool,
        page.templates,
        service.count_problem,
    )
    readers = ReportPage(
        reports,
        tuple(collections),
        Access(keys, service.sessions, base_path, "report"),
        page.templates,
        service.count_problem,
    )
    return (
        answers(asking, service.jobs, keys),
        chat(Chatting(conversing, keys)),
        responses(Responding(conversing, keys)),
        embeddings(service.lookup, keys),
        lookup(Looking(service.exchanges, keys, collections)),
        faq(page),
        widget(),
        review(desk),
        report(readers),
        models(keys, None if service.model.is_absent else service.model.llm.model),
        questions(service.lookup, keys),
        feedback(FeedbackDesk(service.lookup, service.journal, service.semantic_hits, service.anonymous), keys),
        operations(keys, service.readiness, service.scrape),
    )


def _answer_head(app: FastAPI) -> None:
    """Answer HEAD wherever GET is answered; the server leaves out the body."""
    routes = [each for each in app.routes if isinstance(each, APIRoute)]
    answered = {each.path for each in routes if "HEAD" in each.methods}
    for route in routes:
        if "GET" in route.methods and route.path not in answered:
            app.add_api_route(
                route.path, route.endpoint, methods=["HEAD"], include_in_schema=False, response_class=Response
            )


def _refuse_own_path(base_path: str, app: FastAPI) -> None:
    """Refuse a base path that begins an address of the service: it could not tell whether a proxy has stripped it."""
    paths = [each.path for each in app.routes if isinstance(each, Route)]
    if base_path and any(f"{path}/".startswith(f"{base_path}/") for path in paths):
        raise ConfigurationError(
            f"[service] base_path = {base_path!r}: the service has addresses below {base_path} itself; choose another"
        )
