"""The page for reviews: what waits for a person, and the decisions about it, without the command line.

Only keys with the scope `review` (or `admin`) open it, and each sees its own collections. A service without keys has no
review page, also on loopback: a proxy on the same machine would open it to everyone.

A key is typed once; from then on a cookie of its own names the reviewer (`online.http.session`). Each form carries the
session's token, the answer's fingerprint and the number of decisions that its reader saw, so that neither a page of
another site nor a reader of an old page decides anything. The page works without JavaScript.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response
from jinja2 import Environment
from starlette.responses import RedirectResponse

from online.errors import Kind, Problem
from online.http.problems import details, status_of
from online.model.work_pool import WorkPool
from online.pages import review_desk, review_view
from online.pages.review_access import (
    Access,
    Endpoint,
    Form,
    Reviewer,
    SignInError,
    guarded,
)
from online.pages.review_desk import Case, Refusal
from online.pages.review_form import number_of, submitted
from online.pages.review_view import Filter, part_of_queue

_READ = ["GET", "HEAD"]
_PAGE = 20
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_OWN_PATH = re.compile(r"/review(?:/(?:decided|search|pairs|questions/[0-9a-f]{32}))?(?:\?[\w=&%+.~-]*)?")


def review(page: ReviewPage) -> APIRouter:
    """Return the page's routes."""
    router = APIRouter(prefix="/review", include_in_schema=False, default_response_class=Response)
    for path, shown in (
        ("", page.queue),
        ("/questions/{query_key}", page.question),
        ("/decided", page.decided),
        ("/search", page.search),
        ("/pairs", page.pairs),
        ("/sign-in", page.ask_key),
    ):
        router.add_api_route(path, page.guarded(shown), methods=_READ)
    for path, changed in (
        ("/questions/{query_key}", page.decide),
        ("/decided", page.take_back),
        ("/pairs", page.judge_pair),
        ("/sign-in", page.sign_in),
        ("/sign-out", page.sign_out),
    ):
        router.add_api_route(path, page.guarded(changed), methods=["POST"])
    return router


