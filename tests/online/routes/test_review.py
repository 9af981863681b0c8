"""The review page as a browser without JavaScript sees it: who may come in, what waits, and what decisions do."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from bs4 import BeautifulSoup, Tag

from online.http.authentication import hash_key
from online.http.session import Sessions
from online.pages.review_view import snippet, when
from rag.collection_settings import CollectionSettings
from rag.identity import query_key
from tests.online.conftest import LIBRARY, MUSEUM, Corpus, Library, Serve
from tests.online.routes.test_faq import seen, words
from tests.waiting import PATIENCE, until
from warehouse.analysis.diff import Difference
from warehouse.editorial.blind_pairs import pairs, sample_pairs
from warehouse.editorial.decisions import Decision, Decisions, append_decisions
from warehouse.editorial.listing import Listings
from warehouse.editorial.wordings import Ruling, append_rulings, standing_rulings

BOTH = {"library": CollectionSettings(documents=[]), "museum": CollectionSettings(documents=[])}
CARD, OPENING, RENEWAL = "What does a lost card cost?", "When does the library open?", "How do I renew a loan?"
HELD_BACK = Corpus(LIBRARY.documents, LIBRARY.answers, withheld=frozenset({CARD}))
MUSEUM_HELD_BACK = Corpus(MUSEUM.documents, MUSEUM.answers, withheld=frozenset(MUSEUM.answers))
KEYS = {
    "ada": {"hash": hash_key("ada"), "scopes": ["review"], "collections": ["library"]},
    "grace": {"hash": hash_key("grace"), "scopes": ["review"]},
    "boss": {"hash": hash_key("boss"), "scopes": ["admin"]},
    "asker": {"hash": hash_key("asker"), "scopes": ["ask", "feedback"]},
}
QUESTION = f"/review/questions/{query_key('library', CARD)}"

Reviewer = Callable[[str], httpx.Client]


@pytest.fixture(scope="session")
def release_to_review(tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path) -> Path:
    data = tmp_path_factory.mktemp("to-review")
    Library(data, encoder_folder).publish(library=HELD_BACK, museum=MUSEUM_HELD_BACK)
    return data


@pytest.fixture
def service(library: Library, release_to_review: Path, serve: Serve) -> httpx.Client:
    shutil.copytree(release_to_review, library.data)
    return serve(BOTH, keys=KEYS)


@pytest.fixture
def signed_in(service: httpx.Client) -> Iterator[Reviewer]:
    """Open browsers for keys, each of which is its own name."""
    opened: list[httpx.Client] = []

    def browser(key: str) -> httpx.Client:
        client = httpx.Client(base_url=service.base_url, timeout=PATIENCE)
        opened.append(client)
        assert sign_in(client, key).headers["location"] == "/review"
        return client

    yield browser
    for client in opened:
        client.close()


def sign_in(client: httpx.Client, key: str, **more: str) -> httpx.Response:
    page = client.get("/review/sign-in")
    return client.post("/review/sign-in", data=fields(shown(page).main.form) | {"key": key} | more)


def shown(response: httpx.Response) -> BeautifulSoup:
    assert response.headers["cache-control"] == "no-store"
    return seen(response)


def fields(form: Tag) -> dict[str, str]:
    """Return what a browser sends of a form that nobody has touched."""
    found = {each["name"]: each.get("value", "") for each in form.select("input[name]:not([type=checkbox])")}
    texts = {each["name"]: each.get_text().removeprefix("\n") for each in form.select("textarea")}
    return found | texts


def form_of(response: httpx.Response, action: str) -> dict[str, str]:
    button = shown(response).select_one(f'button[name=action][value="{action}"]')
    assert button is not None, action
    return fields(button.find_parent("form")) | {"action": action}


def decide(client: httpx.Client, action: str, path: str = QUESTION, **more: str) -> httpx.Response:
    return client.post(path, data=form_of(client.get(path), action) | more)


def recorded(library: Library, question: str = CARD, collection: str = "library") -> list[tuple[Any, ...]]:
    key = query_key(collection, question)
    made = [each for each in Decisions(library.data).all() if each.query_key == key]
    return [(each.decision, each.reviewer, each.answer, each.allow_live) for each in made]


def listed(client: httpx.Client, address: str = "/review") -> list[str]:
    return [words(each) for each in shown(client.get(address)).select("a.item")]


def answer(client: httpx.Client, question: str = CARD) -> dict[str, Any]:
    body = {"question": question, "collection": "library"}
    return client.post("/v1/answers", json=body, headers={"Authorization": "Bearer boss"}).json()


# Who comes in


@pytest.mark.parametrize("path", ["/review", "/review/decided", "/review/search?q=a+b", QUESTION])
def test_whoever_is_not_signed_in_is_asked_for_a_key_and_led_back(service: httpx.Client, path: str) -> None:
    asked = service.get(path)
    assert asked.status_code == 303
    assert asked.headers["location"].startswith("/review/sign-in")

    form = fields(shown(service.get(asked.headers["location"])).main.form)
    opened = service.post("/review/sign-in", data=form | {"key": "boss"})

    assert opened.status_code == 303
    assert opened.headers["location"] == path
    assert service.get(path).status_code == 200


def test_the_cookie_is_for_this_page_alone_and_no_script_reads_it(service: httpx.Client) -> None:
    cookie = sign_in(service, "ada").headers.get_list("set-cookie")[0]

    assert cookie.startswith("beforehand-review=")
    assert {"HttpOnly", "SameSite=strict", "Path=/review"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert "ada" not in cookie


@pytest.mark.parametrize("header", [{"x-forwarded-proto": "https"}, {"origin": "https://{host}"}])
def test_behind_tls_the_cookie_is_sent_over_tls_only(service: httpx.Client, header: dict[str, str]) -> None:
    said = {name: value.format(host=service.base_url.netloc.decode()) for name, value in header.items()}
    form = fields(shown(service.get("/review/sign-in")).main.form)

    response = service.post("/review/sign-in", data=form | {"key": "ada"}, headers=said)

    assert "Secure" in response.headers.get_list("set-cookie")[0].split("; ")


@pytest.mark.parametrize(
    ("key", "status", "said"),
    [
        ("wrong", 401, "There is no such key."),
        ("", 401, "There is no such key."),
        ("asker", 403, "lacks the scope “review”"),
    ],
)
def test_a_key_that_is_wrong_or_lacks_the_scope_opens_nothing(
    service: httpx.Client, key: str, status: int, said: str
) -> None:
    response = sign_in(service, key)

    assert response.status_code == status
    assert said in words(shown(response))
    assert service.get("/review").status_code == 303


def test_a_service_without_keys_has_no_reviewers(library: Library, published: Path, serve: Serve) -> None:
    shutil.copytree(published, library.data)
    client = serve()

    page = client.get(client.get("/review").headers["location"])

    assert "beforehand key NAME --scope review" in words(shown(page))
    assert shown(page).find("form") is None


def test_a_session_ends_after_twelve_hours(library: Library, service: httpx.Client) -> None:
    key = hash_key("ada").removeprefix("sha256:")
    _, fresh = Sessions(library.data / "review-secret").begin(key, 60)
    _, over = Sessions(library.data / "review-secret").begin(key, -1)

    assert service.get("/review", headers={"cookie": f"beforehand-review={fresh}"}).status_code == 200
    assert service.get("/review", headers={"cookie": f"beforehand-review={over}"}).status_code == 303


def test_a_session_ends_with_its_key_and_holds_in_every_process(
    library: Library, release_to_review: Path, serve: Serve
) -> None:
    shutil.copytree(release_to_review, library.data)
    with serve.stopping(BOTH, keys=KEYS) as client:
        sign_in(client, "ada")
        cookie = {"cookie": f"beforehand-review={client.cookies['beforehand-review']}"}

    with serve.stopping(BOTH, keys=KEYS) as another:
        assert another.get("/review", headers=cookie).status_code == 200
    others = {name: key for name, key in KEYS.items() if name != "ada"}
    with serve.stopping(BOTH, keys=others) as without:
        assert without.get("/review", headers=cookie).status_code == 303


def test_signing_out_ends_the_session_of_the_browser(signed_in: Reviewer) -> None:
    ada = signed_in("ada")
    form = fields(shown(ada.get("/review")).select_one(".who"))

    ada.post("/review/sign-out", data=form)

    assert ada.get("/review").status_code == 303


@pytest.mark.parametrize("to", ["https://evil.example", "//evil.example/review", "/review/../v1", "/review\\@evil"])
def test_a_sign_in_leads_to_no_other_page(service: httpx.Client, to: str) -> None:
    assert sign_in(service, "ada", next=to).headers["location"] == "/review"


def test_a_link_from_elsewhere_lets_a_session_go_on(service: httpx.Client) -> None:
    page = service.get("/review/sign-in", headers={"sec-fetch-site": "cross-site"})

    assert shown(page).select_one("main p a")["href"] == "/review"


# Forms of other pages


@pytest.mark.parametrize("token", [None, "", "0" * 64, "another's"])
def test_a_form_without_the_token_of_its_session_decides_nothing(
    library: Library, signed_in: Reviewer, token: str | None
) -> None:
    ada = signed_in("ada")
    form = form_of(ada.get(QUESTION), "approve")
    if token is None:
        del form["token"]
    else:
        form["token"] = form_of(signed_in("grace").get(QUESTION), "approve")["token"] if token == "another's" else token

    response = ada.post(QUESTION, data=form)

    assert response.status_code == 403
    assert "open the page again" in words(shown(response))
    assert recorded(library) == []


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_a_form_on_a_page_of_another_origin_decides_nothing(library: Library, signed_in: Reviewer, site: str) -> None:
    ada = signed_in("ada")

    response = ada.post(QUESTION, data=form_of(ada.get(QUESTION), "approve"), headers={"sec-fetch-site": site})

    assert response.status_code == 403
    assert recorded(library) == []


def test_the_sign_in_form_needs_its_token_too(service: httpx.Client) -> None:
    service.get("/review/sign-in")

    assert service.post("/review/sign-in", data={"key": "ada", "token": "0" * 64}).status_code == 403
    assert service.get("/review").status_code == 303


@pytest.mark.parametrize(
    "change", [{"action": "delete"}, {"action": ""}, {"seen": "many"}, {"seen": "9" * 5000}, {"seen": ""}]
)
def test_a_form_that_says_nothing_readable_is_refused(
    library: Library, signed_in: Reviewer, change: dict[str, str]
) -> None:
    ada = signed_in("ada")

    assert ada.post(QUESTION, data=form_of(ada.get(QUESTION), "approve") | change).status_code == 400
    assert recorded(library) == []


# What waits


def test_the_queue_counts_what_waits_by_collection_and_reason(signed_in: Reviewer) -> None:
    grace = signed_in("grace")
    page = shown(grace.get("/review"))

    assert words(page.h1) == "2 questions wait for a person"
    assert [words(each) for each in page.select(".choices a")] == [
        "All 2",
        "library 1",
        "museum 1",
        "All 2",
        "Withheld 2",
    ]
    assert listed(grace) == [CARD, "When does the museum open?"]
    assert listed(grace, "/review?collection=museum") == ["When does the museum open?"]
    assert listed(grace, "/review?reason=doubtful") == []


def test_a_reviewer_sees_the_collections_of_the_key_alone(signed_in: Reviewer) -> None:
    ada = signed_in("ada")
    other = f"/review/questions/{query_key('museum', 'When does the museum open?')}"

    assert listed(ada) == [CARD]
    assert ada.get(other).status_code == 404
    assert "museum" not in ada.get("/review/search?q=open").text


def test_a_long_queue_has_pages(library: Library, serve: Serve) -> None:
    many = {f"What is on shelf {n}?": (f"Book {n} [1].", "loans") for n in range(45)}
    library.publish(library=Corpus(LIBRARY.documents, many, withheld=frozenset(many)))
    client = serve(keys=KEYS)
    sign_in(client, "boss")

    found: list[str] = []
    address: str | None = "/review?reason=withheld"
    while address is not None:
        page = shown(client.get(address))
        found += [words(each) for each in page.select("a.item")]
        link = page.select_one("a[rel=next]")
        address = f"/review{link['href']}" if link else None

    assert sorted(found) == sorted(many)


def test_an_answer_stands_beside_its_passages(signed_in: Reviewer) -> None:
    page = shown(signed_in("ada").get(QUESTION))

    assert words(page.h1) == CARD
    assert "A lost card costs ten euros [1]." in words(page.select_one(".answer"))
    assert words(page.select_one(".passages blockquote")) == LIBRARY.documents["fees"]
    assert page.select_one("a.reference")["href"] == f"#{page.select_one('.passages li')['id']}"
    assert "Withheld: refusal" in words(page.select_one(".reasons"))


def test_before_the_first_release_the_page_says_so(serve: Serve) -> None:
    client = serve(keys=KEYS)
    sign_in(client, "boss")

    response = client.get("/review")

    assert response.status_code == 503
    assert "Nothing has been published yet" in words(shown(response))


def test_any_question_is_found_and_reviewed(library: Library, signed_in: Reviewer) -> None:
    ada = signed_in("ada")

    (link,) = shown(ada.get("/review/search", params={"q": "RENEW a"})).select("a.item")
    response = decide(ada, "reject", link["href"])

    assert response.status_code == 303
    assert recorded(library, RENEWAL) == [("reject", "ada", None, False)]


def test_a_search_that_finds_nothing_says_so(signed_in: Reviewer) -> None:
    page = shown(signed_in("ada").get("/review/search", params={"q": "<b>%"}))

    assert "contains “<b>%”" in words(page)


# Decisions


def test_an_approved_answer_is_served_at_once(library: Library, service: httpx.Client, signed_in: Reviewer) -> None:
    response = decide(signed_in("ada"), "approve", note="Checked with the desk.")

    assert response.headers["location"] == f"/review?done={query_key('library', CARD)}"
    assert recorded(library) == [("approve", "ada", None, False)]
    until("it is answered", lambda: answer(service), lambda body: body["source"] == "exact")


def test_an_edited_answer_is_served_as_the_reviewer_wrote_it(
    library: Library, service: httpx.Client, signed_in: Reviewer
) -> None:
    decide(signed_in("ada"), "edit", text="Ten euros [1].\r\n\r\nAsk at the **desk**.")

    assert recorded(library) == [("edit", "ada", "Ten euros [1].\n\nAsk at the **desk**.", False)]
    until("the edit is served", lambda: answer(service).get("answer") == "Ten euros [1].\n\nAsk at the **desk**.")


def test_a_rejection_says_whether_the_question_may_be_answered_live(library: Library, signed_in: Reviewer) -> None:
    ada = signed_in("ada")

    decide(ada, "reject")
    decide(ada, "reject", allow_live="on")

    assert recorded(library) == [("reject", "ada", None, False), ("reject", "ada", None, True)]
    assert "Rejected; may be answered live" in words(shown(ada.get(QUESTION)))


def test_a_preview_shows_the_text_as_visitors_will_see_it_and_saves_nothing(
    library: Library, signed_in: Reviewer
) -> None:
    typed = "**Ten** euros [1], or `more` <b>[7]</b>.\n- card\n- photo"

    response = decide(signed_in("ada"), "preview", text=typed, note="So far")
    preview = shown(response).select_one("#preview")

    assert [words(each) for each in preview.select("li")] == ["card", "photo"]
    assert words(preview.strong) == "Ten"
    assert words(preview.code) == "more"
    assert preview.b is None
    assert preview.select_one("a.reference")["href"] == "#passage-1"
    assert "[7] leads to no passage" in words(preview)
    assert form_of(response, "edit")["text"] == typed
    assert form_of(response, "edit")["note"] == "So far"
    assert recorded(library) == []


@pytest.mark.parametrize(
    ("action", "change", "said"),
    [
        ("edit", {"text": "Ten euros [1, 7]."}, "[7] leads to no passage of the answer"),
        ("edit", {"text": "  "}, "An edit needs the text that visitors get: write it, or reject the answer."),
        ("approve", {"text": "Eleven euros [1]."}, "You have changed the text"),
        ("reject", {"text": "Eleven euros [1]."}, "You have changed the text"),
        ("approve", {"allow_live": "on"}, "belongs to a rejection"),
        ("list", {}, "No visitor asked this question"),
        ("confirm", {}, "Nothing was decided"),
    ],
)
def test_what_can_not_hold_is_told_and_the_text_is_kept(
    library: Library, signed_in: Reviewer, action: str, change: dict[str, str], said: str
) -> None:
    ada = signed_in("ada")

    response = ada.post(QUESTION, data=form_of(ada.get(QUESTION), "approve") | {"action": action} | change)

    assert response.status_code == 422
    assert said in words(shown(response).select_one(".problem"))
    assert form_of(response, "edit")["text"].strip() == change.get("text", "A lost card costs ten euros [1].").strip()
    assert recorded(library) == []


def test_a_decision_is_undone_where_it_was_made(library: Library, signed_in: Reviewer) -> None:
    ada = signed_in("ada")
    after = ada.get(decide(ada, "approve").headers["location"])
    notice = shown(after).select_one(".done")
    assert words(notice).startswith(f"Approved: {CARD}")

    ada.post("/review/decided", data=fields(notice.form))

    assert [each[0] for each in recorded(library)] == ["approve", "reconsider"]
    assert listed(ada) == [CARD]


def test_a_decision_is_taken_back_on_its_page(library: Library, signed_in: Reviewer) -> None:
    decide(signed_in("ada"), "reject")

    decide(signed_in("grace"), "undo")

    assert [each[:2] for each in recorded(library)] == [("reject", "ada"), ("reconsider", "grace")]


def test_the_record_shows_who_decided_what_and_when(signed_in: Reviewer) -> None:
    decide(signed_in("ada"), "reject", note="The price is about to change.")
    grace = signed_in("grace")

    for path in ("/review/decided", QUESTION):
        page = words(shown(grace.get(path)))
        assert "Rejected by ada" in page
        assert "UTC" in page
        assert "The price is about to change." in page


def test_the_next_question_follows_a_decision(signed_in: Reviewer) -> None:
    grace = signed_in("grace")
    following = query_key("museum", "When does the museum open?")

    response = decide(grace, "approve")

    assert response.headers["location"] == f"/review/questions/{following}?done={query_key('library', CARD)}"


# What was decided before, and by others


def test_whoever_looked_before_another_decided_sees_both_and_decides_nothing(
    library: Library, signed_in: Reviewer
) -> None:
    ada, grace = signed_in("ada"), signed_in("grace")
    form = form_of(grace.get(QUESTION), "approve")
    decide(ada, "edit", text="Twelve euros [1].")

    response = grace.post(QUESTION, data=form | {"action": "edit", "text": "Eleven euros [1]."})

    page = shown(response)
    assert response.status_code == 409
    assert "edited by ada" in words(page.select_one(".problem"))
    assert "Twelve euros" in words(page.select_one(".answer"))
    assert "Eleven euros" in words(page.select_one("#preview"))
    assert recorded(library) == [("edit", "ada", "Twelve euros [1].", False)]

    again = grace.post(QUESTION, data=form_of(response, "edit"))

    assert again.status_code == 303
    assert recorded(library)[-1] == ("edit", "grace", "Eleven euros [1].", False)


@pytest.mark.parametrize("place", ["page", "list"])
def test_an_undo_of_a_decision_that_is_not_the_last_any_more_is_refused(
    library: Library, signed_in: Reviewer, place: str
) -> None:
    ada, grace = signed_in("ada"), signed_in("grace")
    decide(ada, "reject")
    path = QUESTION if place == "page" else "/review/decided"
    page = grace.get(path)
    form = form_of(page, "undo") if place == "page" else fields(shown(page).select_one(".items form"))
    decide(ada, "approve")

    response = grace.post(path, data=form)

    assert response.status_code == 409
    assert "approved by ada" in words(shown(response).select_one(".problem"))
    assert [each[0] for each in recorded(library)] == ["reject", "approve"]


def test_a_decision_about_an_answer_of_an_older_release_is_refused(library: Library, signed_in: Reviewer) -> None:
    ada = signed_in("ada")
    form = form_of(ada.get(QUESTION), "approve")
    library.publish(" New.", library=HELD_BACK)

    response = ada.post(QUESTION, data=form)

    assert response.status_code == 409
    assert "A new release has another answer" in words(shown(response).select_one(".problem"))
    assert recorded(library) == []


@pytest.mark.parametrize(
    ("decision", "text", "button", "reason"),
    [
        ("reject", None, "Confirm the rejection", "Rejected before"),
        ("edit", "Only ten euros [1].", "Confirm the edited text", "Edited before"),
        ("approve", None, "Confirm the approval", "Approval lapsed"),
    ],
)
def test_what_was_decided_before_a_change_is_confirmed(
    library: Library, signed_in: Reviewer, decision: str, text: str | None, button: str, reason: str
) -> None:
    ada = signed_in("ada")
    decide(ada, decision, **({} if text is None else {"text": text}))
    library.publish(" New.", library=HELD_BACK, museum=MUSEUM_HELD_BACK)
    page = shown(ada.get(QUESTION))
    assert reason in words(page.select_one(".reasons"))
    assert "A lost card costs ten euros [1]." in words(page.select_one(".former"))
    assert words(page.select_one("button[value=confirm]")) == button

    decide(ada, "confirm")

    assert recorded(library) == [(decision, "ada", text, False)] * 2
    assert listed(ada) == []


def test_reviewers_who_disagree_are_shown(signed_in: Reviewer) -> None:
    ada = signed_in("ada")
    decide(ada, "approve")
    decide(signed_in("grace"), "reject")

    page = shown(ada.get(QUESTION))

    assert listed(ada, "/review?reason=conflict") == [CARD]
    assert "Reviewers disagree: rejected by grace" in words(page.select_one(".reasons"))


def test_a_decision_of_the_command_line_counts_like_one_of_the_page(library: Library, signed_in: Reviewer) -> None:
    ada = signed_in("ada")
    form = form_of(ada.get(QUESTION), "approve")
    key = query_key("library", CARD)
    append_decisions(library.data, [Decision("library", key, form["fingerprint"], "reject", "import")])

    assert ada.post(QUESTION, data=form).status_code == 409


# Questions of visitors


@pytest.fixture
def asked_by_visitors(library: Library) -> str:
    """Let a question of the release come from the journal, and return its address."""
    library.publish(library=replace(LIBRARY, visitors=frozenset({OPENING})))
    return f"/review/questions/{query_key('library', OPENING)}"


def test_a_visitors_question_is_listed_or_not_by_a_person(
    library: Library, serve: Serve, asked_by_visitors: str
) -> None:
    client, key = serve(keys=KEYS), query_key("library", OPENING)
    sign_in(client, "boss")
    assert listed(client, "/review?reason=asked+by+visitors") == [OPENING]

    decide(client, "unlist", asked_by_visitors)
    assert key in Listings(library.data).decided() - Listings(library.data).approved()
    assert listed(client) == []

    decide(client, "list", asked_by_visitors)
    assert key in Listings(library.data).approved()
    assert "others see it" in words(shown(client.get(asked_by_visitors)))


def test_two_who_list_the_same_question_are_told(serve: Serve, asked_by_visitors: str) -> None:
    client = serve(keys=KEYS)
    sign_in(client, "boss")
    form = form_of(client.get(asked_by_visitors), "list")
    client.post(asked_by_visitors, data=form)

    response = client.post(asked_by_visitors, data=form)

    assert response.status_code == 422
    assert "listed already" in words(shown(response).select_one(".problem"))


# Words


@pytest.mark.parametrize(
    ("moment", "shown_as"),
    [("2026-11-20T08:05:00.123456+00:00", "20 Nov 2026, 08:05 UTC"), ("", "at an unknown time")],
)
def test_a_time_is_shown_as_people_read_it(moment: str, shown_as: str) -> None:
    assert when(moment) == shown_as


def test_a_list_shows_the_beginning_of_a_long_answer() -> None:
    assert snippet("one\n\ntwo") == "one two"
    assert snippet("word " * 100).endswith("word …")
    assert len(snippet("word " * 100)) < 230


def test_a_doubtful_wording_is_accepted_or_denied_beside_its_answer(library: Library, service: httpx.Client) -> None:
    key, texts = query_key("museum", next(iter(MUSEUM.answers))), ("how late is it", "who paints here")
    append_rulings(
        library.data,
        [Ruling("museum", key, text, "doubtful", "journal", "m@1", confidence=0.6) for text in texts],
    )
    sign_in(service, "grace")
    path = f"/review/questions/{key}"
    page = shown(service.get(path))
    assert [words(each) for each in page.select("form.wording blockquote")] == list(texts)
    assert "Asked otherwise (2)" in words(shown(service.get("/review")))

    led_to = []
    for text, action in zip(texts, ("accept", "deny"), strict=True):
        answer = service.post(path, data=form_of(service.get(path), action) | {"wording": text})
        assert answer.status_code == 303
        led_to.append(answer.headers["location"].partition("?")[0])
    assert [each.startswith(path) for each in led_to] == [True, False], "the other doubt about the answer comes first"

    assert {(each.text, each.verdict, each.approved_by) for each in standing_rulings(library.data)} == {
        (texts[0], "wording", "grace"),
        (texts[1], "fence", "grace"),
    }
    assert shown(service.get(path)).select("form.wording") == []


def test_what_runs_and_people_found_is_corrected_beside_its_answer(library: Library, service: httpx.Client) -> None:
    key = query_key("museum", next(iter(MUSEUM.answers)))
    found = [
        Ruling("museum", key, "who paints here", "wording", "journal", "m@1", confidence=0.95),
        Ruling("museum", key, "may I come in", "fence", "journal", "m@1", confidence=0.02),
        Ruling("museum", key, "until when is it open", "wording", "review", "ada", person=True),
    ]
    append_rulings(library.data, found)
    sign_in(service, "grace")
    path = f"/review/questions/{key}"
    page = shown(service.get(path))
    assert [words(each) for each in page.select(".rulings summary")] == [
        "Its other wordings (2)",
        "What must not get it (1)",
    ]
    assert "typed by visitors; judged by m@1" in words(page.select_one(".rulings"))

    for each, action in zip(found, ("deny", "accept", "separate"), strict=True):
        said = {"wording": each.text, "ruled": each.verdict}
        assert service.post(path, data=form_of(service.get(path), action) | said).status_code == 303

    assert {(each.text, each.verdict, each.approved_by) for each in standing_rulings(library.data)} == {
        ("who paints here", "fence", "grace"),
        ("may I come in", "wording", "grace"),
    }
    late = {"wording": "may I come in", "ruled": "fence"}
    assert service.post(path, data=form_of(service.get(path), "accept") | late).status_code == 409


def test_a_pair_is_judged_blind_and_leaves_the_queue(library: Library, signed_in: Reviewer) -> None:
    differing = Difference(
        "answered differently", "library", CARD, query_key("library", CARD), "It costs two euros [1].",
        "Two euros, says the **library** [1].", "served", "served", ["model"], [],
    )  # fmt: skip
    elsewhere = replace(differing, collection="museum", query_key=query_key("museum", CARD))
    sample_pairs(library.data, [differing, elsewhere], 2)
    ada = signed_in("ada")

    queue, shown = ada.get("/review"), ada.get("/review/pairs")
    form = {field["name"]: field["value"] for field in seen(shown).select("main form input")}
    said = ada.post("/review/pairs", data=form | {"better": "second"})
    again = ada.post("/review/pairs", data=form | {"better": "first"})

    assert "1 pair of answers waits to be compared" in words(seen(queue))
    assert "<strong>library</strong>" in shown.text
    assert "model" not in words(seen(shown)).lower()
    assert said.headers["location"] == "/review/pairs"
    assert (again.status_code, "Somebody has judged this pair already." in again.text) == (409, True)
    (judged,) = [each for each in pairs(library.data) if each.collection == "library"]
    assert judged.better == "second"
    assert "No pairs wait" in ada.get("/review/pairs").text
