"""What a chat completion request asks, and whether an anticipated answer may answer it.

The question is the last turn of the user. The rules of the key and the collection (`online.chat.rules`) say
what a system prompt and earlier turns mean. Parameters that give the answer another shape (several choices, a response
format, a forced tool) bypass the cache (`online.chat.bypass`). Others only limit it: a prepared answer is a hit if
it is short enough for `max_tokens`, has none of the strings of `stop`, and `tool_choice` leaves the model free to
answer without a tool. Sampling parameters don't count: temperature 0.7 asks for an answer, not for a random one. A
live answer honours them (`sampling_of`). `reasoning_effort` and `verbosity` are hints that an answer may do without.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from online.chat.rules import ChatRules
from online.chat.turns import PROMPTING, asked_in, is_settled, text_of, without_greetings
from online.errors import Problem
from online.http.openai_schemas import ChatRequest
from online.http.schemas import QUESTION_CHARACTERS, JsonObject
from rag.llm.protocol import Message, Sampling
from rag.prompting.standing_alone import question_of, stands_alone, words_of_its_own

_MODEL = "beforehand"
_DRAWN = "temperature top_p frequency_penalty presence_penalty repetition_penalty seed".split()
_SHAPELESS = frozenset(
    """model messages stream stream_options user metadata store service_tier safety_identifier
    prompt_cache_key prompt_cache_retention reasoning_effort verbosity filters""".split()
).union(_DRAWN)
_NEUTRAL: JsonObject = {
    "n": 1, "tool_choice": "none", "tools": [], "response_format": {"type": "text"}, "logprobs": False, "stop": [],
    "logit_bias": {}, "modalities": ["text"], "parallel_tool_calls": True, "functions": [], "top_logprobs": 0,
    "function_call": "none",
}  # fmt: skip
_CARRIED = frozenset("stop max_tokens max_completion_tokens".split())
# These keep no prepared answer from being served, as far as it satisfies them.
_LIMITING = _CARRIED.union("tools tool_choice parallel_tool_calls functions function_call".split())
_BYTES_A_TOKEN = 4  # English; other scripts have more bytes a character, and more tokens
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


@dataclass(frozen=True)
class Limits:
    """What a prepared answer must satisfy: `tokens` at most, and none of the strings `stop`."""

    tokens: int | None = None
    stop: tuple[str, ...] = ()

    def allow(self, answer: str) -> bool:
        """Whether a prepared answer satisfies them; its tokens are estimated."""
        short = self.tokens is None or len(answer.encode("utf-8", "replace")) <= self.tokens * _BYTES_A_TOKEN
        return short and not any(each in answer for each in self.stop)


@dataclass(frozen=True)
class Reading:
    """What a chat asks. `question` is the last turn of its user, "" if there is none that can be looked up.

    `bypass` names what keeps the chat from being looked up. `follow_up` says that the question has to be made to stand
    alone first, `follows` is the earlier turn that it follows. `limits` is None if the question is all that counts, so
    that a miss is one of the question alone.
    """

    question: str
    bypass: tuple[str, ...] = ()
    follow_up: bool = False
    limits: Limits | None = None
    system_prompt: str = ""
    follows: str = ""


@dataclass(frozen=True)
class Passing:
    """A chat that is passed on to the language model unless a prepared answer satisfies its `limits`.

    `request` has the known fields, `fields` all of them. `limits` is None if no prepared answer fits. `follows` is the
    earlier turn without which the last one says too little.
    """

    request: ChatRequest
    fields: JsonObject
    limits: Limits | None
    follows: str


def read_chat(chat: ChatRequest, fields: JsonObject, answer_tokens: int, rules: ChatRules) -> Reading:
    """Return what a chat asks; `fields` is the request as it came, `answer_tokens` the length of prepared answers."""
    turns = [each for each in chat.messages if each.role not in PROMPTING]
    prompts = [text_of(each) for each in chat.messages if each.role in PROMPTING]
    prompt = "\n\n".join(each or "" for each in prompts)
    settled = is_settled(turns, fields["messages"])
    turns = without_greetings(turns)
    question = asked_in(turns)
    shaped = shaping(fields, answer_tokens)
    if fields.get("tool_choice") == "none":
        shaped = [each for each in shaped if each not in {"tools", "parallel_tool_calls"}]
    limiting = {each for each in shaped if each in _LIMITING and not _forces(fields, each)}
    # a name that we don't know may be anything, and reasons go into a header
    reasons = list(dict.fromkeys(each if each in _NEUTRAL else "parameters" for each in shaped if each not in limiting))
    if not question or not settled:
        reasons.append("messages")
    if None in prompts or (prompts and not rules.admits(prompt)):
        reasons.append("system_prompt")
    earlier = [text[:QUESTION_CHARACTERS] for each in turns[:-1] if each.role == "user" and (text := text_of(each))]
    alone = len(turns) == 1 or stands_alone(question, earlier)
    if len(turns) > 1 and (rules.earlier_turns == "bypass" or (rules.earlier_turns == "last" and not alone)):
        reasons.append("earlier_turns")
    # the model may still need the earlier turns where a rule took the last one to stand alone
    context = len(turns) > 1 and rules.earlier_turns == "last"
    limits = _limits(chat, answer_tokens) if limiting or context else None
    follows = "" if alone else next((each for each in reversed(earlier) if len(words_of_its_own(each)) > 1), "")
    if alone and len(turns) > 1:
        question = question_of(question)
    return Reading(question, tuple(reasons), not alone and not reasons, limits, prompt, follows)


def _forces(fields: JsonObject, name: str) -> bool:
    """Whether a parameter asks for the call of a tool."""
    return name in {"tool_choice", "function_call"} and fields[name] not in ("auto", "none")  # it may be an object


def _limits(chat: ChatRequest, answer_tokens: int) -> Limits:
    given = [each for each in (chat.max_tokens, chat.max_completion_tokens) if each is not None]
    stop = (chat.stop,) if isinstance(chat.stop, str) else tuple(chat.stop or ())
    tokens = min(given, default=answer_tokens)
    return Limits(tokens if tokens < answer_tokens else None, tuple(each for each in stop if each))


def grounded(fields: JsonObject, grounding: str) -> JsonObject:
    """Return a chat with a system message put in front; one of the chat's own that is first follows in the same."""
    first, *rest = fields["messages"]
    if first["role"] not in PROMPTING:
        return {**fields, "messages": [{"role": "system", "content": grounding}, first, *rest]}
    own = first.get("content")
    parts = [{"type": "text", "text": grounding}, *own] if isinstance(own, list) else f"{grounding}\n\n{own or ''}"
    return {**fields, "messages": [{**first, "content": parts}, *rest]}


