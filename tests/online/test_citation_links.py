"""Wherever an answer shows its sources, they lead to where readers find them."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import pytest
from selectolax.lexbor import LexborHTMLParser

from rag.identity import query_key
from tests.online.conftest import LIBRARY, Library, Serve

OPENING, OTHER = "When does the library open?", "At what time may people borrow a book?"
LINKS = {name: f"https://library.example/{name}#top" for name in LIBRARY.documents}


@pytest.fixture
def client(library: Library, serve: Serve) -> httpx.Client:
    library.publish(library=replace(LIBRARY, links=LINKS))
    return serve()


def test_citations_of_prepared_live_streamed_and_chat_answers_lead_to_the_passage(client: httpx.Client) -> None:
    for question, source in ((OPENING, "exact"), (OTHER, "live")):
        answer = client.post("/v1/answers", json={"question": question}).json()
        assert answer["source"] == source
        streamed = client.post("/v1/answers", json={"question": question, "stream": True}).text
        chat = client.post(
            "/v1/chat/completions",
            json={"model": "beforehand/library", "messages": [{"role": "user", "content": question}]},
        ).json()
        for shown in (answer, _last_event(streamed), chat["beforehand"]):
            assert shown["citations"]
            assert all(each["url"] == LINKS[each["document_id"]] for each in shown["citations"])


def test_the_page_links_the_sources(client: httpx.Client) -> None:
    page = LexborHTMLParser(client.get(f"/questions/{query_key('library', OPENING)}").text)
    assert [each.attributes["href"] for each in page.css(".sources .where a")] == [LINKS["hours"]]


def _last_event(stream: str) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = json.loads(
        [line.removeprefix("data:") for line in stream.splitlines() if '"citations"' in line][-1]
    )
    return found