@dataclass(frozen=True)
class ReviewPage:
    """The page's handlers. `pool` runs what blocks; `access` knows who is signed in."""

    data: Path
    access: Access
    pool: WorkPool
    templates: Environment
    count_problem: Callable[[Kind], None]

    def guarded(self, handler: Endpoint) -> Endpoint:
        """Show problems as pages, and lead whoever is not signed in to the sign-in."""
        return guarded(handler, self._to_sign_in, self._problem, self.count_problem)

    def _problem(self, problem: Problem) -> Response:
        return self._show("problem.html", None, status_of(problem.kind), problem=details(problem, ""))

    async def queue(self, request: Request) -> Response:
        """`GET /review`: what waits, by collection and reason."""
        reviewer = self.access.reviewer(request)
        items = await self.pool.run(review_desk.waiting, self.data, reviewer.collections)
        chosen = part_of_queue(request.query_params)
        found = [item for item in items if chosen.has(item)]
        pages = max(1, -(-len(found) // _PAGE))
        number = min(pages, number_of(request.query_params.get("page", "1")))
        return self._show(
            "queue.html",
            reviewer,
            items=found[(number - 1) * _PAGE : number * _PAGE],
            total=len(items),
            chosen=chosen,
            collections=review_view.by_collection(items, reviewer.collections, chosen),
            reasons=review_view.by_reason(items, chosen, review_desk.reasons()),
            number=number,
            pages=pages,
            pairs=len(await self.pool.run(review_desk.waiting_pairs, self.data, reviewer.collections)),
            done=await self._last(request, reviewer),
        )

    async def question(self, request: Request) -> Response:
        """`GET /review/questions/{query_key}`: an answer beside its passages, its former text and its decisions."""
        reviewer = self.access.reviewer(request)
        return await self._case(
            request, reviewer, await self._found(request, reviewer), part_of_queue(request.query_params)
        )

    async def decide(self, request: Request) -> Response:
        """`POST /review/questions/{query_key}`: decide, or look at a text before it is saved."""
        reviewer, form = await self.access.form(request)
        shown, chosen = await self._found(request, reviewer), part_of_queue(form)
        if form.get("action") == "preview":
            return await self._case(request, reviewer, shown, chosen, form=form)
        refusal = await self.pool.run(review_desk.act, self.data, shown, reviewer.name, submitted(form))
        if refusal is not None:
            shown = await self._found(request, reviewer)  # with what others decided meanwhile
            return await self._case(request, reviewer, shown, chosen, form=form, refusal=refusal)
        waiting = await self.pool.run(review_desk.waiting, self.data, reviewer.collections)
        items = [item for item in waiting if chosen.has(item)]
        key = shown.item.query_key
        in_doubt = await self.pool.run(review_desk.has_doubts, self.data, key)
        if in_doubt and form.get("wording"):
            return self._lead(f"/review/questions/{key}{chosen.query()}#otherwise")
        after = form.get("after", "")
        following = after if after in {item.query_key for item in items} else next((i.query_key for i in items), None)
        path = "/review" if following is None else f"/review/questions/{following}"
        ruled = ("list", "unlist", "accept", "deny", "join", "apart", "separate")
        decided = "" if form["action"] in ruled else key
        return self._lead(f"{path}{chosen.query(done=decided)}")

    async def decided(self, request: Request) -> Response:
        """`GET /review/decided`: the last decision about each question, the newest first."""
        reviewer = self.access.reviewer(request)
        return await self._decided(request, reviewer)

    async def take_back(self, request: Request) -> Response:
        """`POST /review/decided`: undo the last decision about a question."""
        reviewer, form = await self.access.form(request)
        key, seen = form.get("query_key", ""), number_of(form.get("seen", ""))
        refusal = await self.pool.run(review_desk.take_back, self.data, reviewer.collections, key, reviewer.name, seen)
        if refusal is not None:
            return await self._decided(request, reviewer, refusal)
        return self._lead("/review/decided")

    async def pairs(self, request: Request) -> Response:
        """`GET /review/pairs`: two answers to one question, to say which is better without knowing whose they are."""
        return await self._pair(request, self.access.reviewer(request))

    async def judge_pair(self, request: Request) -> Response:
        """`POST /review/pairs`: a verdict on a pair; the next one follows."""
        reviewer, form = await self.access.form(request)
        verdict = (form.get("pair", ""), form.get("better", ""))
        refusal = await self.pool.run(review_desk.judge_pair, self.data, reviewer.collections, reviewer.name, *verdict)
        if refusal is not None:
            return await self._pair(request, reviewer, refusal)
        return self._lead("/review/pairs")

    async def search(self, request: Request) -> Response:
        """`GET /review/search`: questions that contain some words, also those that nothing waits for."""
        reviewer = self.access.reviewer(request)
        typed = request.query_params.get("q", "").strip()[:200]
        found = await self.pool.run(review_desk.find, self.data, reviewer.collections, typed) if typed else []
        return self._show("search.html", reviewer, typed=typed, found=found)

    async def ask_key(self, request: Request) -> Response:
        """`GET /review/sign-in`: the form for the key."""
        return self._key_form(request, _own_path(request.query_params.get("next", "")))

    async def sign_in(self, request: Request) -> Response:
        """`POST /review/sign-in`: begin a session for the key that was typed."""
        form, opened = await self.access.sign_in(request)
        following = _own_path(form.get("next", ""))
        if isinstance(opened, SignInError):
            return self._key_form(request, following, opened)
        response = self._lead(following)
        self.access.keep_session(request, response, opened)
        return response

    async def sign_out(self, request: Request) -> Response:
        """`POST /review/sign-out`: end the session in this browser."""
        await self.access.form(request)
        response = self._lead("/review/sign-in")
        self.access.end_session(request, response)
        return response

    async def _found(self, request: Request, reviewer: Reviewer) -> Case:
        key = request.path_params["query_key"]
        shown = await self.pool.run(review_desk.case, self.data, reviewer.collections, key)
        if shown is None:
            raise Problem("not-found", "The current release has no such question in your collections.")
        return shown

    async def _case(
        self,
        request: Request,
        reviewer: Reviewer,
        shown: Case,
        chosen: Filter,
        *,
        form: Form | None = None,
        refusal: Refusal | None = None,
    ) -> Response:
        items = [item for item in shown.waiting if chosen.has(item)]
        typed = None if form is None else form.get("text", "")
        is_new = typed is not None and not review_desk.unchanged(typed, shown.item.answer)
        return self._show(
            "question.html",
            reviewer,
            200 if refusal is None else 409 if refusal.conflict else 422,
            shown=shown,
            item=shown.item,
            chosen=chosen,
            place=review_view.place(items, shown.item.query_key),
            draft=review_view.draft(typed, shown.item.evidence)
            if typed is not None and (is_new or not refusal)
            else None,
            note="" if form is None else form.get("note", ""),
            allow_live=form is not None and "allow_live" in form,
            refusal=refusal,
            done=await self._last(request, reviewer),
        )

    async def _decided(self, request: Request, reviewer: Reviewer, refusal: Refusal | None = None) -> Response:
        made = await self.pool.run(review_desk.judged, self.data, reviewer.collections)
        pages = max(1, -(-len(made) // _PAGE))
        number = min(pages, number_of(request.query_params.get("page", "1")))
        status = 200 if refusal is None else 409 if refusal.conflict else 422
        page = made[(number - 1) * _PAGE : number * _PAGE]
        return self._show("decided.html", reviewer, status, made=page, number=number, pages=pages, refusal=refusal)

    async def _pair(self, request: Request, reviewer: Reviewer, refusal: Refusal | None = None) -> Response:
        waiting = await self.pool.run(review_desk.waiting_pairs, self.data, reviewer.collections)
        names = [each.pair for each in waiting]
        after = request.query_params.get("after", "")
        place = (names.index(after) + 1) % len(names) if after in names else 0
        status = 200 if refusal is None else 409 if refusal.conflict else 422
        pair = waiting[place] if waiting else None
        return self._show("pairs.html", reviewer, status, pair=pair, total=len(waiting), refusal=refusal)

    async def _last(self, request: Request, reviewer: Reviewer) -> review_desk.Judged | None:
        """Return the decision that led to this page, to say so and to offer its undoing."""
        key = request.query_params.get("done", "")
        if not key:
            return None
        made = await self.pool.run(review_desk.judged, self.data, reviewer.collections)
        return next((each for each in made if each.decision.query_key == key), None)

    def _to_sign_in(self, request: Request) -> Response:
        address = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        following = _own_path(address) if request.method != "POST" else "/review"
        return self._lead("/review/sign-in" + Filter().query(next="" if following == "/review" else following))

    def _key_form(self, request: Request, following: str, error: SignInError | None = None) -> Response:
        token, cookie = self.access.begin_sign_in()
        response = self._show(
            "sign_in.html",
            None,
            200 if error is None else error.status,
            token=token,
            following=following,
            # Then the browser does not send the cookie of a session that exists (SameSite=Strict).
            from_elsewhere=request.headers.get("sec-fetch-site") in ("cross-site", "same-site"),
            keys_exist=self.access.keys.required,
            error=error,
        )
        self.access.keep_sign_in(request, response, cookie)
        return response

    def _lead(self, path: str) -> Response:
        return RedirectResponse(f"{self.access.base_path}{path}", 303, {"cache-control": "no-store"})

    def _show(self, template: str, reviewer: Reviewer | None, status: int = 200, **context: object) -> Response:
        known = {
            "words": review_view,
            "reviewer": reviewer,
            "token": None if reviewer is None else reviewer.token,
        }
        html = self.templates.get_template(f"review/{template}").render(known | context)
        headers = {"content-security-policy": _POLICY, "cache-control": "no-store", "vary": "Cookie"}
        return Response(html, status, headers, "text/html")


def _own_path(path: str) -> str:
    """Return where a sign-in leads; anything but a page of these is the queue."""
    return path if _OWN_PATH.fullmatch(path) else "/review"
