"""The FAQ page: ask, browse and search, with JavaScript or without.

A visit to a prepared answer's own page is recorded as an answer (route `page`), so that feedback finds its request in
the journal; paging through the list is not. A GET never calls the language model, so that following links can't keep
it busy; a POST from another site is refused (`online.http.origin`).

With API keys configured the page is closed, unless `service.public_page` names what may be seen without one.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args
from urllib.parse import parse_qsl, urlencode

import msgspec
from fastapi import APIRouter, Request, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import RedirectResponse

from online.answering.anticipated import Page, browse, search
from online.answering.asked_question import asked_by
from online.answering.exchange import Exchanges
from online.answering.lookup import Lookup
from online.answering.question import Asked
from online.answering.rendering import answer_body, prepared_body
from online.errors import Kind, Problem
from online.http.authentication import Caller, Keys
from online.http.problems import details, headers_of, status_of
from online.http.request_parsing import Directives, read_body, require_media_type
from online.http.schemas import QUESTION_CHARACTERS, Answer, AnticipatedQuestion, Ask, UnansweredSource
from online.pages import faq_view
from rag.filters import Filters, filters_from

if TYPE_CHECKING:
    from online.release.open_release import OpenRelease

Context = Mapping[str, object]
Endpoint = Callable[[Request], Awaitable[Response]]

_HERE = Path(__file__).parents[1]
_PAGE = 20
_READ = ["GET", "HEAD"]
_MOST_PAGES = 100_000
_RELATED = 5
_SIMILAR = 0.25  # all-MiniLM-L6-v2: below it a question shares nothing with what was typed
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_WIDGET = "widget"  # has an address of its own (online.routes.widget)
_FORM = re.compile(rb"application/x-www-form-urlencoded", re.IGNORECASE)
_MEDIA_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
# The layout's variables while the caller is unknown.
_BLANK: Context = {"collections": (), "collection": None, "release_id": None, "asked": "", "typed": "", "lang": "en"}

_UNANSWERED: tuple[str, ...] = get_args(UnansweredSource)
_decode_answer = msgspec.json.Decoder(Answer).decode


def faq(page: FaqPage) -> APIRouter:
    """Return the page's routes."""
    router = APIRouter(include_in_schema=False, default_response_class=Response)
    router.add_api_route("/", page.guarded(page.browse), methods=_READ)
    router.add_api_route("/", page.guarded(page.ask), methods=["POST"])
    router.add_api_route("/questions/{query_key}", page.guarded(page.question), methods=_READ)
    for name, endpoint in page.files.items():
        router.add_api_route(f"/static/{name}", endpoint, methods=_READ)
    return router


def faq_page(
    exchanges: Exchanges, keys: Keys, title: str, base_path: str, count_problem: Callable[[Kind], None]
) -> FaqPage:
    """Read the templates and static files of the page; its links begin with `base_path`."""
    files = {path.name: path.read_bytes() for path in sorted((_HERE / "static").iterdir()) if path.stem != _WIDGET}
    version = hashlib.sha256(b"".join(files.values())).hexdigest()[:12]
    static = {name: _static(name, content, version) for name, content in files.items()}
    return FaqPage(exchanges, keys, count_problem, _templates(title, version, base_path), static, base_path)


def _templates(title: str, version: str, base_path: str) -> Environment:
    templates = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals |= {"title": title, "version": version, "view": faq_view, "base": base_path}
    return templates


def _static(name: str, content: bytes, version: str) -> Endpoint:
    async def send(request: Request) -> Response:
        fresh = request.query_params.get("v") == version
        cached = "public, max-age=31536000, immutable" if fresh else "no-cache"
        return Response(content, headers={"cache-control": cached}, media_type=_MEDIA_TYPES[Path(name).suffix])

    return send


