import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.formats.readers import READABLE
from batch.reading.document import Document
from batch.reading.documents import parse
from rag.text.table_files import Reject


def read(name, text, **limits):
    data = text if isinstance(text, bytes) else text.encode()
    return list(parse(name, data, "default", **limits))


def one(name, text):
    [document] = read(name, text)
    assert isinstance(document, Document), document
    return document


def outline(document):
    return [(section.heading, section.text) for section in document.sections]


def parquet(rows):
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


# Markdown


def test_markdown_headings_become_paths_below_the_title():
    document = one(
        "guide/setup.md", "# Set-up\n\nFirst.\n\n## Linux ##\n\nRun `make`.\n\n### Notes\nNone.\n\n## Mac\nBrew.\n"
    )
    assert document.title == "Set-up"
    assert document.document_id == document.uri == "guide/setup.md"
    assert document.media_type == "text/markdown"
    assert outline(document) == [
        ("", "First."),
        ("Linux", "Run `make`."),
        ("Linux › Notes", "None."),  # noqa: RUF001
        ("Mac", "Brew."),
    ]


@pytest.mark.parametrize(
    "front",
    ["---\ntitle: The Title\nother: 1\n---\n", "---\ntitle: 'The Title'\n---\n", '+++\ntitle = "The Title"\n+++\n'],
)
def test_the_title_in_front_matter_wins_over_the_first_heading(front):
    document = one("a.md", front + "# Heading\n\nText.")
    assert document.title == "The Title"
    assert outline(document) == [("Heading", "Text.")]


def test_underlined_markdown_headings_count_and_rules_are_gone():
    document = one("a.md", "Title\n=====\n\nOne.\n\nPart\n----\n\nTwo\nlines\n---\n\n- item\n---\n\nThree.")
    assert document.title == "Title"
    assert outline(document) == [("", "One."), ("Part", "Two\nlines\n\n- item\n\nThree.")]


@pytest.mark.parametrize("fence", ["```", "~~~", "````"])
def test_fenced_code_is_kept_as_it_is(fence):
    code = f"{fence}sh\n# not a heading\n\n\n    indented\nTitle\n=====\n{fence}"
    assert outline(one("a.md", f"# Title\n\n{code}\n\nAfter.")) == [("", f"{code}\n\nAfter.")]


def test_markup_in_a_heading_is_removed():
    assert outline(one("a.md", "# T\n\n## The **`del`** [statement](x.md) {#del}\n\nText.")) == [
        ("The del statement", "Text.")
    ]


def test_a_heading_without_text_below_is_kept_as_text():
    assert outline(one("a.md", "# T\n\n## Parent\n\n### Child\nText.\n\n## Empty\n\n## Last")) == [
        ("Parent › Child", "Text."),  # noqa: RUF001
        ("", "Empty"),
        ("", "Last"),
    ]


def test_a_document_without_headings_is_named_after_its_file():
    assert one("notes/release_notes-2.md", "Just text.").title == "release notes 2"


# HTML

PAGE = """<!doctype html><html><head><title>Install - Site</title><style>p {}</style></head><body>
<nav><a href="/">Home</a></nav><h1>Install<a class="headerlink">¶</a></h1>
<p>Read   <b>this</b>
first.<br>Then that.</p><script>alert(1)</script><!-- hidden -->
<h2>Steps</h2><ol><li>Unpack<ul><li>the box</li></ul></li><li>Plug <em>in</em></li></ol>
<div>Done<p>Really.</p></div>
<h2>Sizes</h2><table><tr><th>Name</th><th>Size</th></tr><tr><td>A<br>1</td><td>2 cm</td></tr></table>
<pre>if x:
    run()</pre><dl><dt>Term</dt><dd>Meaning</dd></dl></body></html>"""


def test_an_html_page_keeps_its_headings_lists_tables_and_code_and_loses_the_rest():
    document = one("install.html", PAGE)
    assert document.title == "Install"
    assert document.media_type == "text/html"
    sections = dict(outline(document))
    assert sections[""] == "Read this first.\nThen that."
    assert [line for line in sections["Steps"].split("\n") if line] == [
        "1. Unpack",
        "  - the box",
        "2. Plug in",
        "Done",
        "Really.",
    ]
    assert sections["Sizes"].startswith("Name | Size\nA 1 | 2 cm\n")
    assert "```\nif x:\n    run()\n```" in sections["Sizes"]
    assert sections["Sizes"].endswith("Term\n  Meaning")
    assert not any(word in document.text for word in ("alert", "hidden", "Home", "p {}"))


