"""Chats that are more than a question: a system message that matters, earlier turns, tools, a format of their own.

Where they only limit what a prepared answer may be (`online.chat.request.Limits`), one is looked up first. What
is left is passed on to the language model. Passed on unchanged it would make a key a free proxy to the model. So by
default such a chat is *grounded*: passages are retrieved for the last turn of its user and put in front of it, and the
reply says in `beforehand` which of them it cites. A follow-up is searched for together with the turn that it follows.
If nothing is near, the reply is a refusal, without a call to the model. The operator may choose for the service or for
a key that chats are passed on as they are (`plain`), or not at all (`off`).

The reply's text stays the model's own, since it may be JSON or a tool call, in which brackets mean something else.
Where people have rejected answers it is held back until it is whole, streamed or not, and withheld if it has their
words.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec
from starlette.types import Receive

from online.answering.asked_question import asking
from online.answering.exchange import Exchanges
from online.answering.question import Asked, Prepared, Sought, Unanswered
from online.answering.rendering import citations
from online.answering.request_log import BYPASS
from online.chat.format import Usage, pieces, said_in_reply, said_in_stream
from online.chat.outcome import tell_what_lies_ready, text_of_answer, usage_of
from online.chat.reply import Reply, about_untold
from online.chat.request import Passing, chat_of, grounded, model_of
from online.chat.turns import last_question
from online.errors import Problem
from online.http.openai_schemas import ChatRequest, Provenance
from online.http.schemas import JsonObject
from online.model.language_model import LanguageModel
from online.settings import Bypass
from rag.identity import normalise
from rag.llm.protocol import Forwarder
from rag.prompting.citations import link
from rag.prompting.template import grounding
from rag.retrieval.passages import Passage

if TYPE_CHECKING:
    from online.answering.lookup import Lookup
    from online.release.open_release import OpenRelease

_NEAR = 0.25  # all-MiniLM-L6-v2: below it a passage shares nothing with what was typed
_FOLLOWED = 600  # characters of an earlier turn that a follow-up is put after
_OFF = "Only single questions are answered here: no system message, earlier turns, tools or formats."
_REFUSAL = "The documents here hold nothing near to this question, so it is not answered."


@dataclass(frozen=True)
class Ground:
    """The passages that a chat is grounded in."""

    release_id: str
    passages: tuple[Passage, ...]

    def about(self, text: str) -> Provenance:
        """Return where a reply comes from."""
        return Provenance("live", citations(link(text, self.passages).citations), self.release_id)


@dataclass(frozen=True)
class Bypassing:
    """Answers the chats that no prepared answer fits."""

    exchanges: Exchanges
    model: LanguageModel

    async def answer(self, mode: Bypass, reply: Reply, chat: Passing, receive: Receive) -> None:
        """Answer one chat.

        Raises:
            Problem: such chats are not answered, or the language model gave no answer.
        """
        asked, lookup = reply.asked, self.exchanges.lookup
        alone = asked if asked.question else asking(asked, last_question(chat.request))
        sought: Sought | None = None
        ground: Ground | None = None
        with contextlib.ExitStack() as use:
            with self.exchanges.recorded(asked):
                if chat.limits is not None or mode == "grounded":
                    release = use.enter_context(lookup.prepared.release().hold())
                    found = await self._find(alone, release, chat)
                    if isinstance(found, Prepared | Unanswered):
                        await tell_what_lies_ready(self.exchanges, reply, found)
                        return
                    sought = found
                    if mode == "grounded" and not self.model.is_absent:
                        ground = await self._ground(alone, release, sought, chat.follows)
                if mode == "off":
                    raise Problem("forbidden", _OFF, param="messages", code="bypass_off")
                if self.model.is_absent:  # a sentence about documents would pass for an answer
                    raise self.model.down()
            reply.headers.append((b"cache-status", BYPASS.encode()))
            if ground is not None and not ground.passages:
                await _refuse(reply, ground.release_id)
                self.exchanges.log.bypass(asked, sought)
                return
        await self._pass_on(reply, chat.fields, ground, receive, sought, alone)

    async def _find(self, alone: Asked, release: OpenRelease, chat: Passing) -> Prepared | Unanswered | Sought | None:
        """Return the answer that lies ready, or what was near to the last turn; None if that has no words.

        What is withheld stays so: a chat around a question is no way past a rejection, nor is a follow-up.
        """
        lookup = self.exchanges.lookup
        if not normalise(alone.question):
            return None
        if chat.limits is not None:
            found = await lookup.ready(alone, release)
            if not isinstance(found, Prepared) or chat.limits.allow(text_of_answer(found)):
                return found
        if chat.follows:
            before = await lookup.unless_withheld(asking(alone, chat.follows), release)
            if isinstance(before, Unanswered):
                return before
        return await lookup.unless_withheld(alone, release)

    async def _ground(self, alone: Asked, release: OpenRelease, sought: Sought | None, follows: str) -> Ground:
        """Retrieve passages for the last turn; one that says too little is put after the turn that it follows."""
        lookup = self.exchanges.lookup
        withdrawn = lookup.prepared.withdrawn.documents(alone.collection)
        if follows:
            alone = replace(alone, question=f"{follows[-_FOLLOWED:]} {alone.question}")
        elif sought is None:
            return Ground(release.release_id, ())
        near = await lookup.pool.run(_near, release, alone, None if follows else sought, withdrawn)
        return Ground(release.release_id, near)

    async def _pass_on(
        self,
        reply: Reply,
        fields: JsonObject,
        ground: Ground | None,
        receive: Receive,
        sought: Sought | None,
        alone: Asked,
    ) -> None:
        """Pass a chat on, with its passages in front."""
        if ground is not None:
            fields = grounded(fields, grounding(ground.passages))
        screen = _Screen(self.exchanges.lookup, alone) if ground is not None else None
        async with self.exchanges.bypass(replace(reply.asked, passed_on=True), receive, sought) as passed:
            if isinstance(self.model.llm, Forwarder):
                forward = self._forward(reply, self.model.llm, fields, ground, screen)
                passed.told = await self.model.guarded(forward)
            else:
                passed.told = await self._converse(reply, fields, ground, screen)

    async def _forward(
        self, reply: Reply, llm: Forwarder, fields: JsonObject, ground: Ground | None, screen: _Screen | None
    ) -> Unanswered | None:
        """Pass the model's reply on; return what was told instead, if anything."""
        async with contextlib.aclosing(llm.forward(fields)) as response:
            if not reply.asked.stream:  # nothing is sent before all is here: it may break off
                body = b"".join([piece async for piece in response])
                if screen is not None and (told := screen.objection(said_in_reply(body))) is not None:
                    await _withhold(reply, told)
                    return told
                await reply.pass_on(body if ground is None else _with_provenance(body, ground))
                return None
            held: list[bytes] = []
            if screen is not None and screen.holds_back:
                held = [lines async for lines in response]
                if (told := screen.objection(said_in_stream(held))) is not None:
                    await _withhold(reply, told)
                    return told
            stream = None if ground is None else GroundedStream(ground)
            async for lines in _both(held, response):
                if screen is not None and not held and (told := screen.objection("")) is not None:
                    raise Problem("forbidden", told.text)  # rejected in this moment: what is shown can't be taken back
                await reply.pass_on_lines(lines if stream is None else stream.pass_on(lines))
            await reply.finish()
            return None

    async def _converse(
        self, reply: Reply, fields: JsonObject, ground: Ground | None, screen: _Screen | None
    ) -> Unanswered | None:
        """Answer with a model that takes messages alone; return what was told instead, if anything."""
        chat = msgspec.convert(fields, ChatRequest)
        messages, sampling = chat_of(chat, fields, self.model.sampling)
        completion = await self.model.ask(messages, sampling, None)
        said = "\n".join([completion.text, *completion.others.values()])
        if screen is not None and (told := screen.objection(said)) is not None:
            await _withhold(reply, told)
            return told
        about = None if ground is None else ground.about(completion.text)
        if reply.asked.stream:
            await reply.begin(completion.model)
            if completion.others:
                await reply.piece("", completion.others)
            for piece in pieces(completion.text):
                await reply.piece(piece)
            await reply.end(completion.finish_reason, usage_of(completion), about)
        else:
            message = {**completion.message, "role": "assistant", "content": completion.text}
            await reply.whole(completion.model, message, completion.finish_reason, usage_of(completion), about)
        return None


