"""`POST /v1/chat/completions`: any application that speaks OpenAI gets the cache by changing one address.

A chat that an anticipated answer may answer (`online.routes.chat_request`) is looked up like any question; every other
bypasses the cache (`online.routes.bypass`). A hit and a live answer have the same shape, whole or streamed, and the
same text in both forms. A client of OpenAI's can't take back what it has shown, so a live answer is sent, streamed or
not, when it is whole and checked.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import msgspec
from fastapi import APIRouter, Request, Response
from starlette.types import Receive, Scope, Send

from online.answering.exchange import Exchanges
from online.answering.question import Asked, Live, LiveAnswer, Prepared, Unanswered
from online.answering.rendering import citations, provenance
from online.errors import Problem
from online.http.authentication import Caller, Headers, Keys
from online.http.openapi import gives, problems, streams, takes
from online.http.problems import render
from online.http.request_parsing import directives, read_body, read_fields
from online.http.responses import AsgiResponse
from online.http.schemas import Ask, ChatCompletion, ChatRequest, Citation, Provenance
from online.model.language_model import LanguageModel
from online.routes.asked_question import asked_by
from online.routes.bypass import Bypassing
from online.routes.chat_format import Usage, pieces
from online.routes.chat_reply import ChatReply, about_untold
from online.routes.chat_request import MODEL, collection_of, question_of, sampling_of
from rag.identity import normalise
from rag.llm.protocol import Completion

_COMPLETION = gives(
    "The completion",
    ChatCompletion,
    Cache_Status="Where the answer came from (RFC 9211).",
    Age="Seconds since it was generated.",
    ETag="Its fingerprint.",
)


class _Text(msgspec.Struct):
    """What a chat shows of an anticipated answer."""

    answer: str
    model: str
    finish_reason: str | None
    citations: list[Citation]


def chat(chatting: Chatting) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["OpenAI-compatible"], default_response_class=Response)

    @router.post(
        "/v1/chat/completions",
        summary="Chat completion",
        operation_id="chat",
        openapi_extra=takes(ChatRequest),
        responses={
            200: streams(_COMPLETION, "Chunks of the completion, then [DONE].", "message"),
            **problems(400, 401, 403, 413, 415, 422, 429, 502, 503, openai=True),
        },
    )
    async def complete(_: Request) -> Response:
        return AsgiResponse(chatting)

    return router


@dataclass(frozen=True)
class Chatting:
    """The ASGI application of the route."""

    exchanges: Exchanges
    keys: Keys
    model: LanguageModel

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one chat."""
        started = time.perf_counter()
        headers: Headers = scope["headers_by_name"]
        caller = self.keys.caller(scope)
        caller.require("ask")
        chat, fields = read_fields(headers, await read_body(receive), ChatRequest)
        fields = {name: value for name, value in fields.items() if name != "filters"}  # they are ours
        question = question_of(chat, fields, self.model.sampling.max_tokens)
        bypass = question is None or not normalise(question)
        asks_none = bypass and caller.bypass == "plain"
        collection = _collection(caller, chat.model, asks_none=asks_none)
        ask = Ask(question or "", collection, stream=bool(chat.stream), filters=chat.filters)
        asked = asked_by(caller, ask, directives(headers), scope["request_id"], started, "chat")
        asked = _passed_on(asked) if bypass else self._wished(asked, chat)
        reply = ChatReply(send, asked, chat)
        try:
            if bypass:
                await Bypassing(self.exchanges, self.model).answer(caller.bypass, reply, receive, fields)
            else:
                await self._answer(reply, receive)
        except Problem as problem:
            if not (reply.begun and asked.stream):
                raise
            # the status is sent already, so the stream has to say it
            await reply.break_off(render(problem, asked.request_id, openai=True).body)

    def _wished(self, asked: Asked, chat: ChatRequest) -> Asked:
        sampling = sampling_of(chat, self.model.sampling)
        return asked if sampling == self.model.sampling else replace(asked, sampling=sampling)

    async def _answer(self, reply: ChatReply, receive: Receive) -> None:
        asked = reply.asked
        async with self.exchanges.begin(asked, receive) as answer:
            result = await answer.result() if isinstance(answer, Live) else answer
            reply.headers += provenance(asked, answer)
            if isinstance(result, Unanswered):
                await _declined(reply, self.model.llm.model, result)
            elif isinstance(result, Prepared):
                await _prepared(reply, result)
            else:
                await _live(reply, answer.release_id, result)


async def _prepared(reply: ChatReply, prepared: Prepared) -> None:
    text = msgspec.json.decode(prepared.body, type=_Text)
    about = Provenance(prepared.source, text.citations, prepared.release_id)
    finish = text.finish_reason or "stop"
    if not reply.asked.stream:
        await reply.whole(text.model, {"role": "assistant", "content": text.answer}, finish, Usage(), about)
        return
    await reply.begin(text.model)
    for piece in pieces(text.answer):
        await reply.piece(piece)
    await reply.end(finish, Usage(), about)


async def _live(reply: ChatReply, release_id: str, live: LiveAnswer) -> None:
    completion = live.completion
    about = Provenance("live", citations(live.linked.citations), release_id)
    others = completion.others | ({"reasoning_content": live.reasoning} if live.reasoning else {})
    if not reply.asked.stream:
        # A question alone names no tools: a client that runs what the model calls must not get calls.
        message = {**others, "role": "assistant", "content": live.linked.text}
        await reply.whole(completion.model, message, completion.finish_reason, _usage(completion), about)
        return
    await reply.begin(completion.model)
    if others:
        await reply.piece("", others)
    for piece in pieces(live.linked.text):
        await reply.piece(piece)
    await reply.end(completion.finish_reason, _usage(completion), about)


async def _declined(reply: ChatReply, model: str, told: Unanswered) -> None:
    usage = Usage() if told.live is None else _usage(told.live.completion)
    await reply.decline(model, told.text, usage, about_untold(told))


def _passed_on(asked: Asked) -> Asked:
    """Drop the question's key and text: a chat that is only passed on is not anticipated."""
    return replace(asked, private=True, query_key="")


def _collection(caller: Caller, model: str, *, asks_none: bool) -> str | None:
    """Return the collection that is asked; a chat that asks none is recorded with the first."""
    collection = collection_of(model) or caller.default
    if collection is None and caller.collections and not asks_none:
        names = " or ".join(f'"{MODEL}/{each}"' for each in caller.collections)
        raise Problem("invalid", f"Name a collection to ask: set the model to {names}.", param="model")
    return collection or next(iter(caller.collections), None)


def _usage(completion: Completion) -> Usage:
    return Usage(completion.prompt_tokens, completion.completion_tokens)