def test_a_fragment_of_html_is_read_too():
    assert outline(one("a.htm", "Hello <b>you</b> &amp; me")) == [("", "Hello you & me")]


def test_a_page_keeps_its_title_beside_a_heading_that_is_a_picture():
    assert one("a.html", "<title>Returns</title><h1><img src='logo.png'></h1><h2>When</h2><p>Soon.").title == "Returns"


def test_the_title_of_a_drawing_is_not_the_page_s():
    document = one("a.html", "<head><title>Page</title></head><svg><title>Arrow</title></svg>Text.")
    assert (document.title, document.text) == ("Page", "Text.")


@pytest.mark.parametrize(
    ("page", "lines"),
    [
        ("<div><p>One<p>Two</div>Three", ["One", "Two", "Three"]),
        ("One</p></span>, two<br/>Three</br>", ["One, two", "Three"]),
        ("<nav><ul><li>Home</nav>Text", ["Text"]),
        ("<ul><li>One<li>Two", ["- One", "- Two"]),
        ("<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby>", ["漢"]),
        ("fish &amp chips, &copy; &unknown;", ["fish & chips, © &unknown;"]),
    ],
)
def test_tags_that_are_not_closed_or_not_opened_lose_no_text(page, lines):
    assert [line for line in one("a.html", page).text.split("\n") if line] == lines


def test_broken_html_does_not_end_the_run():
    [outcome] = read("a.html", "<p>Text</p><![foo[")  # some versions of Python read it, others give up
    assert (outcome.reason if isinstance(outcome, Reject) else outcome.text).startswith(("its HTML can't be", "Text"))


def test_html_nested_a_thousand_deep_is_read():
    assert one("a.html", "<div>" * 3000 + "deep" + "</div>" * 3000).text == "deep"


# Text


def test_underlined_headings_of_plain_text_are_levelled_by_first_appearance():
    text = "Title\n*****\n\nOne.\n\n\nPart\n====\n\nTwo.\n\nDetail\n------\n\n   code\n\nNext\n====\n\nThree.\n"
    document = one("topic.txt", text)
    assert document.title == "Title"
    assert outline(document) == [
        ("", "One."),
        ("Part", "Two."),
        ("Part › Detail", "   code"),  # noqa: RUF001
        ("Next", "Three."),
    ]


def test_overlined_headings_are_read():
    assert outline(one("a.rst", "=====\nTitle\n=====\n\nText.\n\nPart\n=====\n\nMore.")) == [
        ("", "Text."),
        ("Part", "More."),
    ]


def test_lines_that_only_look_like_underlines_make_no_heading():
    text = (
        "Some prose that\n---\nis not a heading.\n\n=======\n\nMore\nprose here\n==========\n\n  indented\n  --------"
    )
    assert [heading for heading, _ in outline(one("a.txt", text))] == [""]


def test_drawn_tables_are_kept_without_their_padding():
    table = "+----------+----------+\n| a        | b        |\n+==========+==========+"
    assert one("a.txt", table).text == "+---+---+\n| a   | b   |\n+===+===+"


def test_an_unknown_ending_is_read_as_text():
    assert one("README", "Hello.").text == "Hello."


# Rows


def test_jsonl_rows_become_documents_with_their_own_ids_or_readable_ones():
    rows = [
        {"id": 7, "title": "Seven", "text": "One."},
        {"title": "Größe & Preis?", "content": "Two."},
        {"title": "Größe, Preis", "body": "Three."},
        {"text": "Four.", "url": "https://example.org/4"},
    ]
    documents = read("faq/all.jsonl", "\n".join(json.dumps(row) for row in rows) + "\n\n")
    assert [document.text for document in documents] == ["One.", "Two.", "Three.", "Four."]
    assert [document.document_id for document in documents[:3]] == [
        "7",
        "faq/all.jsonl#größe-preis",
        "faq/all.jsonl#größe-preis-2",
    ]
    assert documents[0].title == "Seven"
    assert documents[0].uri == "faq/all.jsonl#7"
    assert documents[3].uri == "https://example.org/4"
    assert documents[3].title == "all"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_rows_become_documents(delimiter):
    sink = io.StringIO()
    csv.writer(sink, delimiter=delimiter).writerows(
        [["ID", "Title", "Text"], ["a", "A", "Two\nlines, and more; all"], ["b", "B", "Text"]]
    )
    first, second = read("faq.csv", sink.getvalue())
    assert (first.document_id, first.title, first.text) == ("a", "A", "Two\nlines, and more; all")
    assert second.document_id == "b"


