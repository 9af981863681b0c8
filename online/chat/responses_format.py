"""The shapes of the Responses API: the items of an output, and the events that stream them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from online.chat.format import Usage
from online.http.openai_schemas import Provenance, ResponseObject, ResponseUsage
from online.http.responses import sse
from online.http.schemas import Citation, JsonObject

_REFERENCE = re.compile(r"\[(\d{1,4})\]")
_HALF = re.compile("[\ud800-\udfff]")  # half a character, which a model may say, is no JSON
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass
class Said:
    """What a response says so far: its text, what the model thought aloud, and the functions that it calls."""

    text: str = ""
    reasoning: str = ""
    calls: dict[int, JsonObject] = field(default_factory=dict)

    def add(self, message: Mapping[str, object]) -> str:
        """Take a message, or a delta of one; return its text."""
        self.reasoning += _text(message.get("reasoning_content") or message.get("reasoning"))
        calls = message.get("tool_calls")
        for number, call in enumerate(calls if isinstance(calls, list) else ()):
            if isinstance(call, dict):
                self._call(call, number)
        said = _text(message.get("content"))
        self.text += said
        return said

    def _call(self, call: JsonObject, number: int) -> None:
        place = call.get("index", number)
        known = self.calls.setdefault(
            place if isinstance(place, int) else number, {"id": "", "name": "", "arguments": ""}
        )
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        known["id"] = _text(call.get("id")) or known["id"]
        known["name"] = _text(function.get("name")) or known["name"]
        known["arguments"] += _text(function.get("arguments"))


def _text(value: object) -> str:
    return _HALF.sub("\ufffd", value) if isinstance(value, str) else ""


def reasoning_item(name: str, reasoning: str) -> JsonObject:
    """Return the item of what the model thought aloud."""
    return {
        "type": "reasoning", "id": f"rs_{name}", "summary": [],
        "content": [{"type": "reasoning_text", "text": reasoning}],
    }  # fmt: skip


def message_item(name: str, text: str, about: Provenance | None, status: str) -> JsonObject:
    """Return the item of a message."""
    content = [] if status == "in_progress" else [text_part(text, about)]
    return {"type": "message", "id": f"msg_{name}", "status": status, "role": "assistant", "content": content}


def text_part(text: str, about: Provenance | None) -> JsonObject:
    """Return a part of a message, with its references as annotations."""
    cited = {} if about is None else {each.number: each for each in about.citations}
    found = [_annotation(cited[int(match[1])], match) for match in _REFERENCE.finditer(text) if int(match[1]) in cited]
    return {"type": "output_text", "text": text, "annotations": found, "logprobs": []}


def _annotation(citation: Citation, match: re.Match[str]) -> JsonObject:
    address = citation.url or citation.uri
    if address.startswith(("https://", "http://")):
        return {
            "type": "url_citation", "url": address, "title": citation.title,
            "start_index": match.start(), "end_index": match.end(),
        }  # fmt: skip
    return {
        "type": "file_citation", "file_id": citation.document_id, "filename": citation.title or citation.document_id,
        "index": match.start(),
    }  # fmt: skip


def call_item(name: str, number: int, call: JsonObject) -> JsonObject:
    """Return the item of a function's call."""
    return {
        "type": "function_call", "id": f"fc_{name}_{number}", "call_id": call["id"] or f"call_{name}_{number}",
        "name": call["name"], "arguments": call["arguments"], "status": "completed",
    }  # fmt: skip


def items_of(name: str, said: Said, about: Provenance | None, status: str) -> list[JsonObject]:
    """Return the output of a response."""
    items = [reasoning_item(name, said.reasoning)] if said.reasoning else []
    if said.text or not said.calls:
        items.append(message_item(name, said.text, about, status))
    return items + [call_item(name, number, call) for number, call in sorted(said.calls.items())]


def status_of(finish_reason: str | None) -> tuple[str, dict[str, str] | None]:
    """Return the status of a response and why it is incomplete, from the finish reason of a chat."""
    reason = _INCOMPLETE.get(finish_reason or "")
    return ("completed", None) if reason is None else ("incomplete", {"reason": reason})


def usage_of(usage: Usage) -> ResponseUsage:
    """Return the usage object of the API."""
    tokens = (usage.prompt_tokens, usage.completion_tokens)
    return ResponseUsage(tokens[0], {"cached_tokens": 0}, tokens[1], {"reasoning_tokens": 0}, sum(tokens))


class Events:
    """The events of one stream, numbered."""

    def __init__(self) -> None:
        self._number = -1

    def event(self, kind: str, **data: object) -> bytes:
        """Return one event."""
        self._number += 1
        return sse(kind, {"type": kind, "sequence_number": self._number, **data})

    def of_response(self, kind: str, response: ResponseObject) -> bytes:
        """Return an event that carries the whole response."""
        return self.event(kind, response=response)

    def whole_item(self, place: int, item: JsonObject) -> Iterator[bytes]:
        """Yield the events of an item that is known as a whole."""
        yield self.event("response.output_item.added", output_index=place, item=item | {"status": "in_progress"})
        if item["type"] == "function_call":
            where = {"item_id": item["id"], "output_index": place}
            yield self.event("response.function_call_arguments.delta", **where, delta=item["arguments"])
            yield self.event(
                "response.function_call_arguments.done", **where, name=item["name"], arguments=item["arguments"]
            )
        yield self.event("response.output_item.done", output_index=place, item=item)

    def begin_text(self, place: int, item: JsonObject) -> Iterator[bytes]:
        """Yield the events before the first word of a message."""
        yield self.event("response.output_item.added", output_index=place, item=item)
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        yield self.event(
            "response.content_part.added", item_id=item["id"], output_index=place, content_index=0, part=part
        )

    def delta(self, place: int, item_id: str, text: str) -> bytes:
        """Return the event of a piece of text."""
        where = {"item_id": item_id, "output_index": place, "content_index": 0}
        return self.event("response.output_text.delta", **where, delta=text, logprobs=[])

    def end_text(self, place: int, item: JsonObject) -> Iterator[bytes]:
        """Yield the events after the last word of a message, its annotations among them."""
        where = {"item_id": item["id"], "output_index": place, "content_index": 0}
        part = item["content"][0]
        for number, annotation in enumerate(part["annotations"]):
            yield self.event(
                "response.output_text.annotation.added", **where, annotation_index=number, annotation=annotation
            )
        yield self.event("response.output_text.done", **where, text=part["text"], logprobs=[])
        yield self.event("response.content_part.done", **where, part=part)
        yield self.event("response.output_item.done", output_index=place, item=item)

    def error(self, error: bytes) -> bytes:
        """Return the event of a failure; the official client raises on its field `error`."""
        told: JsonObject = msgspec.json.decode(error)["error"]
        details = {name: told.get(name) for name in ("message", "param")}
        return self.event("error", **details, code=told.get("code") or told.get("type"), error=told)
