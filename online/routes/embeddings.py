"""`POST /v1/embeddings`: vectors of the encoder that the release's own questions and passages were embedded with."""

from __future__ import annotations

import base64

import numpy as np
from fastapi import APIRouter, Request, Response

from online.answering.lookup import Lookup
from online.errors import Problem
from online.http.authentication import Headers, Keys
from online.http.openai_schemas import Embedding, EmbeddingRequest, Embeddings, EmbeddingUsage
from online.http.openapi import gives, problems, takes
from online.http.request_parsing import read_body, read_fields
from online.http.responses import json_response
from online.model.work_pool import TOGETHER
from rag.retrieval.vectors import Vectors


def embeddings(lookup: Lookup, keys: Keys) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["OpenAI-compatible"], default_response_class=Response)

    @router.post(
        "/v1/embeddings",
        summary="Embeddings",
        operation_id="embed",
        openapi_extra=takes(EmbeddingRequest),
        responses={
            200: gives("The vectors", Embeddings),
            **problems(400, 401, 403, 413, 415, 422, 429, 503, openai=True),
        },
    )
    async def embed(request: Request) -> Response:
        headers: Headers = request.scope["headers_by_name"]
        keys.caller(request.scope).require("ask")
        asked, _ = read_fields(headers, await read_body(request.receive), EmbeddingRequest)
        texts = _texts(asked)
        data: list[Embedding] = []
        tokens = 0
        with lookup.prepared.release().hold() as release:
            size = release.encoder.spec.dimensions
            if asked.dimensions not in (None, size):
                raise Problem("invalid", f"The encoder has {size} dimensions, and no others.", param="dimensions")
            for start in range(0, len(texts), TOGETHER):
                batch = texts[start : start + TOGETHER]
                vectors, read = await lookup.pool.run(release.encoder.embed_counted, batch)
                tokens += read
                data += [
                    Embedding(start + number, _encoded(each, asked.encoding_format))
                    for number, each in enumerate(vectors)
                ]
            model = f"encoder@{release.release_id}"
        return json_response(Embeddings(model, data, EmbeddingUsage(tokens, tokens)))

    return router


def _texts(asked: EmbeddingRequest) -> list[str]:
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            detail = (
                "Send texts, not tokens: they would be those of another encoder "
                "(LangChain: check_embedding_ctx_length=False)."
            )
            raise Problem("invalid", detail, param=f"input[{number}]")
        if not text.strip():
            raise Problem("invalid", f"input[{number}] is empty.", param=f"input[{number}]")
    return texts


def _encoded(vector: Vectors, encoding: str | None) -> list[float] | str:
    if encoding == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return [float(each) for each in np.asarray(vector, dtype=np.float64)]
