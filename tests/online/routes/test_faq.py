"""The FAQ page as a browser without JavaScript sees it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from bs4 import BeautifulSoup

from online.pages.faq_view import age, is_web_address
from online.settings import ServiceSettings
from rag.collection_settings import CollectionSettings
from rag.errors import ConfigurationError
from rag.identity import query_key
from tests.fake_llm import FakeLlm
from tests.online.conftest import LIBRARY, MUSEUM, Corpus, Library, Serve, recorded
from tests.waiting import until
from warehouse.editorial.withdrawal import withdraw

BOTH = {"library": CollectionSettings(documents=[]), "museum": CollectionSettings(documents=[])}
TEXTS = json.loads((Path(__file__).parent / "answer_texts.json").read_text())
OPENING = "When does the library open?"
MANY = Corpus(LIBRARY.documents, {f"What is on shelf {n}?": (f"Book {n} [1].", "loans") for n in range(45)})


def seen(response: httpx.Response) -> BeautifulSoup:
    """Return a page, having checked what every page has."""
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    page = BeautifulSoup(response.text, "html.parser")
    for script in page.find_all("script"):
        assert script.get("src") or script["type"] == "application/ld+json"
    assert not page.find_all(style=True)
    assert not page.find_all("style")
    assert not [name for tag in page.find_all() for name in tag.attrs if name.startswith("on")]
    for template in page.find_all("template"):
        template.decompose()
    return page


def words(tag: Any) -> str:
    return " ".join(tag.get_text().split())


def structured(page: BeautifulSoup) -> list[dict[str, Any]]:
    return json.loads(page.find("script", type="application/ld+json").string)["mainEntity"]


def permalink(question: str, collection: str = "library") -> str:
    return f"/questions/{query_key(collection, question)}"


def test_the_page_lists_the_anticipated_questions_with_their_answers(client: httpx.Client) -> None:
    page = seen(client.get("/"))
    listed = {words(each.summary): words(each.select_one(".text")) for each in page.select(".questions li")}
    assert listed == {question: answer for question, (answer, _) in LIBRARY.answers.items()}
    assert {each["name"]: each["acceptedAnswer"]["text"] for each in structured(page)} == listed


def test_a_question_has_its_own_page_with_answer_sources_model_and_age(client: httpx.Client) -> None:
    page = seen(client.get(permalink(OPENING)))
    assert words(page.select_one(".answer h1")) == OPENING
    assert words(page.select_one(".answer .text")) == "The library opens at nine in the morning [1]."
    assert "Prepared" in words(page.select_one(".facts"))
    assert "hour ago" in words(page.select_one(".facts"))
    source = page.select_one(".sources li")
    assert words(source.select_one(".name")) == "Hours"
    assert words(source.blockquote) == LIBRARY.documents["hours"]
    assert page.select_one("a.reference")["href"] == f"#{source.blockquote['id']}"
    assert [each["name"] for each in structured(page)] == [OPENING]


def test_similar_questions_lead_on(client: httpx.Client) -> None:
    page = seen(client.get(permalink("How long may I borrow a book?")))
    related = [each["href"] for each in page.select(".related li a")]
    assert permalink("How do I renew a loan?") in related
    assert permalink("How long may I borrow a book?") not in related


def test_every_page_of_the_list_is_reached_by_links_and_no_question_comes_twice(library: Library, serve: Serve) -> None:
    library.publish(library=MANY)
    client = serve()
    address: str | None = "/"
    found: list[str] = []
    while address is not None:
        page = seen(client.get(address))
        found += [words(each) for each in page.select(".questions summary")]
        link = page.select_one("a[rel=next]")
        address = link["href"] if link else None
    assert sorted(found) == sorted(MANY.answers)


@pytest.mark.parametrize("number", ["0", "-1", "two", "9" * 5000, "0000000001" + "9" * 5000, "²"])
def test_an_invalid_page_number_is_refused_on_a_page(client: httpx.Client, number: str) -> None:
    response = client.get("/", params={"page": number})
    assert response.status_code == 422
    assert "no such page" in words(seen(response))


def test_a_page_behind_the_last_is_not_found(client: httpx.Client) -> None:
    assert client.get("/?page=2").status_code == 404


def test_a_search_shows_the_nearest_first(client: httpx.Client) -> None:
    page = seen(client.get("/", params={"q": "lost card"}))
    assert words(page.select(".questions summary")[0]) == "What does a lost card cost?"
    assert page.select_one("input[name=q]")["value"] == "lost card"


def test_a_search_that_finds_nothing_says_so(client: httpx.Client) -> None:
    page = seen(client.get("/", params={"q": "<b>zebra</b>"}))
    assert "Nothing is prepared that is near to “<b>zebra</b>”" in words(page)
    assert not page.select(".questions")


def test_asking_an_anticipated_question_leads_to_its_page(client: httpx.Client) -> None:
    for response in (
        client.post("/", data={"question": "when does the LIBRARY open"}),
        client.get("/", params={"question": "when does the LIBRARY open"}),
    ):
        assert response.status_code == 303
        assert response.headers["location"] == permalink(OPENING)


def test_asking_another_question_is_answered_live(client: httpx.Client, llm: FakeLlm) -> None:
    page = seen(client.post("/", data={"question": "Where can people park?"}))
    assert words(page.select_one(".answer .text")) == "The library opens at nine [1]. It closes at five [1]."
    assert "Written live fake-model just now" in words(page.select_one(".facts"))
    assert words(page.select_one(".caution"))
    assert page.select_one(".caution").get("hidden") is None
    assert page.find("script", type="application/ld+json") is None  # nobody else is told what was not audited
    assert len(llm.requests) == 1


def test_following_links_never_calls_the_language_model(client: httpx.Client, llm: FakeLlm) -> None:
    page = seen(client.get("/", params={"question": "Where can people park?"}))
    assert page.select_one("textarea").string == "Where can people park?"
    assert not llm.requests


def test_a_question_in_other_words_says_which_one_was_answered(client: httpx.Client, llm: FakeLlm) -> None:
    page = seen(client.post("/", data={"question": "Please, when does the library open?"}))
    assert words(page.select_one(".answer h1")) == "Please, when does the library open?"
    assert words(page.select_one(".matched a")) == OPENING
    assert page.select_one(".matched a")["href"] == permalink(OPENING)
    assert page.select_one(".matched").get("hidden") is None
    assert not llm.requests


def test_when_the_model_is_down_anticipated_questions_are_suggested(client: httpx.Client, llm: FakeLlm) -> None:
    llm.behaviour.fail_with = 500
    response = client.post("/", data={"question": "When does the library close for lunch?"})
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    page = seen(response)
    assert permalink(OPENING) in [each["href"] for each in page.select(".problem li a")]
    assert page.select_one("textarea").string == "When does the library close for lunch?"
    assert client.get(permalink(OPENING)).status_code == 200


@pytest.mark.parametrize("question", ["", "  ", "?!", "x" * 2001])
def test_an_invalid_question_is_refused_on_a_page(client: httpx.Client, question: str) -> None:
    response = client.post("/", data={"question": question})
    assert response.status_code == 422
    assert seen(response).select_one(".problem")


def test_another_site_cannot_ask_in_a_visitors_name(client: httpx.Client, llm: FakeLlm) -> None:
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert client.post("/", data={"question": "Where can people park?"}, headers=headers).status_code == 403
    assert not llm.requests


@pytest.mark.parametrize("key", ["0" * 32, "nothing", "%00", "a" * 3000])
def test_a_question_that_is_not_there_is_not_found(client: httpx.Client, key: str) -> None:
    response = client.get(f"/questions/{key}")
    assert response.status_code == 404
    assert "no such question" in words(seen(response))


def test_before_anything_is_published_the_page_says_so(serve: Serve) -> None:
    response = serve().get("/")
    assert response.status_code == 503
    assert "Nothing has been published yet" in words(seen(response))


def test_opening_an_answer_is_recorded_so_that_feedback_finds_it(client: httpx.Client, library: Library) -> None:
    identity = client.get(permalink(OPENING)).headers["x-request-id"]
    client.get("/")
    client.head(permalink(OPENING))
    client.post("/v1/feedback", json={"request_id": identity, "helpful": True, "collection": "library"})
    records = recorded(library.data, 2)
    assert [each["kind"] for each in records] == ["request", "feedback"]
    assert {each["request_id"] for each in records} == {identity}
    assert records[0]["route"] == "page"
    assert records[0]["question"] == OPENING


def test_a_withdrawn_answer_is_neither_listed_nor_opened(client: httpx.Client, library: Library) -> None:
    withdraw(library.data, "library", "hours", "wrong")
    until("the withdrawal is followed", lambda: client.get(permalink(OPENING)).status_code == 404)
    assert OPENING not in client.get("/").text


def test_one_collection_at_a_time_and_a_choice_between_them(library: Library, serve: Serve) -> None:
    library.publish(library=LIBRARY, museum=MUSEUM)
    client = serve(BOTH)
    page = seen(client.get("/", params={"collection": "museum"}))
    assert [words(each) for each in page.select(".questions summary")] == list(MUSEUM.answers)
    assert [words(each) for each in page.select(".collections a")] == ["library", "museum"]
    assert words(page.select_one(".collections [aria-current]")) == "museum"
    assert page.select_one("#ask input[name=collection]")["value"] == "museum"
    answer = client.post("/", data={"question": "When does the museum open?", "collection": "museum"})
    assert answer.headers["location"] == permalink("When does the museum open?", "museum")
    assert client.get("/", params={"collection": "unheard-of"}).status_code == 403


def test_one_collection_needs_no_choice(client: httpx.Client) -> None:
    assert not seen(client.get("/")).select(".collections")


# With keys


def test_with_keys_the_page_is_closed_to_visitors_without_one(
    library: Library, serve: Serve, keys: dict[str, dict[str, object]]
) -> None:
    library.publish(library=LIBRARY, museum=MUSEUM)
    client = serve(BOTH, keys=keys)
    for response in (client.get("/"), client.get(permalink(OPENING)), client.post("/", data={"question": OPENING})):
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert "library opens" not in response.text
        assert not seen(response).select("form")
    page = seen(client.get("/", headers={"Authorization": "Bearer reader"}))
    assert len(page.select(".questions li")) == len(LIBRARY.answers)


def test_a_public_page_shows_its_collections_and_no_other(
    library: Library, serve: Serve, keys: dict[str, dict[str, object]], llm: FakeLlm
) -> None:
    library.publish(library=LIBRARY, museum=MUSEUM)
    client = serve(BOTH, keys=keys, public_page=["museum"])
    page = seen(client.get("/"))
    assert [words(each) for each in page.select(".questions summary")] == list(MUSEUM.answers)
    assert client.get(permalink(OPENING)).status_code == 404
    assert client.get("/?collection=library").status_code == 403
    body = {"question": "When does the museum open?"}
    assert client.post("/v1/answers", json=body).json()["source"] == "exact"
    assert client.post("/v1/answers", json=body | {"collection": "library"}).status_code == 403
    assert client.post("/v1/feedback", json={"request_id": "r", "helpful": True}).status_code == 200
    for method, path in [("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("GET", "/metrics")]:
        assert client.request(method, path, json={}).status_code == 401
    assert client.get("/", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert not llm.requests


def test_a_public_collection_that_does_not_exist_is_refused_at_the_start(serve: Serve) -> None:
    with pytest.raises(ConfigurationError, match="'libary'"):
        serve(public_page=["libary"])


def test_a_visitor_without_the_scope_is_not_asked_for_feedback(
    library: Library, serve: Serve, keys: dict[str, dict[str, object]]
) -> None:
    library.publish(library=LIBRARY)
    client = serve(keys=keys)
    for key, shown in (("asker", 0), ("reader", 1)):
        page = seen(client.get(permalink(OPENING), headers={"Authorization": f"Bearer {key}"}))
        assert len(page.select(".feedback")) == shown


# Text that is not trusted


@pytest.fixture(scope="module")
def texts() -> Corpus:
    answers = {f"What about {case['name']}?": (case["text"], "hours") for case in TEXTS}
    return Corpus({"hours": "</blockquote><script>alert(1)</script>"}, answers)


def test_answers_become_html_by_these_rules_and_no_other(library: Library, serve: Serve, texts: Corpus) -> None:
    library.publish(library=texts)
    client = serve()
    for case in TEXTS:
        page = seen(client.get(permalink(f"What about {case['name']}?")))
        shown = page.select_one(".answer .text").decode_contents(formatter="minimal")
        assert shown == BeautifulSoup(case["html"], "html.parser").decode_contents(formatter="minimal"), case["name"]
        assert words(page.select_one(".sources blockquote")) == "</blockquote><script>alert(1)</script>"
        assert structured(page)[0]["acceptedAnswer"]["text"] == case["text"]


def test_static_files_are_kept_for_good_under_the_name_of_their_content(client: httpx.Client) -> None:
    page = seen(client.get("/"))
    addresses = [page.select_one("link[rel=stylesheet]")["href"], *(each["src"] for each in page.select("script[src]"))]
    for address in addresses:
        response = client.get(address)
        assert "immutable" in response.headers["cache-control"]
        assert client.get(address.partition("?")[0]).headers["cache-control"] == "no-cache"
    for path in ("/static/", "/static/../faq.py", "/static/%2e%2e/faq.py", "/static/layout.html"):
        assert client.get(path).status_code == 404


def test_no_template_or_script_loads_anything_from_elsewhere() -> None:
    files = [
        path for path in (*Path("online/templates").rglob("*"), *Path("online/static").iterdir()) if path.is_file()
    ]
    assert len(files) > 10
    for path in files:
        addresses = set(re.findall(r"https?://[^\s\"'<>)]+", path.read_text()))
        assert addresses <= {"http://www.w3.org/2000/svg"}, path


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "just now"), (59, "just now"), (60, "1 minute ago"), (7199, "1 hour ago"), (7200, "2 hours ago"),
     (86_400, "1 day ago"), (500 * 86_400, "500 days ago")],
)  # fmt: skip
def test_an_age_is_told_in_words(seconds: int, words: str) -> None:
    assert age(seconds) == words


@pytest.mark.parametrize(
    "uri", ["javascript:alert(1)", "data:text/html,x", "file:hours.md", "//example.org", "https:x"]
)
def test_only_web_addresses_of_documents_become_links(uri: str) -> None:
    assert not is_web_address(uri)
    assert is_web_address("https://example.org/hours")


def test_the_page_of_a_new_project_is_closed_where_keys_are_configured() -> None:
    assert ServiceSettings.model_validate({}).public_page == []


def test_a_page_can_be_asked_for_its_headers_alone(client: httpx.Client) -> None:
    for path in ("/", "/static/faq.css", permalink("When does the library open?")):
        response = client.head(path)
        assert response.status_code == 200
        assert response.content == b""


def test_a_page_has_the_language_and_direction_of_its_collection(library: Library, serve: Serve) -> None:
    languages = {"library": {"language": "en"}, "museum": {"language": "he"}}
    library.publish(facts={"collections": languages}, library=LIBRARY, museum=MUSEUM)
    client = serve(BOTH)

    for collection, language, direction in (("library", "en", "ltr"), ("museum", "he", "rtl")):
        page = seen(client.get("/", params={"collection": collection}))
        assert (page.html["lang"], page.html["dir"]) == (language, direction)
        own_words = page.select_one("label[for=question]")
        assert words(own_words) == "Ask a question"
        assert (own_words.bdi is None) is (language == "en"), "English words say so in a page of another language"


def test_a_question_shows_its_answer_as_markdown(library: Library, serve: Serve) -> None:
    answer = "Bring:\n\n- a **card**\n\n| Fee | Euros |\n|--|--|\n| lost | 10 |\n\n[The desk](https://desk.example)"
    library.publish(library=Corpus(LIBRARY.documents, {OPENING: (answer, "hours")}))
    client = serve()

    for address in (permalink(OPENING), "/"):
        text = seen(client.get(address)).select_one(".text")
        assert [words(each) for each in text.select("li, td")] == ["a card", "lost", "10"]
        assert text.a["href"] == "https://desk.example"
