"""`POST /v1/chat/completions`: any application that speaks OpenAI gets the cache by changing one address.

A chat that an anticipated answer may answer (`online.routes.chat_request`) goes the way of any question; all else goes
to the language model as it came, under the same admission control. A hit and a live answer have the same shape,
whole or streamed, and the text of both forms is equal.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from online.answering.lookup import Answering, Asked, Begun, Prepared
from online.answering.rendering import cache_status, citations, provenance
from online.http.authentication import Caller, Headers, Keys
from online.http.disconnect import ClientGoneError, unless_gone
from online.http.middleware import read_body
from online.http.problems import Problem, as_problem, render
from online.http.request_parsing import asked_by, directives, read_fields
from online.http.schemas import Ask
from online.model.language_model import LanguageModel
from online.records.request_log import Recording
from online.routes.chat_format import Usage, pieces
from online.routes.chat_reply import ChatReply
from online.routes.chat_request import MODEL, ChatRequest, chat_of, collection_of, question_of, sampling_of
from rag.errors import LlmRefusedError, Refusal
from rag.identity import normalise
from rag.llm.protocol import Completion, Forwarder

_BYPASS = "beforehand; fwd=bypass"


@dataclass(frozen=True)
class ChatRoute:
    """The ASGI application of the route."""

    answering: Answering
    keys: Keys
    recording: Recording
    model: LanguageModel

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one chat."""
        started = time.perf_counter()
        headers: Headers = scope["headers_by_name"]
        caller = self.keys.caller(scope)
        caller.require("ask")
        chat, fields = read_fields(headers, await read_body(receive), ChatRequest)
        question = question_of(chat, fields, self.model.sampling.max_tokens)
        bypass = question is None or not normalise(question)
        ask = Ask(question or "", _collection(caller, chat.model, bypass=bypass), stream=bool(chat.stream))
        asked = asked_by(caller, ask, directives(headers), scope["request_id"], started, "chat")
        asked = _passed_on(asked) if bypass else self._wished(asked, chat)
        reply = ChatReply(send, asked, chat)
        work = self._bypass(reply, fields) if bypass else self._answer(reply)
        try:
            await unless_gone(receive, work)
        except ClientGoneError:
            self.recording.gone(asked)
            raise
        except Problem as problem:
            self.recording.problem(asked, problem)
            raise
        except Exception:
            self.recording.fault(asked)
            raise

    def _wished(self, asked: Asked, chat: ChatRequest) -> Asked:
        sampling = sampling_of(chat, self.model.sampling)
        return asked if sampling == self.model.sampling else replace(asked, sampling=sampling)

    async def _answer(self, reply: ChatReply) -> None:
        asked = reply.asked
        try:
            async with self.answering.begin(asked) as begun:
                if begun.prepared is not None:
                    await self._prepared(reply, begun.prepared)
                elif asked.stream:
                    await self._stream(reply, begun)
                else:
                    await self._whole(reply, begun)
        except Exception as error:
            raise _problem(asked, error) from error

    async def _prepared(self, reply: ChatReply, prepared: Prepared) -> None:
        body = msgspec.json.decode(prepared.body)
        status = cache_status(reply.asked, prepared.source)
        reply.headers += provenance(status, prepared.age_seconds, prepared.head.fingerprint)
        about = {"source": prepared.source, "citations": body["citations"], "release": prepared.release_id}
        finish = body["finish_reason"] or "stop"
        if reply.asked.stream:
            await reply.begin(body["model"])
            for piece in pieces(body["answer"]):
                await reply.piece(piece)
            await reply.end(finish, Usage(), about)
        else:
            await reply.whole(body["model"], {"role": "assistant", "content": body["answer"]}, finish, Usage(), about)
        self.recording.prepared(reply.asked, prepared, status)

    async def _whole(self, reply: ChatReply, begun: Begun) -> None:
        opened = begun.opened
        assert opened is not None
        live = await begun.result()
        status = cache_status(reply.asked, "live", joined=begun.joined)
        reply.headers += provenance(status, 0, opened.live.fingerprint)
        message = {**live.completion.message, "role": "assistant", "content": live.linked.text}
        about = {"source": "live", "citations": citations(live.linked.citations), "release": opened.release_id}
        await reply.whole(live.completion.model, message, live.completion.finish_reason, _usage(live.completion), about)
        self.recording.live(reply.asked, opened, live, status)

    async def _stream(self, reply: ChatReply, begun: Begun) -> None:
        opened = begun.opened
        assert opened is not None
        status = cache_status(reply.asked, "live", joined=begun.joined)
        reply.headers += provenance(status, 0, opened.live.fingerprint)
        await reply.begin(self.model.llm.model)
        try:
            async for delta in begun.deltas():
                await reply.piece(delta.text, delta.others)
            live = await begun.result()
        except Exception as error:  # the status is sent already, so the stream has to say it
            await self._break(reply, error)
            return
        about = {"source": "live", "citations": citations(live.linked.citations), "release": opened.release_id}
        await reply.end(live.completion.finish_reason, _usage(live.completion), about)
        self.recording.live(reply.asked, opened, live, status)

    async def _bypass(self, reply: ChatReply, fields: dict[str, Any]) -> None:
        reply.headers.append((b"cache-status", _BYPASS.encode()))
        try:
            async with self.model.place():
                if isinstance(self.model.llm, Forwarder):
                    await self.model.guarded(self._forward(reply, self.model.llm, fields))
                else:
                    await self._converse(reply, fields)
        except Exception as error:
            if not (reply.begun and reply.asked.stream):
                raise _problem(reply.asked, error) from error
            await self._break(reply, error)
        else:
            self.recording.bypass(reply.asked, _BYPASS)

    async def _forward(self, reply: ChatReply, llm: Forwarder, fields: dict[str, Any]) -> None:
        async with contextlib.aclosing(llm.forward(fields)) as response:
            if not reply.asked.stream:  # nothing is sent before all is here: it may break off
                await reply.pass_on(b"".join([piece async for piece in response]))
                return
            async for lines in response:
                await reply.pass_on_lines(lines)
            await reply.finish()

    async def _converse(self, reply: ChatReply, fields: dict[str, Any]) -> None:
        messages, sampling = chat_of(reply.chat, fields, self.model.sampling)
        completion = await self.model.ask(messages, sampling, None)
        if reply.asked.stream:
            await reply.begin(completion.model)
            if completion.others:
                await reply.piece("", completion.others)
            for piece in pieces(completion.text):
                await reply.piece(piece)
            await reply.end(completion.finish_reason, _usage(completion), None)
        else:
            message = {**completion.message, "role": "assistant", "content": completion.text}
            await reply.whole(completion.model, message, completion.finish_reason, _usage(completion), None)

    async def _break(self, reply: ChatReply, error: Exception) -> None:
        """Say in the stream what went wrong; the client raises it as an error."""
        problem = _problem(reply.asked, error)
        rendered = render(problem, reply.asked.request_id, openai=True)
        await reply.break_off(rendered.body)
        self.recording.problem(reply.asked, problem)


