"""`POST /v1/responses`: the default of newer OpenAI clients, through the same exchange as a chat.

Nothing is kept between requests. A live answer is sent, streamed or not, when it is whole and checked.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from starlette.types import Receive, Scope, Send

from online.chat.conversation import ONLY_READY, Chat, Conversing
from online.chat.responses_reply import ResponsesReply
from online.chat.responses_request import chat_of_response, refuse_state
from online.http.authentication import Headers, Keys
from online.http.openai_schemas import ResponseObject, ResponseRequest
from online.http.openapi import gives, problems, streams, takes
from online.http.request_parsing import known_fields, read_body, read_fields
from online.http.responses import AsgiResponse
from online.http.schemas import JsonObject

_RESPONSE = gives(
    "The response",
    ResponseObject,
    Cache_Status="Where the answer came from (RFC 9211).",
    Age="Seconds since it was generated.",
    ETag="Its fingerprint.",
)
_EVENTS = (
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.annotation.added",
    "response.output_text.done",
    "response.content_part.done",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_item.done",
    "response.completed",
    "response.incomplete",
    "error",
)


def responses(responding: Responding) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["OpenAI-compatible"], default_response_class=Response)

    @router.post(
        "/v1/responses",
        summary="Response",
        operation_id="response",
        openapi_extra=takes(ResponseRequest, {"Cache-Control": ONLY_READY}),
        responses={
            200: streams(_RESPONSE, "Events of the Responses API; the data are JSON.", *_EVENTS),
            **problems(400, 401, 403, 404, 413, 415, 422, 429, 502, 503, 504, openai=True),
        },
    )
    async def respond(_: Request) -> Response:
        return AsgiResponse(responding)

    return router


@dataclass(frozen=True)
class Responding:
    """The ASGI application of the route."""

    conversing: Conversing
    keys: Keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = time.perf_counter()
        headers: Headers = scope["headers_by_name"]
        caller = self.keys.caller(scope)
        caller.require("ask")
        _, fields = read_fields(headers, await read_body(receive), JsonObject)
        refuse_state(fields)
        request = known_fields(fields, ResponseRequest)
        chat_request, chat_fields = chat_of_response(request, fields)
        chat = Chat(chat_request, chat_fields, headers, scope["request_id"], started, "responses")
        await self.conversing.answer(caller, chat, receive, lambda asked: ResponsesReply(send, asked, request))
