"""The review page in a real browser: deciding, previewing and undoing, with the keyboard, and on a phone."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.e2e import test_faq_browser as faq
from tests.e2e.test_faq_browser import Tab
from tests.online import conftest as service
from tests.online.conftest import LIBRARY, Library, Serve
from tests.online.routes import test_review as over_http
from tests.online.routes.test_review import BOTH, CARD, KEYS, QUESTION, recorded

pytestmark = faq.pytestmark
PHONE: dict[str, object] = {"viewport": {"width": 320, "height": 640}, "has_touch": True}
MUSEUM_QUESTION = "When does the museum open?"

encoder_folder = service.encoder_folder
library = service.library
llm = service.llm
model_server = service.model_server
serve = service.serve
release_to_review = over_http.release_to_review
browser = faq.browser
tab = faq.tab


@pytest.fixture
def client(library: Library, release_to_review: Path, serve: Serve) -> httpx.Client:
    shutil.copytree(release_to_review, library.data)
    return serve(BOTH, keys=KEYS)


def open_as(tab: Tab, client: httpx.Client, key: str, path: str = "/review", **context: object) -> Page:
    page = tab(client, path, **context)
    page.get_by_label("Your key").fill(key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    return page


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.innerText"))


def test_a_reviewer_goes_through_the_queue(client: httpx.Client, library: Library, tab: Tab) -> None:
    page = open_as(tab, client, "grace")
    page.get_by_role("link", name=CARD).click()
    expect(page.locator(".passages blockquote")).to_have_text(LIBRARY.documents["fees"])

    page.get_by_role("button", name="Approve").click()

    expect(page.locator(".done")).to_contain_text(f"Approved: {CARD}")
    expect(page.locator("h1")).to_have_text(MUSEUM_QUESTION)
    assert recorded(library) == [("approve", "grace", None, False)]

    page.get_by_role("button", name="Reject").click()

    expect(page.locator("h1")).to_have_text("Nothing waits for a person")


def test_a_text_is_previewed_saved_and_undone(client: httpx.Client, library: Library, tab: Tab) -> None:
    page = open_as(tab, client, "ada", QUESTION)
    page.get_by_text("Change the text").click()
    text = page.get_by_label("The text that visitors get")
    expect(text).to_have_value("A lost card costs ten euros [1].")
    text.fill("**Ten** euros [1, 7].\n\nAsk at the desk.")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preview strong")).to_have_text("Ten")
    expect(page.locator("#preview")).to_contain_text("[7] leads to no passage")
    page.locator("#preview a.reference").click()
    expect(page).to_have_url(re.compile("#passage-1$"))

    text.fill("**Ten** euros [1].\n\nAsk at the desk.")
    page.get_by_role("button", name="Save this text").click()

    expect(page.locator(".done")).to_contain_text("Edited")
    assert recorded(library)[-1][2] == "**Ten** euros [1].\n\nAsk at the desk."
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".items")).to_contain_text("Decision taken back")
    page.get_by_role("link", name="Waiting").click()
    expect(page.get_by_role("link", name=CARD)).to_be_visible()


def test_enter_in_a_field_decides_nothing(client: httpx.Client, library: Library, tab: Tab) -> None:
    page = open_as(tab, client, "ada", QUESTION)

    page.get_by_label("may be answered live").focus()
    page.keyboard.press("Enter")

    expect(page.locator("#preview")).to_be_visible()
    assert recorded(library) == []


def test_two_reviewers_at_once_are_both_told(client: httpx.Client, library: Library, tab: Tab) -> None:
    ada, grace = open_as(tab, client, "ada", QUESTION), open_as(tab, client, "grace", QUESTION)
    ada.get_by_role("button", name="Reject").click()
    expect(ada.locator(".done")).to_be_visible()

    grace.get_by_role("button", name="Approve").click()

    expect(grace.get_by_role("alert")).to_contain_text("rejected by ada")
    assert [each[0] for each in recorded(library)] == ["reject"]


def test_the_keyboard_is_enough(client: httpx.Client, library: Library, tab: Tab) -> None:
    page = open_as(tab, client, "grace")
    page.keyboard.press("j")
    assert focused(page) == CARD
    page.keyboard.press("j")
    assert focused(page) == MUSEUM_QUESTION
    page.keyboard.press("k")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert (focused(page), outline) == (CARD, "solid")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(CARD)
    page.keyboard.press("j")
    expect(page.locator("h1")).to_have_text(MUSEUM_QUESTION)
    page.keyboard.press("k")
    expect(page.locator("h1")).to_have_text(CARD)
    page.get_by_label("Note for your team").focus()
    page.keyboard.type("jk")
    expect(page.get_by_label("Note for your team")).to_have_value("jk")
    page.keyboard.press("Tab")
    assert focused(page) == "Approve"
    page.keyboard.press("Enter")
    expect(page.locator(".done")).to_be_visible()
    assert recorded(library) == [("approve", "grace", None, False)]


def test_it_works_without_javascript(client: httpx.Client, library: Library, tab: Tab) -> None:
    page = open_as(tab, client, "ada", QUESTION, java_script_enabled=False)

    page.get_by_label("may be answered live").check()
    page.get_by_role("button", name="Reject").click()

    expect(page.locator(".done")).to_contain_text("Rejected, may be answered live")
    assert recorded(library) == [("reject", "ada", None, True)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(client: httpx.Client, tab: Tab, scheme: str) -> None:
    page = open_as(tab, client, "grace", **PHONE, color_scheme=scheme)
    for path in ("/review", QUESTION, "/review/decided", "/review/search?q=open"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path
    page.goto(QUESTION)
    page.get_by_text("Change the text").click()
    page.get_by_label("The text that visitors get").fill("x" * 300)
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preview")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    for button in page.locator(".acts button:visible").all():
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 36


def test_a_page_of_another_site_sends_nothing_in_a_reviewers_name(
    client: httpx.Client, library: Library, tab: Tab
) -> None:
    page = open_as(tab, client, "ada", QUESTION)
    form = page.locator("form.decide").evaluate("form => new URLSearchParams(new FormData(form)).toString()")
    target = f"{client.base_url}{QUESTION}".replace("//review", "/review")
    inputs = "".join(
        f'<input name="{name}" value="{value}">'
        for name, value in (*httpx.QueryParams(form).items(), ("action", "approve"))
    )
    page.route("http://evil.example/", lambda route: route.fulfill(
        content_type="text/html", body=f'<form method="post" action="{target}">{inputs}<button>Win</button></form>'
    ))  # fmt: skip
    page.goto("http://evil.example/")

    page.get_by_role("button", name="Win").click()
    page.wait_for_url("**/review/**")

    assert recorded(library) == []