def test_parquet_rows_become_documents_and_other_columns_are_left_alone():
    data = parquet([{"id": "x", "body": "Text.", "vector": [0.1, 0.2]}, {"id": "y", "body": None, "vector": []}])
    document, reject = read("data.parquet", data)
    assert (document.document_id, document.text) == ("x", "Text.")
    assert reject == Reject("data.parquet, row 2", "empty: there is no text in it")


def test_inserting_a_row_changes_no_other_id():
    rows = ['{"title": "A", "text": "one"}', '{"text": "two"}']
    before = {document.document_id for document in read("a.jsonl", "\n".join(rows))}
    after = {document.document_id for document in read("a.jsonl", "\n".join(['{"text": "new"}', *rows]))}
    assert before < after


def test_a_very_long_csv_cell_is_read():
    assert len(one("a.csv", "text\n" + "word " * 100_000).text) == 499_999


# What can't be read


@pytest.mark.parametrize(
    ("name", "data", "item", "reason"),
    [
        ("a.md", b"", "a.md", "empty: there is no text"),
        ("a.txt", b" \n\t\n", "a.txt", "empty"),
        ("a.html", b"<html><head><title>T</title></head></html>", "a.html", "empty"),
        ("a.txt", "Größe".encode("latin-1"), "a.txt", "not valid UTF-8 (byte 0xf6 at offset 2): save it as UTF-8"),
        ("a.txt", b"\xff\xfea", "a.txt", "not valid UTF-16"),
        ("a.txt", b"PK\x03\x04\x00\x00", "a.txt", "a binary file"),
        ("a.pdf", b"%PDF-1.7 ...", "a.pdf", "a binary file"),
        ("a.jsonl", b'{"text": "tor', "a.jsonl, line 1", "not a JSON value (unterminated string"),
        ("a.jsonl", b"[1]", "a.jsonl, line 1", "not a JSON object"),
        ("a.jsonl", b'{"title": "T"}', "a.jsonl, line 1", "no field named text or content or body"),
        ("a.jsonl", b'{"text": 3}', "a.jsonl, line 1", "its text is not a string but of type int"),
        ("a.jsonl", b"[" * 100_000, "a.jsonl, line 1", "not a JSON value"),
        ("a.jsonl", b"\n\n", "a.jsonl", "empty: there are no rows"),
        ("a.csv", b"id,name\n1,A\n", "a.csv", "no column named text or content or body: its columns are id, name"),
        ("a.csv", b"", "a.csv", "no column named"),
        ("a.csv", b'"text', "a.csv", "its first line is not a CSV row"),
        ("a.csv", b"text\n", "a.csv", "empty: there are no rows"),
        ("a.csv", b'text\n"torn', "a.csv, line 2", "not a CSV row (unexpected end of data)"),
        ("a.parquet", b"PAR1 no", "a.parquet", "not a Parquet file"),
        ("a.parquet", parquet([{"id": 1}]), "a.parquet", "no column named text or content or body: its columns are id"),
    ],
)  # fmt: skip
def test_unreadable_input_is_rejected_with_a_reason(name, data, item, reason):
    [reject] = read(name, data)
    assert isinstance(reject, Reject)
    assert reject.item == item
    assert reject.reason.startswith(reason)


def test_a_torn_line_leaves_the_other_rows():
    first, torn, last = read("a.jsonl", '{"text": "one"}\n{"text": "tw\n{"text": "three"}')
    assert (first.text, last.text) == ("one", "three")
    assert torn.item == "a.jsonl, line 2"


def test_a_bad_csv_row_leaves_the_other_rows():
    first, bad, last = read("a.csv", 'text\none\n"two"x\nthree\n')
    assert (first.text, last.text) == ("one", "three")
    assert bad.item == "a.csv, line 3"


