"""The widget's script over HTTP: how it is sent, and what pages of other sites may do with it."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.online.conftest import LIBRARY, MUSEUM, Library, Serve
from tests.online.routes.test_faq import BOTH

LISTED = "https://help.example"
QUESTION = {"question": "When does the library open?", "collection": "library", "html": True}


def test_the_script_may_be_loaded_by_any_page_and_is_asked_for_again_when_it_is_old(client: httpx.Client) -> None:
    response = client.get("/widget.js")

    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    assert response.headers.get_list("cross-origin-resource-policy") == ["cross-origin"]
    assert response.headers["cache-control"].startswith("public, max-age=")
    again = client.get("/widget.js", headers={"If-None-Match": f'"other", {response.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")


def test_the_script_is_small_and_puts_no_text_into_a_page_as_html(client: httpx.Client) -> None:
    script = client.get("/widget.js").text

    assert len(script.encode()) < 15_000
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", script)
    assert "https://" not in script


def test_other_files_keep_to_this_site(client: httpx.Client) -> None:
    for path in ("/", "/static/answers.js", "/v1/questions"):
        assert client.get(path).headers.get_list("cross-origin-resource-policy") == ["same-origin"]
    assert client.get("/static/widget.js").status_code == 404


@pytest.mark.parametrize(("origin", "allowed"), [(LISTED, True), ("https://evil.example", False)])
def test_only_pages_of_listed_origins_get_answers(
    library: Library, serve: Serve, keys: dict[str, dict[str, object]], origin: str, allowed: bool
) -> None:
    library.publish(library=LIBRARY, museum=MUSEUM)
    client = serve(BOTH, keys=keys, public_page=["library"], allowed_origins=[LISTED])

    response = client.post("/v1/answers", json=QUESTION, headers={"Origin": origin, "Sec-Fetch-Site": "cross-site"})
    hidden = {"question": "When does the museum open?", "collection": "museum"}
    other = client.post("/v1/answers", json=hidden, headers={"Origin": origin, "Sec-Fetch-Site": "cross-site"})

    assert (response.headers.get("access-control-allow-origin") == origin) is allowed
    assert ("html" in response.json()) is allowed
    assert other.status_code == 403, "visitors see the public collections only"


def test_an_answer_comes_as_html_to_who_asks_for_it(client: httpx.Client) -> None:
    plain = client.post("/v1/answers", json=QUESTION | {"html": False}).json()
    rendered = client.post("/v1/answers", json=QUESTION).json()

    assert "html" not in plain
    assert rendered["answer"] == plain["answer"]
    assert rendered["html"] == (
        '<p>The library opens at nine in the morning [<a class="reference" href="#source-1">1</a>].</p>'
    )


def test_a_live_answer_comes_as_html_in_the_stream_and_at_its_end(client: httpx.Client) -> None:
    asked = {"question": "Where can people park?", "stream": True, "html": True}

    events = client.post("/v1/answers", json=asked).text.split("\n\n")

    assert '"html":"<p>' in next(each for each in events if each.startswith("event: delta"))
    assert r"[<a class=\"reference\" href=\"#source-1\">1</a>]" in next(
        each for each in events if each.startswith("event: answer")
    )
