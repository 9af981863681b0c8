"""`POST /v1/chat/completions`: any application that speaks OpenAI gets the cache by changing one address.

What becomes of a chat is decided in `online.chat.conversation`. A hit and a live answer have the same shape, whole
or streamed, and the same text in both forms. A client of OpenAI's can't take back what it has shown, so a live answer
is sent, streamed or not, when it is whole and checked.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from starlette.types import Receive, Scope, Send

from online.chat.conversation import ONLY_READY, Chat, Conversing
from online.chat.reply import ChatReply
from online.http.authentication import Headers, Keys
from online.http.openai_schemas import ChatCompletion, ChatRequest
from online.http.openapi import gives, problems, streams, takes
from online.http.request_parsing import read_body, read_fields
from online.http.responses import AsgiResponse

_COMPLETION = gives(
    "The completion",
    ChatCompletion,
    Cache_Status="Where the answer came from (RFC 9211).",
    Age="Seconds since it was generated.",
    ETag="Its fingerprint.",
)


def chat(chatting: Chatting) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["OpenAI-compatible"], default_response_class=Response)

    @router.post(
        "/v1/chat/completions",
        summary="Chat completion",
        operation_id="chat",
        openapi_extra=takes(ChatRequest, {"Cache-Control": ONLY_READY}),
        responses={
            200: streams(_COMPLETION, "Chunks of the completion, then [DONE].", "message"),
            **problems(400, 401, 403, 404, 413, 415, 422, 429, 502, 503, 504, openai=True),
        },
    )
    async def complete(_: Request) -> Response:
        return AsgiResponse(chatting)

    return router


@dataclass(frozen=True)
class Chatting:
    """The ASGI application of the route."""

    conversing: Conversing
    keys: Keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one chat."""
        started = time.perf_counter()
        headers: Headers = scope["headers_by_name"]
        caller = self.keys.caller(scope)
        caller.require("ask")
        request, fields = read_fields(headers, await read_body(receive), ChatRequest)
        chat = Chat(request, fields, headers, scope["request_id"], started, "chat")
        await self.conversing.answer(caller, chat, receive, lambda asked: ChatReply(send, asked, request))