def test_an_id_that_is_used_twice_in_a_file_is_rejected_the_second_time():
    _, reject = read("a.jsonl", '{"id": 1, "text": "one"}\n{"id": "1", "text": "two"}')
    assert reject == Reject("a.jsonl, line 2", "the id '1' is already that of line 1")


def test_the_size_limit_holds_for_each_document():
    [page] = read("a.txt", "x" * 101, max_bytes=100)
    small, large = read("a.jsonl", '{"text": "x"}\n{"text": "' + "x" * 101 + '"}', max_bytes=100)
    assert page.reason == large.reason == "too large (101 bytes, at most 100): split it into several documents"
    assert small.text == "x"


# Encodings and identity


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_are_understood(encoding):
    assert one("a.txt", "Größe\r\nzwei\rdrei".encode(encoding)).text == "Größe\nzwei\ndrei"


def test_equal_text_in_other_unicode_forms_and_line_ends_has_an_equal_hash():
    composed, decomposed = one("a.md", "# Größe\n\nÖl"), one("a.md", "# Gro\u0308ße\r\n\r\nO\u0308l")
    assert composed.content_hash == decomposed.content_hash


def test_characters_that_no_table_can_hold_are_replaced():
    assert one("a.jsonl", '{"text": "a\\ud800b\\u0000c"}').text == "a\ufffdbc"


def test_the_hash_follows_title_headings_and_text():
    texts = ["# T\n\n## A\nx", "# U\n\n## A\nx", "# T\n\n## B\nx", "# T\n\n## A\ny"]
    assert len({one("a.md", text).content_hash for text in texts}) == 4


def test_text_between_two_rules_is_no_front_matter():
    assert "Kept" in one("a.md", "---\nKept.\n---\n\n# Heading\n\nText.").text


@pytest.mark.parametrize("text", ["https://example.org/a", '<?xml version="1.0"?><a>https://example.org/a</a>'])
def test_an_unusual_page_is_read_without_a_warning(text):
    assert one("a.html", text).text == "https://example.org/a"


def test_a_long_title_is_shortened():
    title = one("a.md", "# " + "word " * 50 + "\n\nText.").title
    assert 100 < len(title) <= 160
    assert title.endswith("word…")


@pytest.mark.parametrize("text", ["# {}", "{}\n{}"])
@pytest.mark.parametrize("name", ["a.md", "a.txt"])
def test_a_very_long_line_is_text_and_no_heading(name, text):
    line = text.format("word " * 2000 + "end", "=" * 10_003)
    assert one(name, line).text == line


def test_files_that_are_not_text_are_skipped_when_a_folder_is_listed():
    assert {".md", ".html", ".txt", ".jsonl", ".csv", ".parquet"} <= READABLE
    assert not {".png", ".pdf", ".zip", ""} & READABLE


@given(st.sampled_from([*sorted(READABLE), ""]), st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_make_the_reader_fail(ending, data):
    for outcome in parse("file" + ending, data, "default"):
        assert isinstance(outcome, Document | Reject)
        if isinstance(outcome, Document):
            assert outcome.text.strip()
            assert outcome.title
            outcome.text.encode("utf-8")


MARKS = st.sampled_from(
    ["# a\n", "## b\n", "===\n", "---\n", "***\n", "text\n", "\n", "```\n", "    code\n", "- i\n", "| a |\n"]
)


@given(st.sampled_from([".md", ".txt"]), st.lists(MARKS, max_size=30))
def test_every_word_of_a_text_is_in_its_title_headings_or_sections(ending, lines):
    for document in parse("x" + ending, "".join(lines).encode(), "default"):
        if isinstance(document, Document):
            found = f"{document.title}\n{document.text}"
            assert {line.strip("#- |\n`") for line in lines if line[0].isalnum()} <= set(found.split())


@pytest.mark.parametrize(
    ("name", "text", "by_name"),
    [
        ("setup.md", "Text.", True),
        ("setup.md", "---\ntitle: setup\n---\nText.", False),
        ("setup.adoc", "setup\n=====\n\nText.", False),
        ("faq.jsonl", '{"id": "1", "text": "Text."}', True),
        ("faq.jsonl", '{"id": "1", "title": "faq 1", "text": "Text."}', False),
    ],
)
def test_a_title_of_its_own_is_told_from_one_that_its_file_s_name_makes(name, text, by_name):
    assert one(name, text).titled_by_name is by_name
