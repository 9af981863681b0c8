"""From a request of the Responses API to the same chat in the names of the Chat API.

What becomes of it is decided there, once for both. State that would have to be kept between requests is refused with a
sentence: the earlier turns come in `input`, where they mean what the rules of the key and the collection say.

Earlier answers may come as references to their items, since Vercel's SDK sends them so by default. Their text is not
kept, so the language model is only told that there was one; whether a turn stands alone doesn't depend on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from online.errors import Problem
from online.http.openai_schemas import ChatRequest, ResponseRequest
from online.http.request_parsing import known_fields
from online.http.schemas import JsonObject

_STATE = {
    "previous_response_id": "Responses are not kept here: send the earlier turns in `input`.",
    "conversation": "Conversations are not kept here: send the earlier turns in `input`.",
    "prompt": "Prompts are not kept here: send the text in `instructions` and `input`.",
    "store": "Responses are not stored here: leave `store` out, or set it to false.",
    "background": "Responses are not made in the background here: leave `background` out, or set it to false.",
}
# What has another name or place in the Chat API, or says how to send a response that we send in one way.
_OTHERWISE = frozenset(
    """input instructions max_output_tokens reasoning text tools tool_choice include truncation stream_options
    max_tool_calls""".split()
).union(_STATE)
_ANSWER_NOT_KEPT = "(This earlier answer is not kept.)"
_PARTS = {"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal"}


def refuse_state(fields: JsonObject) -> None:
    """Refuse what would have to be kept between requests.

    Raises:
        Problem: the request asks for it.
    """
    for name, sentence in _STATE.items():
        if fields.get(name) not in (None, False):
            raise Problem("invalid", sentence, param=name, code="not_kept")


def chat_of_response(request: ResponseRequest, fields: JsonObject) -> tuple[ChatRequest, JsonObject]:
    """Return the chat that a request stands for: its known fields, and all of them.

    Raises:
        Problem: an item of the input can't be read.
    """
    chat = {name: value for name, value in fields.items() if name not in _OTHERWISE}
    system = [{"role": "system", "content": request.instructions}] if request.instructions else []
    chat["messages"] = [*system, *_messages(request.input)]
    if request.stream:
        chat["stream_options"] = {"include_usage": True}  # the last event says what it cost
    if request.max_output_tokens is not None:
        chat["max_tokens"] = request.max_output_tokens
    if request.tools:
        chat["tools"] = [_tool(each) for each in request.tools]
    if request.tool_choice is not None:
        chat["tool_choice"] = _choice(request.tool_choice)
    reasoning, text = request.reasoning or {}, request.text or {}
    found = {
        "reasoning_effort": reasoning.get("effort"),
        "verbosity": text.get("verbosity"),
        "response_format": _format(text.get("format")),
    }
    chat |= {name: value for name, value in found.items() if value is not None}
    return known_fields(chat, ChatRequest), chat


def _messages(given: str | list[JsonObject]) -> list[JsonObject]:
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    messages: list[JsonObject] = []
    for number, item in enumerate(given):
        message = _referred(item, number) if item.get("type") == "item_reference" else _message(item, number)
        if message is None:
            continue
        if message.get("tool_calls") and messages and messages[-1]["role"] == "assistant":
            messages[-1].setdefault("tool_calls", []).extend(message["tool_calls"])  # roles have to alternate
        else:
            messages.append(message)
    if given[-1].get("type") == "item_reference":  # nothing is asked but what would have to be kept
        raise _not_kept(len(given) - 1)
    return messages


def _message(item: JsonObject, number: int) -> JsonObject | None:
    kind = item.get("type") or "message"
    if kind == "message" and isinstance(item.get("role"), str):
        return {"role": item["role"], "content": _content(item.get("content"), f"input[{number}]")}
    if kind == "function_call":
        function = {"name": item.get("name"), "arguments": item.get("arguments")}
        call = {"id": item.get("call_id"), "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    if kind == "function_call_output":
        output = item.get("output")
        text = output if isinstance(output, str) else json.dumps(output)
        return {"role": "tool", "tool_call_id": item.get("call_id"), "content": text}
    if kind == "reasoning":  # the model's own thoughts, which the Chat API doesn't take back
        return None
    raise Problem("invalid", f"input[{number}] is no message and no call of a function.", param=f"input[{number}]")


def _referred(item: JsonObject, number: int) -> JsonObject | None:
    """Return what stands for an item of an earlier response: an answer, or nothing for the model's own thoughts."""
    kind = str(item.get("id")).partition("_")[0]
    if kind == "msg":
        return {"role": "assistant", "content": _ANSWER_NOT_KEPT}
    if kind == "rs":
        return None
    raise _not_kept(number)


def _not_kept(number: int) -> Problem:
    return Problem("invalid", "Items are not kept here: send their content.", param=f"input[{number}]", code="not_kept")


def _content(content: object, place: str) -> str | list[JsonObject]:
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not all(isinstance(each, dict) for each in content):
        raise Problem("invalid", f"{place}.content must be text, or a list of parts.", param=place)
    parts = list(_parts(content))
    if all(each["type"] == "text" and isinstance(each["text"], str) for each in parts):
        return "\n".join(each["text"] for each in parts)
    return parts


def _parts(content: Iterable[JsonObject]) -> Iterator[JsonObject]:
    for part in content:
        name = _PARTS.get(str(part.get("type")))
        if name is not None:
            yield {"type": "text", "text": part.get(name)}
        elif part.get("type") == "input_image":
            yield {"type": "image_url", "image_url": {"url": part.get("image_url")}}
        else:
            yield {"type": None} | part


def _tool(tool: JsonObject) -> JsonObject:
    """Return a tool in the shape of the Chat API; one that OpenAI itself runs stays as it is."""
    if tool.get("type") != "function" or "function" in tool:
        return tool
    return {"type": "function", "function": {name: value for name, value in tool.items() if name != "type"}}


def _choice(choice: str | JsonObject) -> str | JsonObject:
    if isinstance(choice, dict) and choice.get("type") == "function" and "name" in choice:
        return {"type": "function", "function": {"name": choice["name"]}}
    return choice


def _format(given: object) -> object:
    if isinstance(given, dict) and given.get("type") == "json_schema" and "json_schema" not in given:
        return {"type": "json_schema", "json_schema": {name: each for name, each in given.items() if name != "type"}}
    return given
