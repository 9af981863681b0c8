"""AsciiDoc as Antora and Asciidoctor show it."""

import pytest

from batch.formats.asciidoc import read_asciidoc


def text_of(asciidoc):
    """The text of a page without headings, its blank lines left out."""
    return [line for section in read_asciidoc(asciidoc).sections for line in section.text.split("\n") if line.strip()]


def test_headings_are_a_path_and_the_header_is_metadata():
    page = read_asciidoc(
        "= {product} Guide\nJane Doe <jane@example.org>\nv1.0, 2024-01-01\n:product: Acme\n:page-tags: a\n\n"
        "Intro.\n\n[[set-up]]\n== Set-up\n\nOne.\n\n=== Linux\n\nTwo.\n"
    )
    assert page.title == "Acme Guide"
    assert page.fields == {"product": "Acme", "tags": "a"}
    assert [(s.heading, s.anchor, s.text) for s in page.sections] == [
        ("", "acme-guide", "Intro."),
        ("Set-up", "set-up", "One."),
        ("Set-up › Linux", "linux", "Two."),  # noqa: RUF001
    ]


def test_delimiters_make_no_heading():
    page = read_asciidoc("= T\n\n[tabs]\n======\nJava::\n+\n[source,java]\n----\nclass A {\n}\n----\n======\n\nAfter.")
    [section] = page.sections
    assert [line for line in section.text.split("\n") if line] == ["Java", "```java", "class A {", "}", "```", "After."]


def test_two_line_titles_are_headings_of_the_level_of_their_underline():
    page = read_asciidoc(
        "git-add(1)\n==========\n\nNAME\n----\ngit-add - Add files\n\n[[x]]\nMore `code`\n~~~~~~~~~~~\nText."
    )
    assert page.title == "git-add(1)"
    assert [(s.heading, s.anchor, s.text) for s in page.sections] == [
        ("NAME", "name", "git-add - Add files"),
        ("NAME › More code", "x", "Text."),  # noqa: RUF001
    ]


@pytest.mark.parametrize(
    "asciidoc",
    [
        "Run this:\n----\nmake\n----",  # the underline is too short
        "Text goes\non here\n-------\nmake\n-------",  # the line above is not blank
        "* item\n-----\nmake\n-----",
        "Term::\n-----\nmake\n-----",
    ],
)
def test_a_line_above_code_is_no_title(asciidoc):
    [section] = read_asciidoc(asciidoc).sections
    assert section.heading == ""
    assert [line for line in section.text.split("\n") if line][-3:] == ["```", "make", "```"]


def test_a_delimiter_that_nothing_closes_takes_no_text_into_code():
    assert text_of("Text.\n\n----\nMore text.\n\nAnd more.") == ["Text.", "More text.", "And more."]


def test_what_belongs_to_an_item_is_indented_below_it():
    asciidoc = "-n::\n--dry-run::\n\tDo nothing,\n\tonly tell.\n+\nSee 'git add'.\n\n--force::\n\n\tForce.\n\nAfter."
    lines = ["-n", "--dry-run", "  Do nothing,", "  only tell.", "  See 'git add'.", "--force", "  Force.", "After."]
    assert text_of(asciidoc) == lines


def test_a_document_with_a_two_line_title_is_in_the_older_syntax():
    asciidoc = "Title\n=====\n\n'emphasis', +code+, ``quoted'' and don't."
    assert text_of(asciidoc) == ['_emphasis_, `code`, "quoted" and don\'t.']


@pytest.mark.parametrize(
    ("asciidoc", "lines"),
    [
        ("See linkgit:git-add[1] and\nlinkgit:gitglossary[7].", ["See git-add(1) and", "gitglossary(7)."]),
        ("A <<def_tree,tree\nobject>> and link:x.html[the\npage].", ["A tree", "object and the", "page."]),
        ("[verse]\n'git' [-v]\n    [--all]", ["'git' [-v]", "    [--all]"]),
        ("Text\nifdef::x[]\nmore\nendif::x[]\ninclude::y.adoc[]\nend.", ["Text", "more", "end."]),
        ("ifdef::x[Shown.]", ["Shown."]),
        ("[configprops,yaml]\n----\na: 1\n----", ["```yaml", "a: 1", "```"]),
        ("[source,java,indent=0]\n----\nA\n----", ["```java", "A", "```"]),
        ("[subs=attributes]\n----\nA\n----", ["```", "A", "```"]),
        ("A javadoc:org.example.Bean[format=annotation].", ["A Bean."]),
        ("Plain +*text*+.", ["Plain *text*."]),
        ("++++\n<p>From <b>HTML</b></p>\n++++", ["From HTML"]),
        ("[stem]\n++++\nx^2\n++++", ["```latex", "x^2", "```"]),
        ("Before.\n\n  literal\n----\ncode\n----", ["Before.", "  literal", "```", "code", "```"]),
        ("See xref:page.adoc#x[the page].", ["See the page."]),
        ("See <<intro,the intro>> and <<set-up>>.", ["See the intro and set up."]),
        ("https://example.org[Example^], https://example.org/a.", ["Example, https://example.org/a."]),
        (":url: https://example.org\n\n{url}/x[Example]", ["Example"]),
        ("See {api}/Foo.html[`Foo`] and xref:x.adoc[the `@Bean` page].", ["See `Foo` and the `@Bean` page."]),
        ("Unknown {spring-docs}/x and `/users/{id}`.", ["Unknown /x and `/users/{id}`."]),
        ("[[anchor]]Text [.small]#tiny#.", ["Text tiny."]),
        ("include-code::Thing[tag=x]\n\nText.", ["Text."]),
        ("include::x.adoc[]\n\nText.", ["Text."]),
        ("ifdef::x[]\nText.\nendif::[]", ["Text."]),
        ("// comment\n////\nblock\n////\nText.", ["Text."]),
        ("image::x.png[A chart,200]", ["A chart"]),
        ("javadoc:org.example.Thing[] and kbd:[Ctrl+C]", ["Thing and Ctrl+C"]),
        ("\"`Quoted`\" and '`too`' +\nnext", ["\"Quoted\" and 'too'", "next"]),
        (".Title\n[NOTE]\n====\nMind.\n====", ["**Title**", "Mind."]),
        ("* one\n** two\n. first", ["- one", "  - two", "1. first"]),
        ("term:: meaning", ["term", "  meaning"]),
        ("....\n literal\n....", ["```", " literal", "```"]),
        ("[source,sh]\nmake", ["```sh", "make", "```"]),
        (
            '[cols="1,2", options="header"]\n|===\n|A |B\n\n|1\n|a xref:x.adoc[link]\n|2 | two\n|===',
            ["| A | B |", "|---|---|", "| 1 | a link |", "| 2 | two |"],
        ),
        ("|===\n|A |B\n\n|1 |2\n|===", ["| A | B |", "|---|---|", "| 1 | 2 |"]),
    ],
)
def test_markup_is_its_text(asciidoc, lines):
    assert text_of(asciidoc) == lines
