"""A server with OpenAI's Batch API that is none: uploads, batches that end when a test wants, files of results.

`behaviour` may be changed while it runs. What was paid for is counted: `answered` has an entry for each answer made.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Line = dict[str, Any]
EXPIRED = {
    "code": "batch_expired",
    "message": "This request could not be executed before the completion window expired.",
}


def says_yes(body: dict[str, Any]) -> dict[str, Any]:
    """Return a chat completion."""
    message = {"role": "assistant", "content": f"Yes to {body['messages'][-1]['content']}"}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14},
    }


@dataclass
class BatchBehaviour:
    """How batches go: looks until one ends, how it ends, which lines it answers, and what breaks on the way."""

    looks: int = 1
    ends: list[str] = field(default_factory=list)  # of the next batches; "completed" by default
    answered_of_expired: int = 0
    refuses: Callable[[Line], str | None] = lambda _: None
    fault: dict[str, str] = field(default_factory=lambda: {"code": "invalid", "message": "broken"})
    garbled: Callable[[list[str]], list[str]] = list
    loses_reply_of_create: bool = False
    key: str | None = None
    fail_looks: int = 0


class FakeBatches:
    """The application; `answer` makes the completion of a request's body."""

    def __init__(self, answer: Callable[[dict[str, Any]], dict[str, Any]] = says_yes) -> None:
        self.behaviour = BatchBehaviour()
        self.answer = answer
        self.url = ""
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.answered: Counter[str] = Counter()
        self.app = Starlette(
            routes=[
                Route("/v1/files", self._upload, methods=["POST"]),
                Route("/v1/files/{file}/content", self._content),
                Route("/v1/batches", self._create, methods=["POST"]),
                Route("/v1/batches", self._list),
                Route("/v1/batches/{batch}", self._get),
                Route("/v1/batches/{batch}/cancel", self._cancel, methods=["POST"]),
            ]
        )

    def requests(self) -> list[Line]:
        """Return the lines of all batches."""
        return [line for each in self.batches.values() for line in self._lines(each)]

    def _lines(self, batch: dict[str, Any]) -> list[Line]:
        return [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]

    def _refused(self, request: Request) -> Response | None:
        if self.behaviour.key is None or request.headers.get("authorization") == f"Bearer {self.behaviour.key}":
            return None
        return JSONResponse({"error": {"message": "Incorrect API key provided", "type": "invalid_request_error"}}, 401)

    async def _upload(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        form = await request.form()
        assert form["purpose"] == "batch"
        name = self._store(await form["file"].read())  # type: ignore[union-attr]
        return JSONResponse({"id": name, "object": "file", "purpose": "batch", "status": "processed"})

    def _store(self, content: bytes) -> str:
        name = f"file-{len(self.files)}"
        self.files[name] = content
        return name

    async def _content(self, request: Request) -> Response:
        return Response(self.files[request.path_params["file"]], media_type="application/octet-stream")

    async def _create(self, request: Request) -> Response:
        asked = await request.json()
        assert asked["endpoint"] == "/v1/chat/completions" and asked["completion_window"] == "24h"
        batch = {
            "id": f"batch_{len(self.batches)}",
            "object": "batch",
            "endpoint": asked["endpoint"],
            "errors": None,
            "input_file_id": asked["input_file_id"],
            "completion_window": "24h",
            "status": "in_progress",
            "output_file_id": None,
            "error_file_id": None,
            "created_at": int(time.time()),
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "metadata": asked.get("metadata"),
            "looks": 0,
        }
        self.batches[batch["id"]] = batch
        if self.behaviour.loses_reply_of_create:
            return Response(status_code=502)
        return JSONResponse(batch)

    async def _list(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        newest = list(self.batches.values())[::-1]
        return JSONResponse({"object": "list", "data": newest, "has_more": False})

    async def _get(self, request: Request) -> Response:
        if self.behaviour.fail_looks:
            self.behaviour.fail_looks -= 1
            return Response(status_code=503)
        batch = self.batches.get(request.path_params["batch"])
        if batch is None:
            return JSONResponse({"error": {"message": "No batch found"}}, 404)
        batch["looks"] += 1
        if batch["status"] == "in_progress" and batch["looks"] >= self.behaviour.looks:
            self._end(batch, self.behaviour.ends.pop(0) if self.behaviour.ends else "completed")
        elif batch["status"] == "cancelling":
            self._end(batch, "cancelled")
        return JSONResponse(batch)

    async def _cancel(self, request: Request) -> Response:
        batch = self.batches[request.path_params["batch"]]
        if batch["status"] != "in_progress":
            return JSONResponse({"error": {"message": f"Cannot cancel a batch with status {batch['status']}"}}, 409)
        batch["status"] = "cancelling"
        return JSONResponse(batch)

    def _end(self, batch: dict[str, Any], status: str) -> None:
        batch["status"] = status
        if status == "failed":
            batch["errors"] = {"object": "list", "data": [self.behaviour.fault]}
            return
        lines = self._lines(batch)
        reached = lines if status == "completed" else lines[: self.behaviour.answered_of_expired]
        good, bad = [], []
        for line in reached:
            if said := self.behaviour.refuses(line):
                bad.append(_result(line, 400, {"error": {"message": said, "type": "invalid_request_error"}}))
            else:
                self.answered[line["custom_id"]] += 1
                good.append(_result(line, 200, self.answer(line["body"])))
        if status == "expired":
            bad += [
                {"id": "r", "custom_id": line["custom_id"], "response": None, "error": EXPIRED}
                for line in lines[len(reached) :]
            ]
        if good:
            batch["output_file_id"] = self._store(_jsonl(self.behaviour.garbled([json.dumps(each) for each in good])))
        if bad:
            batch["error_file_id"] = self._store(_jsonl([json.dumps(each) for each in bad]))
        batch["request_counts"] = {"total": len(lines), "completed": len(good), "failed": len(bad)}


def _result(line: Line, status: int, body: dict[str, Any]) -> Line:
    response = {"status_code": status, "request_id": "req-1", "body": body}
    return {"id": "batch_req_1", "custom_id": line["custom_id"], "response": response, "error": None}


def _jsonl(lines: list[str]) -> bytes:
    return "\n".join(lines).encode() + b"\n"