@dataclass(frozen=True)
class _Screen:
    """Looks for what people rejected in the reply to a chat; `alone` is the last question of its user."""

    lookup: Lookup
    alone: Asked

    @property
    def holds_back(self) -> bool:
        """Whether a stream has to be whole before it is shown."""
        return self.lookup.rejects_words(self.alone.collection)

    def objection(self, said: str) -> Unanswered | None:
        """Return what is told instead of the reply, or None."""
        return self.lookup.rejected(self.alone, said)


@dataclass
class GroundedStream:
    """Passes the model's stream on, and adds to its last piece which passages it cites."""

    ground: Ground
    texts: list[str] = field(default_factory=list)

    def pass_on(self, lines: bytes) -> bytes:
        """Return whole lines of the stream, with the provenance where the text ends."""
        return b"\n".join(self._line(line) for line in lines.split(b"\n"))

    def _line(self, line: bytes) -> bytes:
        if not line.startswith(b"data:") or line.removeprefix(b"data:").strip() == b"[DONE]":
            return line
        try:
            chunk: JsonObject = msgspec.json.decode(line.removeprefix(b"data:"))
            first = next(_choices(chunk), None)
        except (msgspec.DecodeError, UnicodeDecodeError, AttributeError):
            return line
        if first is None:
            return line
        self.texts.append((first.get("delta") or {}).get("content") or "")
        if first.get("finish_reason") is None:
            return line
        return b"data: " + msgspec.json.encode({**chunk, "beforehand": self.ground.about("".join(self.texts))})


