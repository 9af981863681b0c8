"""The OpenAPI document: each route describes itself with the schemas that decode and encode its bodies.

FastAPI writes the paths and parameters, msgspec the schemas, so neither can drift from the code. What holds for many
routes (error shapes, headers, security) is added here.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from online.http import openai_schemas, schemas
from online.http.openai_schemas import OpenAIError
from online.http.problems import KINDS
from online.http.schemas import JsonObject, ProblemDetails

_REFERENCE = "#/components/schemas/{name}"
_LIMITS = {
    "x-ratelimit-limit-requests": "Requests that the key may make at once, where it has a rate limit.",
    "x-ratelimit-remaining-requests": "How many of them it still may make now.",
    "x-ratelimit-reset-requests": 'Time until it may make all of them again, such as "2s".',
}

Responses = dict[int | str, JsonObject]


def takes(body: type[msgspec.Struct] | None = None, headers: Mapping[str, str] | None = None) -> JsonObject:
    """Describe a request's JSON body and the headers that it may have."""
    described: JsonObject = (
        {
            "parameters": [
                {"name": name, "in": "header", "required": False} | _text(text) for name, text in headers.items()
            ]
        }
        if headers
        else {}
    )
    if body is not None:
        described["requestBody"] = {"required": True, "content": _json(body)}
    return described


def gives(description: str, body: type[msgspec.Struct] | None = None, **headers: str) -> JsonObject:
    """Describe a response; the `headers` are named with underscores."""
    named = {name.replace("_", "-"): _text(text) for name, text in headers.items()}
    return {"description": description, "headers": named} | ({} if body is None else {"content": _json(body)})


def streams(response: JsonObject, description: str, *events: str) -> JsonObject:
    """Describe a response that may also come as server-sent events."""
    event = {
        "type": "object",
        "description": description,
        "required": ["data"],
        "properties": {"event": {"enum": list(events)}, "data": {"type": "string"}},
    }
    content = response["content"] | {"text/event-stream": {"schema": event}}
    return response | {"content": content}


def problems(*statuses: int, openai: bool = False) -> Responses:
    """Describe the problems of a route."""
    content = _json(OpenAIError) if openai else _json(ProblemDetails, "application/problem+json")
    return {status: {"description": " or ".join(_titles(status)), "content": content} for status in statuses}


def describe(app: FastAPI, *, keys_required: bool, base_path: str = "") -> None:
    """Make the application describe itself."""

    def openapi() -> JsonObject:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, keys_required=keys_required)
            if base_path:
                app.openapi_schema["servers"] = [{"url": base_path}]
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _document(app: FastAPI, *, keys_required: bool) -> JsonObject:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    known = (vars(schemas) | vars(openai_schemas)).values()
    structs = [each for each in known if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    document["components"] = {"schemas": msgspec.json.schema_components(structs, ref_template=_REFERENCE)[1]}
    for operation in (each for path in document["paths"].values() for each in path.values()):
        if keys_required and "401" in operation["responses"]:
            operation["security"] = [{"key": []}]
        for status, response in operation["responses"].items():
            response["headers"] = _common_headers(status, keys_required=keys_required) | response.get("headers", {})
    if keys_required:
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return document


def _common_headers(status: str, *, keys_required: bool) -> JsonObject:
    """Return the headers of every response with this status, those of a key's rate limit included."""
    limits = {name: _text(text) for name, text in _LIMITS.items()} if keys_required else {}
    always = {"x-request-id": "The request's own, if it had a well-formed one, or a new one; also in the journal."}
    if status in {"429", "503"}:
        always["Retry-After"] = "Seconds after which to ask again."
    return {name: _text(text) | {"required": True} for name, text in always.items()} | limits


def _titles(status: int) -> list[str]:
    return [title for kind_status, title in KINDS.values() if kind_status == status]


def _json(body: type[msgspec.Struct], media_type: str = "application/json") -> JsonObject:
    return {media_type: {"schema": {"$ref": _REFERENCE.format(name=body.__name__)}}}


def _text(description: str) -> JsonObject:
    return {"description": description, "schema": {"type": "string"}}
