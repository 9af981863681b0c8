from __future__ import annotations

import math
import re
import unicodedata
from datetime import date, timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from tests.warehouse.conftest import NOW, key, request, write_history
from warehouse.editorial.decisions import Decision, append_decisions
from warehouse.editorial.withdrawal import withdraw
from warehouse.errors import NoReleaseError, StorageError
from warehouse.reporting.figures import Scope, report_of
from warehouse.reporting.formats import duration, number, percent
from warehouse.reporting.page import markdown
from warehouse.reporting.plots import grouped, logarithmic, stacked
from warehouse.reporting.report import report_markdown, write_report
from warehouse.settings import CostSettings

TYPED = '<script>alert("x")</script> & more'


@pytest.fixture
def data(tmp_path, publish_rows, rows):
    rows["answers"][2] |= {"status": "withheld", "withheld_reason": "refusal"}
    publish_rows(rows)
    return tmp_path / "data"


def page_of(data, tmp_path, collections=None, **more):
    write_report(data, tmp_path / "report.html", scope=Scope(30, NOW, collections), **more)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def text_of(page):
    return " ".join(re.sub(r"<[^>]+>", " ", page.split("</style>")[1]).split())


HISTORY = [
    request("q1", "exact", matched_key=key("q1"), total_seconds=0.001),
    request("q1 again", "semantic", matched_key=key("q1"), total_seconds=0.008),
    request(TYPED, "live", total_seconds=2.0),
    request(TYPED, "live", total_seconds=4.0, request_id="second", at=NOW - timedelta(days=0)),
    {"kind": "feedback", "request_id": "id-q1-exact", "at": NOW, "collection": "main", "helpful": False,
     "comment": TYPED},
]  # fmt: skip


def test_the_page_shows_hits_times_savings_and_misses(data, tmp_path):
    write_history(data, HISTORY)
    text = text_of(page_of(data, tmp_path, cost=CostSettings(gpu_hour=3600, currency="CHF")))
    assert "50.0% of 4 questions had a prepared answer" in text
    assert "4.5 ms for a prepared answer (median); 3 s for a live one" in text
    assert "60 s of computing saved, worth 60.00 CHF" in text
    assert "2 prepared answers; 1 are withheld" in text
    assert "script alert x 2 0 1 &lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt; &amp; more" in text
    assert "refusal 1" in text


