"""One chat, of whichever API: read, looked up where its rules allow it, answered or passed on.

A chat that is nothing but a question goes through the same exchange as `POST /v1/answers`. One that only limits its
answer is looked up, and passed on if there is no prepared answer for it; all others are passed on
(`online.chat.bypass`). A follow-up may first be made to stand alone by the language model.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from starlette.types import Receive

from online.answering.asked_question import asked_by, asking
from online.answering.question import Asked, Prepared
from online.chat.outcome import answer_chat, text_of_answer
from online.chat.reply import Reply
from online.chat.request import Passing, Reading, collection_of, model_of, read_chat, sampling_of
from online.chat.rules import ChatRules, prompt_hash, rules_of
from online.chat.turns import text_of
from online.errors import Problem
from online.http.authentication import Caller, Headers
from online.http.openai_schemas import ChatRequest
from online.http.problems import render
from online.http.request_parsing import directives
from online.http.schemas import Ask, JsonObject
from online.model.language_model import LanguageModel
from rag.collection_settings import CollectionSettings
from rag.llm.protocol import Message
from rag.prompting.answer_rules import without_reasoning
from rag.prompting.follow_ups import SAMPLING, follow_up_messages, made_to_stand_alone

if TYPE_CHECKING:
    from online.answering.exchange import Exchanges
    from online.chat.bypass import Bypassing

ONLY_READY = "`no-cache`: answer live; `only-if-cached`: answer only what lies ready; `no-store`: keep no text."
_MOST_LOGGED = 1000  # system prompts whose hash is logged; an application may write a new one for each chat
_SPEAKERS = ("user", "assistant")
_log = logging.getLogger("beforehand.service")


@dataclass(frozen=True)
class Chat:
    """A chat as it came: `request` has the known fields, checked, `fields` all of them, in the Chat API's names."""

    request: ChatRequest
    fields: JsonObject
    headers: Headers
    request_id: str
    started: float
    route: str


@dataclass(frozen=True)
class Conversing:
    """Answers chats; the settings of the collections say what system prompts and earlier turns mean."""

    exchanges: Exchanges
    bypassing: Bypassing
    model: LanguageModel
    collections: Mapping[str, CollectionSettings]
    logged: set[str] = field(default_factory=set)

    async def answer(self, caller: Caller, chat: Chat, receive: Receive, reply_to: Callable[[Asked], Reply]) -> None:
        """Answer one chat; `reply_to` makes the response.

        Raises:
            Problem: there is no answer to be had.
        """
        rules = self._rules(caller, chat)
        reading = read_chat(chat.request, chat.fields, self.model.sampling.max_tokens, rules)
        asks_none = bool(reading.bypass) and caller.bypass == "plain"
        collection = _collection(caller, chat.request.model, asks_none=asks_none)
        ask = Ask(reading.question, collection, stream=bool(chat.request.stream), filters=chat.request.filters)
        wishes = directives(chat.headers)
        asked = asked_by(caller, ask, wishes, chat.request_id, chat.started, chat.route)
        if reading.follow_up:
            alone = None if wishes.only_cached else await self._alone(asked, chat, receive)
            if alone is None:
                reading = replace(reading, bypass=("earlier_turns",))
            else:
                asked = replace(asking(asked, alone), rewritten=True)
        asked = _passed_on(asked) if reading.bypass else self._wished(asked, chat.request)
        reply = reply_to(asked)
        if wishes.only_cached:
            await self._ready(reply, reading)
            return
        try:
            if reading.bypass:
                reply.headers.append((b"x-beforehand-bypass", self._why(asked, reading, rules).encode()))
            if reading.bypass or reading.limits is not None:
                limits = None if reading.bypass else reading.limits
                fields = {name: value for name, value in chat.fields.items() if name != "filters"}  # they are ours
                passing = Passing(chat.request, fields, limits, "" if asked.question else reading.follows)
                await self.bypassing.answer(caller.bypass, reply, passing, receive)
            else:
                async with self.exchanges.begin(asked, receive) as answer:
                    await answer_chat(reply, answer)
        except Problem as problem:
            if not (reply.begun and asked.stream):
                raise
            # the status is sent already, so the stream has to say it
            await reply.break_off(render(problem, asked.request_id, openai=True).body)

    async def _ready(self, reply: Reply, reading: Reading) -> None:
        """Send what lies ready (`Cache-Control: only-if-cached`); the language model is never asked."""
        if reading.bypass:
            with self.exchanges.recorded(reply.asked):
                what = ", ".join(reading.bypass)
                raise Problem("not-cached", f"Such a chat is not looked up, because of: {what}.", should_retry=False)
        async with self.exchanges.ready(reply.asked) as answer:
            if isinstance(answer, Prepared) and reading.limits and not reading.limits.allow(text_of_answer(answer)):
                raise Problem(
                    "not-cached", "The prepared answer is too long, or has a stop string.", should_retry=False
                )
            await answer_chat(reply, answer)

    def _rules(self, caller: Caller, chat: Chat) -> ChatRules:
        named = collection_of(chat.request.model) or caller.default or next(iter(caller.collections), "")
        return rules_of(caller, self.collections.get(named))

    def _wished(self, asked: Asked, chat: ChatRequest) -> Asked:
        sampling = sampling_of(chat, self.model.sampling)
        return asked if sampling == self.model.sampling else replace(asked, sampling=sampling)

    async def _alone(self, asked: Asked, chat: Chat, receive: Receive) -> str | None:
        """Return a follow-up as the language model asks it alone, or None if it can't."""
        said_by = ((each.role, text_of(each)) for each in chat.request.messages if each.role in _SPEAKERS)
        turns = [Message(role, text) for role, text in said_by if text]
        # a follow-up is no question to anticipate, so a failure is recorded without its words
        said = await self.exchanges.ask_model(_passed_on(asked), receive, follow_up_messages(turns), SAMPLING)
        if said is None:
            return None

        def is_anticipated(question: str) -> bool:
            return self.exchanges.lookup.prepared.exact(asking(asked, question)) is not None

        return made_to_stand_alone(without_reasoning(said.text)[0], asked.question, is_anticipated)

    def _why(self, asked: Asked, reading: Reading, rules: ChatRules) -> str:
        """Return why a chat is not looked up; the hash of a system prompt that might be listed is logged once."""
        if "system_prompt" not in reading.bypass or rules.system_prompt != "pin":
            return ", ".join(reading.bypass)
        hashed = prompt_hash(reading.system_prompt)
        if hashed not in self.logged and len(self.logged) < _MOST_LOGGED:
            self.logged.add(hashed)
            _log.info(
                "a chat of %s was not looked up in %s: its system prompt (%d characters) is not in "
                "known_system_prompts; its hash is %s",
                f"the key {asked.key_id}" if asked.key_id else "a caller without a key",
                asked.collection,
                len(reading.system_prompt),
                hashed,
            )
        return ", ".join([*reading.bypass, hashed])


def _passed_on(asked: Asked) -> Asked:
    """Drop the question's key and text: a chat that is not looked up is not anticipated."""
    return replace(asked, question="", private=True, query_key="", passed_on=True)


def _collection(caller: Caller, model: str, *, asks_none: bool) -> str | None:
    """Return the collection that is asked; a chat that asks none is recorded with the first."""
    collection = collection_of(model) or caller.default
    if collection is None and caller.collections and not asks_none:
        names = " or ".join(f'"{model_of(each)}"' for each in caller.collections)
        raise Problem("invalid", f"Name a collection to ask: set the model to {names}.", param="model")
    return collection or next(iter(caller.collections), None)
