"""The FAQ page in a real browser: streaming, keyboard, feedback, failures, a phone."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from rag.collection_settings import CollectionSettings
from rag.identity import query_key
from tests.fake_llm import FakeLlm
from tests.online import conftest as service
from tests.online.conftest import LIBRARY, MUSEUM, Corpus, Library, Serve, recorded

CHROMIUM = Path("/usr/bin/chromium")
TEXTS = json.loads((Path(service.__file__).parent / "routes/answer_texts.json").read_text())
expect.set_options(timeout=120_000)
OPENING = "When does the library open?"
NEW = "Where can people park?"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no {CHROMIUM}; apt-get install chromium"),
]

encoder_folder = service.encoder_folder
library = service.library
llm = service.llm
model_server = service.model_server
serve = service.serve
published = service.published
client = service.client
keys = service.keys


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield started
        started.close()


class Tab:
    """Opens pages and gathers what they complain about."""

    def __init__(self, browser: Browser, stack: contextlib.ExitStack) -> None:
        self._browser, self._stack = browser, stack
        self.complaints: list[str] = []

    def __call__(self, client: httpx.Client, path: str = "/", **context: object) -> Page:
        opened = self._stack.enter_context(
            self._browser.new_context(base_url=str(client.base_url), **context)  # type: ignore[arg-type]
        )
        page = opened.new_page()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(path)
        return page

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    """No page may complain: about the content security policy, a script's error, anything."""
    with contextlib.ExitStack() as stack:
        tab = Tab(browser, stack)
        yield tab
        assert tab.complaints == []


def ask(page: Page, question: str) -> None:
    page.get_by_label("Ask a question").fill(question)
    page.keyboard.press("Enter")


def answered(page: Page) -> None:
    expect(page.locator("#answer[aria-busy=false] .facts")).to_be_visible()


def test_an_anticipated_question_is_answered_with_its_sources(client: httpx.Client, tab: Tab) -> None:
    page = tab(client)
    ask(page, OPENING)
    expect(page.locator(".answer .text")).to_have_text("The library opens at nine in the morning [1].")
    expect(page.locator("#answer .facts")).to_contain_text("Prepared fake-model 1 hour ago")
    passage = page.locator("blockquote")
    expect(passage).to_be_hidden()
    page.locator("a.reference").click()
    expect(passage).to_have_text(LIBRARY.documents["hours"])
    page.get_by_text("Link to this answer").click()
    expect(page).to_have_url(re.compile(f"/questions/{query_key('library', OPENING)}$"))
    expect(page.locator(".answer .text")).to_have_text("The library opens at nine in the morning [1].")


def test_a_live_answer_is_shown_while_it_is_written(client: httpx.Client, llm: FakeLlm, tab: Tab) -> None:
    llm.behaviour.gate = threading.Event()
    page = tab(client)
    ask(page, NEW)
    expect(page.locator("#answer")).to_have_attribute("aria-busy", "true")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    llm.behaviour.gate.set()
    answered(page)
    expect(page.locator(".answer .text")).to_have_text("The library opens at nine [1]. It closes at five [1].")
    expect(page.locator(".badge")).to_have_text("Written live")
    expect(page.locator(".caution")).to_be_visible()
    expect(page.get_by_role("button", name="Ask")).to_be_visible()


def test_a_visitor_can_stop_an_answer(client: httpx.Client, llm: FakeLlm, tab: Tab) -> None:
    llm.behaviour.gate = threading.Event()
    page = tab(client)
    ask(page, NEW)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Ask")).to_be_visible()
    expect(page.locator("#status")).to_have_text("Stopped.")
    llm.behaviour.gate.set()


def test_the_next_question_takes_the_place_of_one_that_is_being_answered(
    client: httpx.Client, llm: FakeLlm, tab: Tab
) -> None:
    llm.behaviour.gate = threading.Event()
    page = tab(client)
    ask(page, NEW)
    expect(page.locator(".answer h1")).to_have_text(NEW)
    ask(page, OPENING)
    answered(page)
    llm.behaviour.gate.set()
    expect(page.locator(".answer h1")).to_have_text(OPENING)
    assert page.locator("#answer > *").count() == 1


def test_a_model_that_is_down_leaves_suggestions_and_another_try(client: httpx.Client, llm: FakeLlm, tab: Tab) -> None:
    llm.behaviour.fail_with = 500
    page = tab(client)
    ask(page, "When does the library close for lunch?")
    expect(page.locator(".problem h1")).to_have_text("No live answer at the moment")
    expect(page.locator(".problem").get_by_role("link", name=OPENING)).to_be_visible()
    llm.behaviour.fail_with = None
    page.get_by_role("button", name="Ask again").click()
    expect(page.locator(".badge")).to_have_text("Written live")
    page.locator("summary").get_by_text(OPENING).click()
    expect(page.locator("details[open] .text")).to_have_text("The library opens at nine in the morning [1].")


def test_a_stream_that_breaks_off_is_a_problem_and_no_answer(client: httpx.Client, llm: FakeLlm, tab: Tab) -> None:
    llm.behaviour.break_stream_after = 3
    page = tab(client)
    ask(page, NEW)
    expect(page.locator(".problem h1")).to_be_visible()
    expect(page.locator(".answer")).to_have_count(0)


