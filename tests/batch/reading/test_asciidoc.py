"""AsciiDoc as Antora and Asciidoctor show it."""

import pytest

from batch.reading.asciidoc import read_asciidoc


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


@pytest.mark.parametrize(
    ("asciidoc", "lines"),
    [
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
