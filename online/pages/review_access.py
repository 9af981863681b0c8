"""Who may open the review page or the report: keys with its scope, and the cookies and forms of their sessions.

A service without keys opens neither, also on loopback: a proxy on the same machine would let everyone in. Before
signing in a browser has a cookie of its own, so the sign-in form carries a token like any other.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl

from fastapi import Request, Response

from online.errors import Kind, Problem
from online.http.authentication import Caller, Keys, hash_key
from online.http.problems import headers_of
from online.http.request_parsing import read_body, require_media_type
from online.http.session import SESSION_SECONDS, SIGN_IN_SECONDS, Session, Sessions
from warehouse.errors import NoReleaseError, WarehouseError

Form = Mapping[str, str]
Endpoint = Callable[[Request], Awaitable[Response]]

_FORM = re.compile(rb"application/x-www-form-urlencoded", re.IGNORECASE)
_MOST_FIELDS = 20


class SignedOutError(Exception):
    """Nobody is signed in."""


def guarded(
    handler: Endpoint,
    to_sign_in: Callable[[Request], Response],
    show: Callable[[Problem], Response],
    count_problem: Callable[[Kind], None],
) -> Endpoint:
    """Return a handler that shows problems as pages, and leads whoever is not signed in to the sign-in."""

    async def guard(request: Request) -> Response:
        try:
            refuse_other_pages(request)
            return await handler(request)
        except SignedOutError:
            return to_sign_in(request)
        except NoReleaseError as error:
            problem = Problem("no-release", f"{error}")
        except WarehouseError as error:
            problem = Problem("internal", f"{error}")
        except Problem as refused:
            problem = refused
        count_problem(problem.kind)
        response = show(problem)
        response.headers.update(headers_of(problem))
        return response

    return guard


class SignInError(Exception):
    """A key opens nothing here; the message is for whoever typed it."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Reviewer:
    """Who is signed in; `token` is what the forms carry, `may_review` whether the review page is open to them."""

    name: str
    collections: tuple[str, ...]
    session: Session
    token: str
    may_review: bool


@dataclass(frozen=True)
class Access:
    """Recognises those who may open a page, by a scope of its name. Its cookies are sent to that page only."""

    keys: Keys
    sessions: Sessions
    base_path: str
    page: Literal["review", "report"]

    @property
    def _cookie(self) -> str:
        return f"beforehand-{self.page}"

    @property
    def _sign_in_cookie(self) -> str:
        return f"beforehand-{self.page}-sign-in"

    def _may_open(self, caller: Caller) -> bool:
        return bool(caller.scopes & {self.page, "admin"})

    def reviewer(self, request: Request) -> Reviewer:
        """Return who is signed in.

        Raises:
            SignedOutError: nobody is, or their session or key has ended.
        """
        session = self.sessions.session(request.cookies.get(self._cookie, ""))
        caller = None if session is None else self.keys.holder(f"sha256:{session.key}")
        if session is None or caller is None or caller.key_id is None or not self._may_open(caller):
            raise SignedOutError
        return Reviewer(
            caller.key_id,
            caller.collections,
            session,
            self.sessions.form_token(session),
            bool(caller.scopes & {"review", "admin"}),
        )

    async def form(self, request: Request) -> tuple[Reviewer, Form]:
        """Return who is signed in and the form that they sent.

        Raises:
            SignedOutError: nobody is signed in.
            Problem: it is no form of this session.
        """
        reviewer, fields = self.reviewer(request), await _fields(request)
        if not self.sessions.accepts(reviewer.session, fields.get("token", "")):
            raise Problem("forbidden", "The form belongs to another session: open the page again, and decide there.")
        return reviewer, fields

    def begin_sign_in(self) -> tuple[str, str]:
        """Return the token of a sign-in form and the value of its cookie."""
        session, cookie = self.sessions.begin("", SIGN_IN_SECONDS)
        return self.sessions.form_token(session), cookie

    async def sign_in(self, request: Request) -> tuple[Form, str | SignInError]:
        """Return the sign-in form that was sent, and the cookie of the session that its key opens or why it doesn't."""
        fields = await _fields(request)
        session = self.sessions.session(request.cookies.get(self._sign_in_cookie, ""))
        if session is None or not self.sessions.accepts(session, fields.get("token", "")):
            return fields, SignInError("The form has expired: try again.", 403)
        hashed = hash_key(fields.get("key", "").strip())
        caller = self.keys.holder(hashed)
        if caller is None:
            return fields, SignInError("There is no such key.", 401)
        if not self._may_open(caller):
            return fields, SignInError(f"This key does not open the page: it lacks the scope “{self.page}”.", 403)
        return fields, self.sessions.begin(hashed.removeprefix("sha256:"), SESSION_SECONDS)[1]

    def keep_session(self, request: Request, response: Response, cookie: str) -> None:
        """Let the browser keep a session."""
        self._set(request, response, self._cookie, cookie, SESSION_SECONDS)
        self._set(request, response, self._sign_in_cookie, "", 0)

    def keep_sign_in(self, request: Request, response: Response, cookie: str) -> None:
        """Let the browser keep what a sign-in form belongs to."""
        self._set(request, response, self._sign_in_cookie, cookie, SIGN_IN_SECONDS)

    def end_session(self, request: Request, response: Response) -> None:
        """Let the browser forget its session."""
        self._set(request, response, self._cookie, "", 0)

    def _set(self, request: Request, response: Response, name: str, value: str, seconds: int) -> None:
        # Behind a proxy the service does not see TLS itself; a header that lies hurts nobody but its sender.
        said = (request.url.scheme, request.headers.get("x-forwarded-proto", ""), request.headers.get("origin", ""))
        response.set_cookie(
            name,
            value,
            max_age=seconds,
            path=f"{self.base_path}/{self.page}",
            secure=any(each.startswith("https") for each in said),
            httponly=True,
            samesite="strict",
        )


def refuse_other_pages(request: Request) -> None:
    """Refuse forms from pages of other origins, subdomains and listed origins included.

    Raises:
        Problem: the browser says that the form came from another origin.
    """
    if request.method == "POST" and request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise Problem("foreign-origin", "The form came from a page of another site.")


async def _fields(request: Request) -> Form:
    require_media_type(request.scope["headers_by_name"], _FORM, "application/x-www-form-urlencoded")
    body = await read_body(request.receive)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError as error:
        raise Problem("malformed", "The form can't be read.") from error