@dataclass(frozen=True)
class FaqPage:
    """The page's handlers."""

    exchanges: Exchanges
    keys: Keys
    count_problem: Callable[[Kind], None]
    templates: Environment
    files: Mapping[str, Endpoint]
    base_path: str

    @property
    def _lookup(self) -> Lookup:
        return self.exchanges.lookup

    def guarded(self, handler: Endpoint) -> Endpoint:
        """Show a problem as a page, too."""

        async def guard(request: Request) -> Response:
            try:
                return await handler(request)
            except Problem as problem:
                return self._refused(problem)

        return guard

    async def browse(self, request: Request) -> Response:
        """`GET /`: what is anticipated, page by page or by a search; `?question=` opens its page or fills the form."""
        caller = self._caller(request)
        collection = _collection(caller, request.query_params.get("collection"))
        question, typed = _text(request, "question"), _text(request, "q")
        asked = _asked(request, caller, collection, question)
        if question and (page_key := self._page_key(asked)) is not None:
            return RedirectResponse(f"{self.base_path}/questions/{page_key}", 303)
        number = _page_number(request)
        page = Page(collection, _PAGE, (number - 1) * _PAGE, asked.filters)
        with self._lookup.prepared.release().hold() as release:
            context = self._context(caller, collection, release)
            if typed:
                found = await self._lookup.pool.run(search, self._lookup, release, page, typed)
            else:
                found = browse(self._lookup, release, page)
        if number > 1 and page.offset >= found.total:
            raise Problem("not-found", "There are not that many pages of questions.")
        near = _near(found.questions)
        answers = [answer for each in near if (answer := self._answer(asked, each.query_key)) is not None]
        goes_on = found.next_offset is not None and len(near) == len(found.questions)
        return self._show(
            "browse.html",
            context,
            asked=question,
            typed=typed,
            answers=answers,
            number=number,
            pages=None if typed else max(1, -(-found.total // _PAGE)),
            before=self.base_path + _address(caller, collection, typed, number - 1) if number > 1 else None,
            after=self.base_path + _address(caller, collection, typed, number + 1) if goes_on else None,
            structured=faq_view.structured_data(answers) if answers else None,
        )

    async def question(self, request: Request) -> Response:
        """`GET /questions/{query_key}`: one anticipated question with its prepared answer."""
        caller = self._caller(request)
        for collection in caller.collections:
            asked = replace(_asked(request, caller, collection, ""), query_key=request.path_params["query_key"])
            prepared = self._lookup.prepared.exact(asked) if self._has_page(asked) else None
            if prepared is not None:
                break
        else:
            raise Problem("not-found", "There is no such question, or its answer is not served any more.")
        answer = _decode_answer(prepared_body(asked, prepared))
        if request.method == "GET":
            seen = replace(asked, question=answer.question, filters=filters_from(answer.filters))
            self.exchanges.log.prepared(seen, prepared)
        with self._lookup.prepared.release().hold() as release:
            context = self._context(caller, collection, release)
            related = await self._related(release, answer, asked.filters)
        structured = faq_view.structured_data([answer])
        return self._show("answered.html", context, answer=answer, related=related, structured=structured)

    async def ask(self, request: Request) -> Response:
        """`POST /`: ask without JavaScript. A listed question leads to its own page, so that a reload asks nothing."""
        caller = self._caller(request)
        body = await read_body(request.receive)
        require_media_type(request.scope["headers_by_name"], _FORM, "application/x-www-form-urlencoded")
        form = dict(parse_qsl(body.decode("utf-8", "replace")))
        question = _within_limit(form.get("question", ""), "question")
        asked = _asked(request, caller, _collection(caller, form.get("collection")), question)
        if question and (page_key := self._page_key(asked)) is not None:
            return RedirectResponse(f"{self.base_path}/questions/{page_key}", 303)
        context = self._context(caller, asked.collection, self._lookup.prepared.release())
        try:
            async with self.exchanges.begin(asked, request.receive) as begun:
                answer = _decode_answer(await answer_body(asked, begun))
        except Problem as problem:
            return self._refused(problem, {**context, "asked": question})
        if answer.source in _UNANSWERED:
            return self._show("declined.html", context, declined=answer, asked=question)
        return self._show("answered.html", context, answer=answer, related=[], structured=None)

    def _has_page(self, asked: Asked) -> bool:
        """Whether a question has a page of its own that the caller may see."""
        return self._lookup.prepared.is_shown(
            self._lookup.prepared.release(), asked.collection, asked.query_key, asked.filters
        )

    def _page_key(self, asked: Asked) -> str | None:
        """Return the key of the question whose page answers this one, which may be a further wording of it."""
        prepared = self._lookup.prepared.exact(asked)
        key = asked.query_key if prepared is None else prepared.head.query_key
        return key if self._has_page(replace(asked, query_key=key)) else None

    def _answer(self, asked: Asked, query_key: str) -> Answer | None:
        asked = replace(asked, query_key=query_key)
        prepared = self._lookup.prepared.exact(asked)
        return None if prepared is None else _decode_answer(prepared_body(asked, prepared))

    async def _related(self, release: OpenRelease, answer: Answer, filters: Filters) -> list[AnticipatedQuestion]:
        page = Page(answer.collection, _RELATED + 1, 0, filters)
        try:
            found = await self._lookup.pool.run(search, self._lookup, release, page, answer.question)
        except Problem:  # too busy to embed; the answer itself matters more
            return []
        return [each for each in _near(found.questions) if each.query_key != answer.query_key][:_RELATED]

    def _caller(self, request: Request) -> Caller:
        caller = self.keys.caller(request.scope, visitors=True)
        caller.require("ask")
        return caller

    def _context(self, caller: Caller, collection: str, release: OpenRelease) -> Context:
        return {
            **_BLANK,
            "collections": caller.collections if len(caller.collections) > 1 else (),
            "collection": collection,
            "release_id": release.release_id,
            "lang": release.collection(collection).language,
            "anticipated": len(self._lookup.prepared.listed.keys(release, collection, caller.filters(collection))),
            "may_judge": bool(caller.scopes & {"feedback", "admin"}),
            "live": not self._lookup.model.is_down,
            "model_absent": self._lookup.model.is_absent,
        }

    def _refused(self, problem: Problem, context: Context = _BLANK) -> Response:
        self.count_problem(problem.kind)
        response = self._show("refused.html", context, problem=details(problem, ""))
        response.status_code = status_of(problem.kind)
        response.headers.update(headers_of(problem))
        return response

    def _show(self, template: str, context: Context, **more: object) -> Response:
        html = self.templates.get_template(template).render({**context, **more})
        headers = {
            "content-security-policy": _POLICY,
            "cache-control": "private, no-cache",
            "vary": "Authorization",
        }
        return Response(html, headers=headers, media_type="text/html")


def _asked(request: Request, caller: Caller, collection: str, question: str) -> Asked:
    identity = request.scope["request_id"]
    return asked_by(caller, Ask(question, collection), Directives(), identity, time.perf_counter(), "page")


def _collection(caller: Caller, named: str | None) -> str:
    """Return the named collection, the caller's default, or the first."""
    return caller.collection(named or caller.default or next(iter(caller.collections), None))


def _text(request: Request, name: str) -> str:
    return _within_limit(request.query_params.get(name, ""), name)


def _within_limit(text: str, name: str) -> str:
    if len(text) > QUESTION_CHARACTERS:
        raise Problem("invalid", f"It is too long: at most {QUESTION_CHARACTERS} characters.", param=name)
    return text.strip()


def _page_number(request: Request) -> int:
    number = request.query_params.get("page", "1")
    short = len(number) <= len(str(_MOST_PAGES))  # Python parses no number of more than 4,300 digits
    if not (short and number.isascii() and number.isdigit() and 1 <= int(number) <= _MOST_PAGES):
        raise Problem("invalid", "There is no such page.", param="page")
    return int(number)


def _near(found: list[AnticipatedQuestion]) -> list[AnticipatedQuestion]:
    return [each for each in found if each.similarity is None or each.similarity >= _SIMILAR]


def _address(caller: Caller, collection: str, typed: str, number: int) -> str:
    """Return the address of a page of the list; defaults are left out."""
    wanted = {
        "collection": collection if len(caller.collections) > 1 else "",
        "q": typed,
        "page": str(number) if number > 1 else "",
    }
    query = urlencode({name: value for name, value in wanted.items() if value})
    return f"/?{query}" if query else "/"
