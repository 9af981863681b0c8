"""Embeddings of the release's encoder, seen by the official client."""

from __future__ import annotations

import httpx
import numpy as np
import openai
import pytest

from tests.online.conftest import DIMENSIONS, Library, Serve

TEXTS = ["When does the library open?", "A loan can be renewed twice.", "ten euros"] * 30


def test_the_vectors_are_the_encoders_own_in_both_encodings(official: openai.OpenAI, client: httpx.Client) -> None:
    encoder = client.app.state.service.current.get().encoder  # type: ignore[attr-defined]
    found = official.embeddings.create(model="m", input=TEXTS)  # base64 by default
    plain = official.embeddings.create(model="m", input=TEXTS, encoding_format="float", dimensions=DIMENSIONS)
    assert [each.index for each in found.data] == list(range(90))
    assert np.allclose([each.embedding for each in found.data], encoder.embed(TEXTS))
    assert np.allclose([each.embedding for each in plain.data], encoder.embed(TEXTS), atol=1e-6)
    assert found.model.startswith("encoder@")
    one = official.embeddings.create(model="m", input="ten euros")
    assert (len(one.data), one.usage.prompt_tokens) == (1, 2)


@pytest.mark.parametrize(
    "body",
    [
        {"input": []}, {"input": ""}, {"input": " \n"}, {"input": ["a", " "]}, {"input": [[1, 2]]}, {"input": [1, 2]},
        {"input": ["a"] * 1001}, {"input": "a", "dimensions": 3}, {"input": "a", "encoding_format": "int8"}, {},
    ],
)  # fmt: skip
def test_what_can_not_be_embedded_is_refused(client: httpx.Client, body: dict[str, object]) -> None:
    response = client.post("/v1/embeddings", json={"model": "m"} | body)
    assert response.status_code == 422
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_it_needs_a_key_and_a_release(library: Library, serve: Serve, keys: dict[str, dict[str, object]]) -> None:
    del library
    client = serve(keys=keys)
    body = {"model": "m", "input": "a"}
    assert client.post("/v1/embeddings", json=body).status_code == 401
    limited = {"Authorization": "Bearer asker"}
    found = [client.post("/v1/embeddings", json=body, headers=limited).status_code for _ in range(4)]
    assert found == [503, 503, 503, 429]
