"""HTML pages: their main content, as a visitor sees it."""

import pytest

from batch.formats.html import read_html

CONTENT = "<h1>Refunds</h1><p>We pay within 14 days, whatever the reason, to the card that was charged before.</p>"
SHOWN = "We pay within 14 days, whatever the reason, to the card that was charged before."


def text_of(page):
    return "\n".join(f"{section.heading}\n{section.text}".strip() for section in page.sections)


@pytest.mark.parametrize(
    "page",
    [
        f"<nav><a href='/'>Acme</a></nav><main>{CONTENT}</main><footer>© Acme</footer>",
        f"<header><a href='/'>Acme</a></header><article>{CONTENT}</article><aside>Read more</aside>",
        f"<div class='navbar'>Acme Pricing</div><div class='content'>{CONTENT}</div>",
        f"<div id='cookie-banner'>We use cookies.</div>{CONTENT}<div class='site-footer'>© Acme</div>",
        f"<div class='cookie-consent'>We use cookies.</div><div class='layout has-sidebar'>"
        f"<div class='sidebar'>Other pages</div><div>{CONTENT}</div></div>",
        f"<div role='navigation'>Acme</div>{CONTENT}<div role='contentinfo'>© Acme</div>",
        f"<div><a href='/'>Acme</a><a href='/p'>Pricing</a></div>{CONTENT}<ul><li><a>Terms</a><li><a>Help</a></ul>",
        f"<div id='onetrust-consent-sdk'>We value your privacy.</div>{CONTENT}<div class='social-share'>Share it</div>",
        f"<div class='b1'>This site uses cookies. <button>Accept</button></div>{CONTENT}",
        f"{CONTENT}<div class='right-rail'><h3>On this page</h3><ul><li><a href='#a'>A</a></li></ul></div>",
        f"<ul class='breadcrumb'><li>Home</ul>{CONTENT}<div class='related-posts'>Another page</div>",
    ],
)
def test_only_the_main_content_is_read(page):
    found = read_html(f"<html><head><title>Refunds - Acme</title></head><body>{page}</body></html>")
    assert (found.title, text_of(found)) == ("Refunds", SHOWN)


def test_a_page_that_is_all_links_is_read():
    found = read_html("<h1>Help</h1><ul><li><a>Refunds</a></li><li><a>Returns</a></li></ul>")
    assert text_of(found) == "- Refunds\n- Returns"


def test_links_side_by_side_are_apart_and_pictures_are_their_descriptions():
    found = read_html("<p>Try <a>Acme</a><a>Pricing</a> now: <img src='x.png' alt='a chart'>.</p>")
    assert text_of(found) == "Try Acme Pricing now: a chart ."


@pytest.mark.parametrize(
    "hidden",
    [
        "<div style='display:none'>{}</div>",
        "<div style='font-size: 0'>{}</div>",
        "<p hidden>{}</p>",
        "<span aria-hidden='true'>{}</span>",
        "<div style='position:absolute; left:-9999px'>{}</div>",
        "<div style='opacity:0'>{}</div>",
        "<style>.x { display: none }</style><div class='a x'>{}</div>",
    ],
)
def test_hidden_text_is_gone_and_counted(hidden):
    found = read_html(f"<main>{CONTENT}{hidden.replace('{}', 'Refunds are never paid.')}</main>")
    assert text_of(found) == SHOWN
    assert (found.hidden.characters, found.hidden.sample) == (23, "Refunds are never paid.")


def test_the_panels_of_tabs_are_shown():
    found = read_html("<div role='tabpanel' hidden>Use apt.</div><div role='tabpanel'>Use brew.</div>")
    assert text_of(found) == "Use apt.\n\nUse brew."
    assert not found.hidden


def test_a_page_tells_its_address_and_language():
    found = read_html("<html lang=de><link rel=canonical href='https://example.org/a'><p>Text.")
    assert found.fields == {"canonical": "https://example.org/a", "lang": "de"}


def test_code_keeps_its_language():
    found = read_html("<p>Run:</p><pre><code class='hljs language-python'>x = 1\n\ny = 2</code></pre>")
    assert text_of(found) == "Run:\n\n```python\nx = 1\n\ny = 2\n```"


def test_headings_have_the_anchors_of_their_ids():
    found = read_html("<h1>T</h1><h2 id='one'>One</h2><p>a</p><section id='two'><h2>Two</h2><p>b</p></section>")
    assert [section.anchor for section in found.sections] == ["one", "two"]