def _with_provenance(body: bytes, ground: Ground) -> bytes:
    reply: JsonObject = json.loads(body)  # half a character, which a model may say, is no JSON to msgspec
    first = next(_choices(reply), {})
    text = (first.get("message") or {}).get("content") or ""
    return json.dumps({**reply, "beforehand": msgspec.to_builtins(ground.about(text))}).encode()


async def _both(held: Iterable[bytes], response: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for lines in held:
        yield lines
    async for lines in response:
        yield lines


def _choices(reply: Mapping[str, object]) -> Iterator[JsonObject]:
    """Yield the first choice, if a reply or a chunk of one has it: the one whose references are resolved."""
    choices = reply.get("choices")
    return (each for each in (choices if isinstance(choices, list) else ()) if each.get("index", 0) == 0)


def _near(release: OpenRelease, asked: Asked, sought: Sought | None, withdrawn: Collection[str]) -> tuple[Passage, ...]:
    vector = release.encoder.embed([asked.question])[0] if sought is None else sought.vector
    found = release.collection(asked.collection).retriever.retrieve(
        asked.question, vector, release.stored_chunk, withdrawn, nearest=_NEAR, filters=asked.filters
    )
    return tuple(found)


async def _refuse(reply: Reply, release_id: str) -> None:
    about = Provenance("unreliable", [], release_id, reason="off_topic")
    await reply.decline(model_of(reply.asked.collection), _REFUSAL, Usage(), about)


async def _withhold(reply: Reply, told: Unanswered) -> None:
    await reply.decline(model_of(reply.asked.collection), told.text, Usage(), about_untold(told))
