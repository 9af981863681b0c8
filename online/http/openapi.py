"""The OpenAPI document, exact for the routes that FastAPI does not parse, too.

The hot routes are plain ASGI; their schemas are written by msgspec from the very classes that decode and encode
them. The schemathesis test holds the running service against this document.
"""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from online.http.problems import KINDS
from online.http.schemas import Answer, Ask, Job, ProblemDetails
from online.routes.chat_request import ChatRequest

Json = dict[str, Any]

_REFERENCE = "#/components/schemas/{name}"
_OPENAI = ("/v1/chat/completions", "/v1/models", "/v1/models/{model}")
_PROBLEMS: dict[tuple[str, str], tuple[int, ...]] = {
    ("/v1/answers", "post"): (400, 401, 403, 413, 415, 422, 429, 502, 503),
    ("/v1/answers/{job_id}", "get"): (401, 403, 404, 422, 429, 502, 503),
    ("/v1/chat/completions", "post"): (400, 401, 403, 413, 415, 422, 429, 502, 503),
    ("/v1/feedback", "post"): (400, 401, 403, 413, 415, 422, 429, 503),
    ("/v1/questions", "get"): (401, 403, 422, 429, 503),
    ("/v1/models", "get"): (401, 403, 429),
    ("/v1/models/{model}", "get"): (401, 403, 404, 422, 429),
    ("/metrics", "get"): (401, 403, 429),
}


def describe(app: FastAPI, *, keys_required: bool) -> None:
    """Make the application describe itself."""

    def openapi() -> Json:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, keys_required=keys_required)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _document(app: FastAPI, *, keys_required: bool) -> Json:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schemas, components = msgspec.json.schema_components(
        (Ask, Answer, Job, ProblemDetails, ChatRequest), ref_template=_REFERENCE
    )
    ask, answer, job, problem, chat = schemas
    known = document.setdefault("components", {}).setdefault("schemas", {})
    known |= components | {"OpenAIError": _OPENAI_ERROR, "ChatCompletion": _CHAT_COMPLETION}
    for unused in ("HTTPValidationError", "ValidationError"):
        known.pop(unused, None)
    document["paths"] |= {
        "/v1/answers": {"post": _answers(ask, answer, job)},
        "/v1/answers/{job_id}": {"get": _job(answer, job)},
        "/v1/chat/completions": {"post": _chat(chat)},
    }
    for (path, method), statuses in _PROBLEMS.items():
        operation = document["paths"][path][method]
        openai = path in _OPENAI
        operation["responses"].pop("422", None)
        for status in statuses:
            operation["responses"][str(status)] = _problem(status, problem, openai=openai)
        if keys_required:
            operation["security"] = [{"key": []}]
    for operation in (each for path in document["paths"].values() for each in path.values()):
        for status, response in operation["responses"].items():
            response["headers"] = _headers(status, keys_required=keys_required) | response.get("headers", {})
    if keys_required:
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return document


def _headers(status: str, *, keys_required: bool) -> Json:
    """Return what every response with this status carries, and the headers of a key's rate limit, if it has one."""
    limits = {f"x-ratelimit-{name}": _header(text) for name, text in _LIMITS.items()} if keys_required else {}
    always = {"x-request-id": "The request's own, if it had a well-formed one, or a new one; also in the journal."}
    if status in {"429", "503"}:
        always["Retry-After"] = "Seconds after which to ask again."
    return {name: _header(text) | {"required": True} for name, text in always.items()} | limits


def _problem(status: int, problem: Json, *, openai: bool) -> Json:
    titles = [title for kind_status, title in KINDS.values() if kind_status == status]
    media_type, schema = (
        ("application/json", {"$ref": _REFERENCE.format(name="OpenAIError")})
        if openai
        else ("application/problem+json", problem)
    )
    return {"description": " or ".join(titles), "content": {media_type: {"schema": schema}}}


def _body(schema: Json) -> Json:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _json(description: str, schema: Json, **headers: str) -> Json:
    return {
        "description": description,
        "content": {"application/json": {"schema": schema}},
        "headers": {name.replace("_", "-"): _header(text) for name, text in headers.items()},
    }


def _header(text: str) -> Json:
    return {"description": text, "schema": {"type": "string"}}


def _stream(response: Json, description: str, events: list[str]) -> Json:
    event = {
        "type": "object",
        "description": description,
        "required": ["data"],
        "properties": {"event": {"enum": events}, "data": {"type": "string"}},
    }
    response["content"]["text/event-stream"] = {"schema": event}
    return response


_LIMITS = {
    "limit-requests": "Requests that the key may make at once, where it has a rate limit.",
    "remaining-requests": "How many of them it still may make now.",
    "reset-requests": 'Time until it may make all of them again, such as "2s".',
}
_ORIGIN = {
    "Cache_Status": "Where the answer came from (RFC 9211).",
    "Age": "Seconds since it was generated.",
    "ETag": "Its fingerprint.",
}


def _answers(ask: Json, answer: Json, job: Json) -> Json:
    events = "With `stream`: start, deltas with the text, then the answer or a problem; the data are JSON."
    names = ["start", "delta", "answer", "problem"]
    return {
        "tags": ["answers"],
        "summary": "Ask a question",
        "operationId": "answer",
        "parameters": [
            _parameter("Cache-Control", "`no-cache`: answer live; `no-store`: keep the text out of the journal."),
            _parameter("Prefer", "`respond-async, wait=N` answers later, if it has to be live (RFC 7240)."),
        ],
        "requestBody": _body(ask),
        "responses": {
            "200": _stream(_json("The answer", answer, **_ORIGIN), events, names),
            "202": _json("It will be answered; ask again at `location`", job, Location="Where to ask again."),
        },
    }  # fmt: skip


def _parameter(name: str, text: str) -> Json:
    return {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}


def _job(answer: Json, job: Json) -> Json:
    identity = {"name": "job_id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    return {
        "tags": ["answers"],
        "summary": "Fetch an answer that was asked for later",
        "operationId": "later_answer",
        "parameters": [identity, _parameter("If-None-Match", "The ETag of the answer that is known.")],
        "responses": {
            "200": _json("The answer", answer, ETag="Its fingerprint."),
            "202": _json(
                "Not yet, or once more since a document of the answer was withdrawn; ask again",
                job,
                Location="Where to ask again.",
            ),
            "304": {"description": "The answer is the one that is known"},
        },
    }


def _chat(chat: Json) -> Json:
    completion = {"$ref": _REFERENCE.format(name="ChatCompletion")}
    return {
        "tags": ["OpenAI-compatible"],
        "summary": "Chat completion",
        "operationId": "chat",
        "requestBody": _body(chat),
        "responses": {
            "200": _stream(
                _json("The completion", completion, **_ORIGIN), "Chunks of the completion, then [DONE].", ["message"]
            )
        },
    }


_OPENAI_ERROR: Json = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_CHAT_COMPLETION: Json = {
    "type": "object",
    "required": ["id", "object", "created", "model", "choices"],
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "chat.completion"},
        "created": {"type": "integer"},
        "model": {"type": "string"},
        "choices": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["index", "message", "finish_reason"],
                "properties": {
                    "index": {"type": "integer"},
                    "message": {"type": "object", "required": ["role"]},
                    "finish_reason": {"type": ["string", "null"]},
                },
            },
        },
        "usage": {"type": "object"},
        "beforehand": {"type": "object", "description": "Where the answer came from, and its sources."},
    },
}