def shaping(fields: JsonObject, answer_tokens: int) -> list[str]:
    """Return the parameters that make an anticipated answer wrong."""
    return sorted(
        name
        for name, value in fields.items()
        if name not in _SHAPELESS
        and value is not None
        and value != _NEUTRAL.get(name, _NEUTRAL)
        and not (name in {"max_tokens", "max_completion_tokens"} and value >= answer_tokens)
    )


def collection_of(model: str) -> str | None:
    """Return the collection of a model named `beforehand/<collection>`, or None."""
    prefix, slash, collection = model.partition("/")
    return collection if prefix == _MODEL and slash else None


def model_of(collection: str) -> str:
    """Return the model by which a collection is asked; replies name it where no language model wrote them."""
    return f"{_MODEL}/{collection}"


def sampling_of(chat: ChatRequest, sampling: Sampling) -> Sampling:
    """Return the sampling of a chat: its own parameters, else those of `sampling`."""
    stop = [chat.stop] if isinstance(chat.stop, str) else chat.stop or []
    wishes = {name: getattr(chat, name) for name in _DRAWN}
    return replace(
        sampling,
        max_tokens=chat.max_completion_tokens or chat.max_tokens or sampling.max_tokens,
        stop=tuple(stop),
        **{name: value for name, value in wishes.items() if value is not None},
    )


def chat_of(chat: ChatRequest, fields: JsonObject, sampling: Sampling) -> tuple[list[Message], Sampling]:
    """Return a chat as `rag.llm.protocol` carries it: its messages and its sampling.

    Raises:
        Problem: it holds what can't be carried, which must not be dropped silently.
    """
    if unknown := [name for name in shaping(fields, 0) if name not in _CARRIED]:
        raise Problem(
            "invalid", f"This language model can't be given {unknown[0]!r} through Beforehand.", param=unknown[0]
        )
    messages = [Message(_ROLES.get(each.role, ""), text_of(each) or "") for each in chat.messages]
    for number, message in enumerate(messages):
        if not message.role or text_of(chat.messages[number]) is None:
            raise Problem(
                "invalid", "Messages must be text of a system, user or assistant.", param=f"messages[{number}]"
            )
    return messages, sampling_of(chat, sampling)
