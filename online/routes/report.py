"""The report of the warehouse, served live to keys with the scope `report`, each about its own collections.

A report takes seconds on a large history. One thread makes it, with one processor for its queries, so that hits are
not slowed; it is kept for some minutes, and whoever asks meanwhile waits for the same one. A browser signs in as on the
review page; a script sends its key (`Authorization: Bearer`), and `Accept: text/markdown` for the text.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from jinja2 import Environment
from markupsafe import Markup
from starlette.responses import RedirectResponse

from online.errors import Kind, Problem
from online.http.problems import details, status_of
from online.model.work_pool import WorkPool
from online.pages.review_access import (
    Access,
    Endpoint,
    Reviewer,
    SignInError,
    guarded,
)
from warehouse.releases.release import current_id
from warehouse.settings import CostSettings

if TYPE_CHECKING:  # loads DuckDB, which a service without reports does not need
    from warehouse.history.redaction import Mode
    from warehouse.reporting.figures import Report

_KEPT_SECONDS = 300.0
_MOST_KEPT = 16
_MOST_DAYS = 366
_PERIODS = (7, 30, 90, 365)
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_OWN_PATH = re.compile(r"/report(?:\?[\w=&%+.~-]*)?")

About = tuple[str | None, tuple[str, ...] | None, int]  # the release, the collections (None for all), the days


@dataclass(frozen=True)
class Reports:
    """Makes reports and keeps them for a while. `pool` is for them alone, since one may take seconds."""

    data: Path
    pool: WorkPool
    cost: CostSettings
    redaction: Mode | None
    _kept: dict[About, tuple[float, asyncio.Task[Report]]] = field(default_factory=dict)

    async def report(self, collections: tuple[str, ...] | None, days: int) -> Report:
        """Return a report that is some minutes old at most, on the release that is current now."""
        about = (current_id(self.data), collections, days)
        made, task = self._kept.get(about, (0.0, None))
        failed = task is not None and task.done() and (task.cancelled() or task.exception() is not None)
        if task is None or failed or time.monotonic() - made > _KEPT_SECONDS:
            task = asyncio.create_task(self.pool.run(_make, self, collections, days))
            self._kept.pop(about, None)
            while len(self._kept) >= _MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[about] = (time.monotonic(), task)
        return await asyncio.shield(task)


def _make(reports: Reports, collections: tuple[str, ...] | None, days: int) -> Report:
    from warehouse.reporting.figures import Scope, report_of

    scope = Scope(days, datetime.now(UTC), collections)
    return report_of(reports.data, scope, reports.cost, reports.redaction, threads=1)


def report(page: ReportPage) -> APIRouter:
    """Return the page's routes."""
    router = APIRouter(prefix="/report", include_in_schema=False, default_response_class=Response)
    router.add_api_route("", page.guarded(page.show), methods=["GET", "HEAD"])
    router.add_api_route("/sign-in", page.guarded(page.ask_key), methods=["GET", "HEAD"])
    router.add_api_route("/sign-in", page.guarded(page.sign_in), methods=["POST"])
    router.add_api_route("/sign-out", page.guarded(page.sign_out), methods=["POST"])
    return router


