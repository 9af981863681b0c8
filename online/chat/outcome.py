"""What became of a chat, told in its reply: a prepared answer, a live one, or a sentence instead of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from online.answering.question import Asked, Live, LiveAnswer, Prepared, Unanswered
from online.answering.rendering import citations, provenance
from online.chat.format import Usage, pieces
from online.chat.reply import Reply, about_untold
from online.chat.request import model_of
from online.http.openai_schemas import Provenance
from online.http.schemas import Citation
from rag.llm.protocol import Completion

if TYPE_CHECKING:
    from online.answering.exchange import Exchanges


class _Text(msgspec.Struct):
    """What a chat shows of an anticipated answer."""

    answer: str
    model: str
    finish_reason: str | None
    citations: list[Citation]


def text_of_answer(prepared: Prepared) -> str:
    """Return the text of a prepared answer."""
    return msgspec.json.decode(prepared.body, type=_Text).answer


def usage_of(completion: Completion) -> Usage:
    """Return what a completion cost."""
    return Usage(completion.prompt_tokens, completion.completion_tokens)


def _reworded(asked: Asked) -> str | msgspec.UnsetType:
    """Return the question that was asked, where it is not the caller's own words."""
    return asked.question if asked.rewritten else msgspec.UNSET


async def answer_chat(reply: Reply, answer: Prepared | Unanswered | Live) -> None:
    """Send an answer."""
    result = await answer.result() if isinstance(answer, Live) else answer
    reply.headers += provenance(reply.asked, answer)
    if isinstance(result, Unanswered):
        usage = Usage() if result.live is None else usage_of(result.live.completion)
        await reply.decline(model_of(reply.asked.collection), result.text, usage, about_untold(result))
    elif isinstance(result, Prepared):
        await _prepared(reply, result)
    else:
        await _live(reply, answer.release_id, result)


async def tell_what_lies_ready(exchanges: Exchanges, reply: Reply, answer: Prepared | Unanswered) -> None:
    """Send what was found without the language model, and record it."""
    await answer_chat(reply, answer)
    if isinstance(answer, Prepared):
        exchanges.log.prepared(reply.asked, answer)
        if answer.source == "semantic":
            exchanges.lookup.on_semantic_hit(reply.asked, answer)
    else:
        exchanges.log.unanswered(reply.asked, answer)


async def _prepared(reply: Reply, prepared: Prepared) -> None:
    text = msgspec.json.decode(prepared.body, type=_Text)
    about = Provenance(prepared.source, text.citations, prepared.release_id, question=_reworded(reply.asked))
    finish = text.finish_reason or "stop"
    model = text.model or model_of(reply.asked.collection)  # no model wrote a curated answer
    if not reply.asked.stream:
        await reply.whole(model, {"role": "assistant", "content": text.answer}, finish, Usage(), about)
        return
    await reply.begin(model)
    for piece in pieces(text.answer):
        await reply.piece(piece)
    await reply.end(finish, Usage(), about)


async def _live(reply: Reply, release_id: str, live: LiveAnswer) -> None:
    completion = live.completion
    about = Provenance("live", citations(live.linked.citations), release_id, question=_reworded(reply.asked))
    others = completion.others | ({"reasoning_content": live.reasoning} if live.reasoning else {})
    if not reply.asked.stream:
        # A question alone names no tools: a client that runs what the model calls must not get calls.
        message = {**others, "role": "assistant", "content": live.linked.text}
        await reply.whole(completion.model, message, completion.finish_reason, usage_of(completion), about)
        return
    await reply.begin(completion.model)
    if others:
        await reply.piece("", others)
    for piece in pieces(live.linked.text):
        await reply.piece(piece)
    await reply.end(completion.finish_reason, usage_of(completion), about)
