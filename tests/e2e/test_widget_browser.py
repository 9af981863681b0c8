"""The widget in a real browser, in a strict page of another origin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from rag.collection_settings import CollectionSettings
from tests.e2e import test_faq_browser as faq
from tests.e2e.test_faq_browser import TEXTS, Tab
from tests.fake_llm import FakeLlm, served
from tests.online import conftest as service
from tests.online.conftest import LIBRARY, MUSEUM, Corpus, Library, Serve, journal, recorded

pytestmark = faq.pytestmark
OPENING = faq.OPENING
HIDDEN = "When does the museum open?"
PUBLIC = {"public_page": ["library"]}

encoder_folder = service.encoder_folder
library = service.library
llm = service.llm
model_server = service.model_server
serve = service.serve
keys = service.keys
browser = faq.browser
tab = faq.tab


@dataclass
class HelpCentre:
    """A site whose one page has the script tag; its policy allows the service and nothing else."""

    url: str = ""
    service: str = ""
    attributes: str = 'data-collection="library"'
    policy: str = "require-trusted-types-for 'script'; trusted-types beforehand"

    async def page(self, _: Request) -> HTMLResponse:
        """Return the page."""
        html = (
            "<!doctype html><html lang=en><title>Help</title><link rel=icon href=data:,><h1>Help</h1>"
            f'<script src="{self.service}/widget.js" {self.attributes} async></script><footer>End</footer></html>'
        )
        policy = (
            f"default-src 'none'; img-src data:; script-src {self.service}; connect-src {self.service}; {self.policy}"
        )
        return HTMLResponse(html, headers={"content-security-policy": policy})


@pytest.fixture
def centre() -> Iterator[HelpCentre]:
    centre = HelpCentre()
    with served(Starlette(routes=[Route("/", centre.page)])) as url:
        centre.url = url.replace("127.0.0.1", "localhost")
        yield centre


def opened(tab: Tab, client: httpx.Client, centre: HelpCentre, **context: Any) -> Page:
    centre.service = str(client.base_url).rstrip("/")
    return tab(client, centre.url, **context)


def ask(page: Page, question: str) -> None:
    page.get_by_role("textbox", name="Ask a question").fill(question)
    page.keyboard.press("Enter")


@pytest.fixture
def client(library: Library, serve: Serve, keys: dict[str, dict[str, object]], centre: HelpCentre) -> httpx.Client:
    """A service with a public collection and one that is not, which lists the help centre's origin."""
    library.publish(library=LIBRARY, museum=MUSEUM)
    both = {name: CollectionSettings(documents=[]) for name in ("library", "museum")}
    return serve(both, keys=keys, allowed_origins=[centre.url], **PUBLIC)


def test_a_page_of_a_listed_origin_gets_answers_and_gives_feedback(
    client: httpx.Client, centre: HelpCentre, library: Library, tab: Tab
) -> None:
    page = opened(tab, client, centre)
    ask(page, OPENING)
    expect(page.locator(".text")).to_have_text("The library opens at nine in the morning [1].")
    expect(page.locator(".sources")).to_contain_text("Hours")

    page.get_by_role("button", name="Yes").click()

    expect(page.locator(".verdict")).to_have_text("Thank you.")
    records = recorded(library.data, 2)
    assert [each["kind"] for each in records] == ["request", "feedback"]
    assert records[1]["helpful"] is True


def test_a_page_of_another_origin_gets_nothing(
    library: Library, serve: Serve, centre: HelpCentre, llm: FakeLlm, browser: Browser
) -> None:
    library.publish(library=LIBRARY)
    client = serve(allowed_origins=["https://help.example"])
    centre.service = str(client.base_url).rstrip("/")
    page = browser.new_page()  # it complains, as it should
    page.goto(centre.url)

    for question in (OPENING, faq.NEW):
        ask(page, question)
        expect(page.get_by_role("heading", name="The service can't be reached")).to_be_visible()

    page.close()
    assert not llm.requests
    assert journal(library.data) == []