@dataclass(frozen=True)
class ReportPage:
    """The page's handlers; `collections` are all that the service has."""

    reports: Reports
    collections: tuple[str, ...]
    access: Access
    templates: Environment
    count_problem: Callable[[Kind], None]

    def guarded(self, handler: Endpoint) -> Endpoint:
        """Show problems as pages, and lead whoever is not signed in to the sign-in."""
        return guarded(handler, lambda _: self._lead("/report/sign-in"), self._problem, self.count_problem)

    def _problem(self, problem: Problem) -> Response:
        return self._page("problem.html", status_of(problem.kind), problem=details(problem, ""))

    async def show(self, request: Request) -> Response:
        """`GET /report`: the report on `collection` (all of the key's) and the last `days`."""
        if "authorization" in request.headers:
            caller = self.access.keys.caller(request.scope)
            caller.require("report")
            reader, own, may_review = None, caller.collections, bool(caller.scopes & {"review", "admin"})
        else:
            reader = self.access.reviewer(request)
            own, may_review = reader.collections, reader.may_review
        named, days = request.query_params.get("collection", ""), _days(request.query_params.get("days", "30"))
        if named and named not in own:
            raise Problem("forbidden", "The key does not belong to the collection that was named.")
        about = (named,) if named else None if set(own) >= set(self.collections) else own
        found = await self.reports.report(about, days)
        review = f"{self.access.base_path}/review" if may_review else None
        if request.headers.get("accept", "").startswith("text/markdown"):
            return Response(await self.reports.pool.run(_markdown, found, review), media_type="text/markdown")
        controls = "" if reader is None else self._controls(reader, named, days)
        text = await self.reports.pool.run(_html, found, review, controls)
        return _as_page(text)

    async def ask_key(self, request: Request) -> Response:
        """`GET /report/sign-in`: the form for the key."""
        return self._key_form(request)

    async def sign_in(self, request: Request) -> Response:
        """`POST /report/sign-in`: begin a session for the key that was typed."""
        form, opened = await self.access.sign_in(request)
        if isinstance(opened, SignInError):
            return self._key_form(request, opened)
        following = form.get("next", "")
        response = self._lead(following if _OWN_PATH.fullmatch(following) else "/report")
        self.access.keep_session(request, response, opened)
        return response

    async def sign_out(self, request: Request) -> Response:
        """`POST /report/sign-out`: end the session in this browser."""
        await self.access.form(request)
        response = self._lead("/report/sign-in")
        self.access.end_session(request, response)
        return response

    def _controls(self, reader: Reviewer, named: str, days: int) -> str:
        periods = sorted({*_PERIODS, days})
        return self.templates.get_template("report/controls.html").render(
            reader=reader, named=named, days=days, periods=periods, token=reader.token
        )

    def _key_form(self, request: Request, error: SignInError | None = None) -> Response:
        token, cookie = self.access.begin_sign_in()
        response = self._page(
            "sign_in.html",
            200 if error is None else error.status,
            token=token,
            following="/report",
            # Then the browser does not send the cookie of a session that exists (SameSite=Strict).
            from_elsewhere=request.headers.get("sec-fetch-site") in ("cross-site", "same-site"),
            keys_exist=self.access.keys.required,
            error=error,
        )
        self.access.keep_sign_in(request, response, cookie)
        return response

    def _lead(self, path: str) -> Response:
        return RedirectResponse(f"{self.access.base_path}{path}", 303, {"cache-control": "no-store"})

    def _page(self, template: str, status: int, **context: object) -> Response:
        text = self.templates.get_template(f"report/{template}").render(context)
        headers = {"content-security-policy": _policy("'self'"), "cache-control": "no-store", "vary": "Cookie"}
        return Response(text, status, headers, "text/html")


def _days(typed: str) -> int:
    if not (typed.isascii() and typed.isdigit() and len(typed) <= 3 and 1 <= int(typed) <= _MOST_DAYS):
        raise Problem("invalid", f"Days are a whole number from 1 to {_MOST_DAYS}.", param="days")
    return int(typed)


def _markdown(found: Report, review: str | None) -> str:
    from warehouse.reporting.page import markdown

    return markdown(found, review)


def _html(found: Report, review: str | None, controls: str) -> str:
    from warehouse.reporting.page import html

    return html(found, review, Markup(controls))


def _as_page(text: str) -> Response:
    """Return the report as a page whose only style is its own, by its hash."""
    style = _STYLE.search(text)
    hashed = hashlib.sha256(b"" if style is None else style[1].encode()).digest()
    policy = _policy(f"'sha256-{base64.b64encode(hashed).decode()}'")
    headers = {"content-security-policy": policy, "cache-control": "no-store", "vary": "Cookie, Authorization, Accept"}
    return Response(text, 200, headers, "text/html")


def _policy(style: str) -> str:
    return (
        f"default-src 'none'; style-src {style}; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