class Tags(HTMLParser):
    """Collects what a browser would load, and whether all elements are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: set[str] = set()
        self.links: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "action", "srcset")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def changed_release(rows):
    rows["answers"][0] |= {"answer": "Another answer [1].", "passages_hash": key("p2"), "fingerprint": key("new")}
    rows["documents"][0]["content_hash"] = key("edited")
    return rows


def test_the_page_names_what_is_to_do_and_links_it_to_the_review_page(data, tmp_path, publish_rows, rows):
    approval = Decision("main", key("q1"), key("f-q1"), "approve", "Ada", question="What is q1?")
    append_decisions(data, [approval])
    withdraw(data, "main", "d2", "outdated")
    rows["citations"][1] |= {"document_id": "d2", "chunk_id": key("c2")}
    publish_rows(changed_release(rows))
    write_history(data, [*HISTORY, request("q3", "withheld", query_key=key("q3"))])
    page = page_of(data, tmp_path, review="https://faq.example/review")
    text = text_of(page)
    assert "Withheld, until somebody decides" in text
    assert f'<a href="https://faq.example/review/questions/{key("q3")}">What is q3?</a>' in page
    assert "What is q3? refusal 1" in text
    assert "What is q2? a document that it rests on is withdrawn 0" in text
    assert "What is q1? approved by Ada on" in text
    assert "answered differently 1 passages" in text
    assert "What is q1? answered differently passages d1" in text


def test_figures_are_compared_with_the_period_before(data, tmp_path):
    earlier = [{**record, "at": NOW - timedelta(days=30)} for record in HISTORY[1:4]]
    write_history(data, HISTORY)
    write_history(data, earlier, NOW.date() - timedelta(days=30))
    text = text_of(page_of(data, tmp_path))
    assert "50.0% of 4 questions had a prepared answer +16.7 points against before" in text
    assert "4 questions were asked +33% against before" in text
    assert "script alert x 2 2 1" in text
    assert "Answers given from the release 2 1" in text


def test_a_report_on_some_collections_holds_nothing_of_the_others(tmp_path, publish_rows, rows):
    for table in ("questions", "answers", "citations", "documents", "chunks", "retrievals", "changes"):
        for row in rows[table]:
            if row.get("query_key") == key("q2"):
                row["collection"] = "secret"
    rows["documents"].append({**rows["documents"][0], "collection": "secret"})
    rows["chunks"].append({**rows["chunks"][0], "collection": "secret", "chunk_id": key("s1")})
    rows["citations"][1]["chunk_id"] = key("s1")
    rows["retrievals"] = [row for row in rows["retrievals"] if row["collection"] == "main"]
    rows["answers"][1] |= {"status": "withheld", "withheld_reason": "refusal"}
    rows["changes"] = []
    data = tmp_path / "data"
    publish_rows(rows)
    hidden = {"collection": "secret"}
    write_history(
        data,
        [*HISTORY, {**request("hush", "live"), **hidden}, {**HISTORY[-1], "comment": "hush", "collection": "secret"}],
    )
    whole, part = page_of(data, tmp_path), page_of(data, tmp_path, collections=("main",))
    assert "hush" in whole
    assert "What is q2?" in whole
    assert "hush" not in part
    assert "What is q2?" not in part
    assert "Runs" not in text_of(part)


def test_the_markdown_says_the_same_and_nothing_typed_becomes_markup(data, tmp_path, publish_rows, rows):
    publish_rows(changed_release(rows))
    write_history(data, [*HISTORY, request("a | [b](http://evil.example)\n# c", "live")])
    write_report(data, tmp_path / "report.md", scope=Scope(30, NOW), review="https://faq.example/review")
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| with a prepared answer | 40.0% | – |" in text  # noqa: RUF001
    assert f"| [What is q3?](https://faq.example/review/questions/{key('q3')}) | refusal | 0 |" in text
    assert "a \\| \\[b\\](http://evil.example) \\# c |" in text
    assert "| answered differently | 1 | passages |" in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1, table


def test_a_flow_gets_the_report_as_markdown(data):
    assert report_markdown(data).startswith("# Answers given beforehand\n")


def test_the_markdown_for_a_flow_has_nothing_that_visitors_typed(data):
    write_history(data, HISTORY)
    report = report_of(data, Scope(30, NOW), CostSettings())

    text = markdown(report, typed=False)

    assert "| (not kept) | 2 | 0 | 1 | – | – |" in text  # noqa: RUF001
    assert "| What is q1? | 1 | 0 |  |" in text
    assert "script" in markdown(report)
    assert "script" not in text


def test_the_page_is_self_contained_and_escapes_what_users_typed(data, tmp_path):
    write_history(data, HISTORY)
    page = page_of(data, tmp_path)
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert tags.links == []
    assert "script" not in tags.names
    assert "url(" not in page
    assert page.count("<svg") == 4


def test_what_is_worth_a_look_in_the_documents_is_shown(tmp_path, publish_rows, rows):
    rows["findings"] = [
        {"collection": "main", "finding": "files skipped", "count": 4, "whole": None, "examples": [".png: 4"]},
        {"collection": "main", "finding": "near-duplicate chunks", "count": 2, "whole": 9, "examples": [TYPED]},
    ]
    publish_rows(rows)
    text = text_of(page_of(tmp_path / "data", tmp_path))
    assert "main files skipped 4 .png: 4 main near-duplicate chunks 2 of 9 &lt;script&gt;" in text


def test_what_waits_for_the_budget_and_what_retired_is_listed(tmp_path, publish_rows, rows):
    rows["set_aside"] = [
        {"collection": "main", "query_key": key(each), "question": TYPED, "origin": "list", "reason": reason,
         "expected_hits": hits}
        for each, reason, hits in (("q8", "budget", 2.5), ("q9", "retired", None))
    ]  # fmt: skip
    publish_rows(rows)

    text = text_of(page_of(tmp_path / "data", tmp_path))

    assert "&lt;/script&gt; &amp; more budget 2.5" in text
    assert "&lt;/script&gt; &amp; more retired" in text


def test_control_characters_do_not_reach_the_page(data, tmp_path):
    typed = "a\0b \x1b[2J \x7f \x9b \x0c\ttab\nline"
    feedback = {**HISTORY[-1], "comment": typed}
    write_history(data, [HISTORY[0], request(typed, "live", total_seconds=2.0), feedback])
    page = page_of(data, tmp_path)
    assert [c for c in page if unicodedata.category(c) == "Cc" and c not in "\t\n"] == []
    assert page.count("a\ufffdb \ufffd[2J \ufffd \ufffd \ufffd\ttab\nline") == 2


def test_no_text_from_release_history_or_settings_becomes_markup(tmp_path, publish_rows, rows):
    hostile = 'x\' onload="alert(1)"><img src=//evil.example/x>'
    rows["questions"][0]["question"] = rows["questions"][1]["question"] = hostile
    rows["answers"][2] |= {"status": "withheld", "withheld_reason": hostile}
    publish_rows(rows)
    texts = dict.fromkeys(("question", "comment", "refusal", "model", "collection"), hostile)
    near = request("other", "live", matched_key=key("q2"), similarity=0.8, total_seconds=1.0)
    write_history(tmp_path / "data", [{**record, **texts} for record in [*HISTORY, near]])
    tags = Tags()
    page = page_of(tmp_path / "data", tmp_path, cost=CostSettings(gpu_hour=3600, currency=hostile))
    tags.feed(page)
    assert (tags.open, tags.links, tags.handlers) == ([], [], [])
    assert "img" not in tags.names
    assert page.count("&lt;img src=//evil.example/x&gt;") >= 6


def test_without_history_the_page_says_so(data, tmp_path):
    text = text_of(page_of(data, tmp_path))
    assert text.count("Nobody has asked yet.") == 2
    assert "– of 0 questions" in text  # noqa: RUF001


def test_only_the_last_days_count(data, tmp_path):
    write_history(data, HISTORY)
    write_report(data, tmp_path / "r.html", scope=Scope(30, NOW + timedelta(days=40)))
    assert "of 0 questions" in text_of((tmp_path / "r.html").read_text(encoding="utf-8"))


def test_an_annex_stands_at_the_end_of_the_page(data, tmp_path):
    page = page_of(data, tmp_path, annex=Markup("<h2>What each design costs</h2>"))

    assert page.index("Tokens generated") < page.index("<h2>What each design costs</h2>") < page.index("<footer>")


def test_redacted_texts_are_no_error(data, tmp_path):
    write_history(data, [{**record, "question": None, "comment": None} for record in HISTORY])
    assert "(not kept)" in page_of(data, tmp_path)


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, -1.0, 0.0])
def test_nan_in_an_old_history_is_no_error(data, tmp_path, odd):
    figures = {"similarity": odd, "llm_seconds": odd, "confidence": odd}
    write_history(data, [
        *({**record, **figures} for record in HISTORY),
        request("q1", "semantic", matched_key=key("q1"), total_seconds=odd, **figures),
        request(TYPED, "live", matched_key=key("q2"), total_seconds=odd, **figures),
    ])  # fmt: skip
    page = page_of(data, tmp_path)
    assert "50.0% of 6 questions had a prepared answer" in text_of(page)
    assert re.search(r"\b(nan|inf)\b", page) is None


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_an_unknown_time_is_not_shown(data, tmp_path, odd):
    write_history(data, [request("q1", "exact", matched_key=key("q1"), total_seconds=odd)])
    assert "– for a prepared answer (median)" in text_of(page_of(data, tmp_path))  # noqa: RUF001


def test_a_torn_file_of_the_history_is_named(data, tmp_path):
    write_history(data, HISTORY)
    torn = data / "history" / f"day={NOW.date()}" / "history.parquet"
    torn.write_bytes(torn.read_bytes()[:-100])
    with pytest.raises(StorageError, match=f"{torn} can't be read"):
        page_of(data, tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_without_a_release_there_is_no_report(tmp_path):
    with pytest.raises(NoReleaseError):
        write_report(tmp_path, tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


DAYS = [date(2026, 11, 1) + timedelta(days=n) for n in range(30)]
COUNTS = st.none() | st.integers(0, 10**9)


@given(st.dictionaries(st.sampled_from(DAYS), st.tuples(COUNTS, COUNTS), min_size=1))
def test_bars_stay_within_their_plot(values):
    rows = [{"day": day, "a": a, "b": b} for day, (a, b) in values.items()]
    for plot in (stacked(rows, ("a", "b"), DAYS), grouped(rows, ("a", "b"), DAYS)):
        for bar in plot.bars:
            assert bar.x >= plot.left - 0.1
            assert bar.x + bar.width <= plot.width + 0.1
            assert bar.y >= 0
            assert bar.y + bar.height <= plot.bottom + 0.2


@given(st.lists(st.floats(1e-6, 1e4), min_size=3, max_size=3))
def test_latency_bars_stay_within_their_plot(seconds):
    p50, p95, p99 = sorted(seconds)
    plot = logarithmic([{"source": "live", "p50": p50, "p95": p95, "p99": p99}])
    lengths = [bar.width for bar in plot.bars]
    assert lengths == sorted(lengths)
    assert all(bar.x + bar.width <= plot.width for bar in plot.bars)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (number(0), "0"), (number(7), "7"), (number(9999), "9999"), (number(12_345), "12.3 k"),
        (number(2_500_000), "2.5 M"), (number(0.25), "0.25"), (number(123.4), "123"),
        (duration(0.0009), "900 µs"), (duration(0.0042), "4.2 ms"), (duration(2.5), "2.5 s"),
        (duration(600), "10 min"), (duration(36_000), "10 h"), (percent(0.682), "68.2%"), (percent(1), "100%"),
    ],
)  # fmt: skip
def test_figures_are_short(shown, expected):
    assert shown == expected