def test_a_collection_that_is_not_public_is_refused(client: httpx.Client, centre: HelpCentre, tab: Tab) -> None:
    centre.attributes = 'data-collection="museum"'
    page = opened(tab, client, centre)
    ask(page, HIDDEN)
    expect(page.locator("#answer")).to_contain_text("The key does not belong to the collection")


def test_a_live_answer_says_that_nobody_has_checked_it(client: httpx.Client, centre: HelpCentre, tab: Tab) -> None:
    page = opened(tab, client, centre)
    ask(page, faq.NEW)
    expect(page.locator(".text")).to_have_text("The library opens at nine [1]. It closes at five [1].")
    expect(page.locator("#answer")).to_contain_text("Nobody has checked this answer yet")


def test_a_suggestion_is_asked_with_a_click_and_focus_goes_to_its_answer(
    client: httpx.Client, centre: HelpCentre, llm: FakeLlm, tab: Tab
) -> None:
    llm.behaviour.fail_with = 500
    page = opened(tab, client, centre)
    ask(page, "When does the library close for lunch?")
    page.get_by_role("button", name=OPENING).click()
    expect(page.locator(".text")).to_have_text("The library opens at nine in the morning [1].")
    expect(page.get_by_role("heading", name=OPENING)).to_be_focused()


def test_a_source_on_the_web_is_reached_from_its_reference(
    library: Library, serve: Serve, centre: HelpCentre, tab: Tab
) -> None:
    linked = Corpus(LIBRARY.documents, LIBRARY.answers, links={"hours": "https://help.example/hours"})
    library.publish(library=linked)
    page = opened(tab, serve(allowed_origins=[centre.url]), centre)
    ask(page, OPENING)
    for link in (page.locator("a.reference"), page.locator(".sources a")):
        expect(link).to_have_attribute("href", "https://help.example/hours")
        expect(link).to_have_attribute("target", "_blank")


def test_the_widget_shows_text_as_the_page_does(library: Library, serve: Serve, centre: HelpCentre, tab: Tab) -> None:
    answers = {f"What about {case['name']}?": (case["text"], "hours") for case in TEXTS}
    library.publish(library=Corpus({"hours": "Nine to five."}, answers))
    page = opened(tab, serve(allowed_origins=[centre.url]), centre)
    for case in TEXTS:
        ask(page, f"What about {case['name']}?")
        expect(page.get_by_role("heading", name=f"What about {case['name']}?")).to_be_visible()
        expect(page.locator(".verdict")).to_be_visible()
        html = page.locator(".text").evaluate('each => each.innerHTML.replace(/ (target|title)="[^"]*"/g, \'\')')
        assert html == case["html"], case["name"]


def test_keyboard_names_and_own_words(client: httpx.Client, centre: HelpCentre, tab: Tab) -> None:
    centre.attributes += """ data-theme="dark" data-words='{"title": "Frag uns", "ask": "Fragen"}'"""
    page = opened(tab, client, centre, reduced_motion="reduce", viewport={"width": 320, "height": 640})
    page.keyboard.press("Tab")
    expect(page.get_by_role("textbox", name="Frag uns")).to_be_focused()
    page.keyboard.type(OPENING)
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Fragen")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".verdict")).to_be_visible()
    expect(page.locator("#answer")).to_have_attribute("aria-live", "polite")
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    for tag in (".text", ".note", ".reference", "label", "button[type=submit]", ".verdict"):
        assert page.locator(tag).first.evaluate(faq._CONTRAST) >= 4.5, tag


def test_how_a_page_sets_its_own_text_does_not_change_the_widget(
    client: httpx.Client, centre: HelpCentre, tab: Tab
) -> None:
    page = opened(tab, client, centre)
    page.evaluate(
        "const sheet = new CSSStyleSheet(); document.adoptedStyleSheets = [sheet];"
        "sheet.replaceSync('* { text-transform: uppercase; letter-spacing: 9px; white-space: nowrap }')"
    )
    label = page.get_by_text("Ask a question")
    own = "each => [getComputedStyle(each).textTransform, getComputedStyle(each).letterSpacing]"
    assert page.locator("h1").evaluate(own) == ["uppercase", "9px"]
    assert label.evaluate(own) == ["none", "normal"]