def _passed_on(asked: Asked) -> Asked:
    """Name no question and keep no text: what is only passed on is nobody's to anticipate."""
    return replace(asked, private=True, query_key="")


def _collection(caller: Caller, model: str, *, bypass: bool) -> str | None:
    """Return the collection that is asked; what bypasses the cache asks none, and is recorded with the first."""
    collection = collection_of(model) or caller.default
    if collection is None and caller.collections and not bypass:
        names = " or ".join(f'"{MODEL}/{each}"' for each in caller.collections)
        raise Problem("invalid", f"Name a collection to ask: set the model to {names}.", param="model")
    return collection or next(iter(caller.collections), None)


def _problem(asked: Asked, error: Exception) -> Problem:
    """Map an error; what the model refuses because of the caller's own parameters is told in its own words."""
    refused = error if isinstance(error, LlmRefusedError) else error.__cause__
    theirs = asked.sampling is not None or not asked.query_key
    if not theirs or not isinstance(refused, LlmRefusedError):
        return as_problem(error)
    said = refused.refusal or Refusal(400, "The language model refused the request: it may be too long.")
    kind = "invalid" if said.status == 422 else "malformed"
    return Problem(kind, said.message, should_retry=False, param=said.param, code=said.code)


def _usage(completion: Completion) -> Usage:
    return Usage(completion.prompt_tokens, completion.completion_tokens)