def test_a_service_that_cannot_be_reached_is_told(client: httpx.Client, tab: Tab) -> None:
    page = tab(client)
    page.context.set_offline(True)
    ask(page, OPENING)
    expect(page.locator(".problem h1")).to_have_text("The service can't be reached")


def test_feedback_reaches_the_journal_with_the_answers_name(client: httpx.Client, library: Library, tab: Tab) -> None:
    page = tab(client)
    ask(page, OPENING)
    answered(page)
    page.get_by_role("button", name="No", exact=True).click()
    page.get_by_label("What was missing or wrong?").fill("On Sundays?")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Thank you.")).to_be_visible()
    records = recorded(library.data, 3)
    request, verdict, comment = records
    assert request["request_id"] == verdict["request_id"] == comment["request_id"]
    assert verdict["helpful"] is False
    assert comment["comment"] == "On Sundays?"


def test_a_question_that_was_mistaken_for_another_is_answered_anew(client: httpx.Client, tab: Tab) -> None:
    page = tab(client)
    ask(page, "Please, when does the library open?")
    expect(page.locator(".matched a")).to_have_text(OPENING)
    page.get_by_role("button", name="That is not what I asked").click()
    expect(page.locator(".badge")).to_have_text("Written live")
    expect(page.locator(".matched")).to_be_hidden()


def test_the_script_shows_text_as_the_server_does(library: Library, serve: Serve, tab: Tab) -> None:
    answers = {f"What about {case['name']}?": (case["text"], "hours") for case in TEXTS}
    library.publish(library=Corpus({"hours": "</blockquote><script>alert(1)</script>"}, answers))
    page = tab(serve())
    for case in TEXTS:
        ask(page, f"What about {case['name']}?")
        answered(page)
        expect(page.locator(".answer h1")).to_have_text(f"What about {case['name']}?")
        assert page.locator(".answer .text").evaluate("each => each.innerHTML") == case["html"], case["name"]
        assert page.locator(".sources blockquote").text_content() == "</blockquote><script>alert(1)</script>"


def test_both_forms_of_an_answer_look_the_same(client: httpx.Client, tab: Tab) -> None:
    page = tab(client)
    ask(page, OPENING)
    answered(page)
    streamed = page.locator(".answer").inner_text().replace("Link to this answer", "").split()
    page.goto(f"/questions/{query_key('library', OPENING)}")
    assert page.locator(".answer").inner_text().split() == streamed


def test_all_is_reached_by_keyboard_and_focus_is_seen(client: httpx.Client, tab: Tab) -> None:
    page = tab(client)
    reached = []
    for _ in range(7):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.innerText || document.activeElement.name"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", reached
    assert reached[:6] == ["Skip to the content", "Questions and answers", "question", "Ask", "q", "Search"]
    page.keyboard.press("Enter")
    expect(page.locator(".questions details[open] .text")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_everything_without_scrolling_sideways(client: httpx.Client, tab: Tab, scheme: str) -> None:
    page = tab(client, viewport={"width": 360, "height": 740}, color_scheme=scheme, reduced_motion="reduce")
    ask(page, NEW)
    answered(page)
    page.locator(".sources summary").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    for tag in (".answer .text", ".facts", ".hint", ".badge", ".sources h2", "button[type=submit]", ".where"):
        assert page.locator(tag).first.evaluate(_CONTRAST) >= 4.5, tag


# WCAG's contrast of a text with the nearest background behind it.
_CONTRAST = """each => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = parse(colour).map((v) => v / 255)
      .map((v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  let behind = each;
  while (parse(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
  const both = [light(getComputedStyle(each).color), light(getComputedStyle(behind).backgroundColor)].sort();
  return (Math.max(...both) + .05) / (Math.min(...both) + .05);
}"""


def test_without_javascript_asking_browsing_and_sources_work(client: httpx.Client, tab: Tab) -> None:
    page = tab(client, java_script_enabled=False)
    page.get_by_label("Ask a question").fill(OPENING)
    page.get_by_role("button", name="Ask").click()
    expect(page.locator(".answer .text")).to_have_text("The library opens at nine in the morning [1].")
    page.locator("a.reference").click()
    expect(page.locator("blockquote")).to_be_visible()
    page.get_by_label("Ask a question").fill(NEW)
    page.get_by_role("button", name="Ask").click()
    expect(page.locator(".badge")).to_have_text("Written live")
    page.get_by_text("All prepared questions").click()
    page.get_by_label("Search the prepared questions").fill("lost card")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".questions summary").first).to_have_text("What does a lost card cost?")


def test_a_visitor_of_a_public_page_asks_without_a_key(
    library: Library, serve: Serve, keys: dict[str, dict[str, object]], tab: Tab
) -> None:
    library.publish(library=LIBRARY, museum=MUSEUM)
    both = {name: CollectionSettings(documents=[]) for name in ("library", "museum")}
    page = tab(serve(both, keys=keys, public_page=["museum"]))
    ask(page, "When does the museum open?")
    expect(page.locator(".answer .text")).to_have_text("The museum opens at eleven [1].")
    ask(page, OPENING)
    expect(page.locator(".badge")).to_have_text("Written live")
