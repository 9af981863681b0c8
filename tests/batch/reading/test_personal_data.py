"""What counts as personal in a visitor's question."""

from __future__ import annotations

import sys

import pytest

from batch.reading.personal_data import find_by_rules, finder, is_public, words_of
from rag.errors import ConfigurationError

PERSONAL = [
    ("Is Karl Lindqvist a thief?", "name"),
    ("What did mr Lindqvist's lawyer say?", "name"),
    ("Karl is a thief, right?", "name"),
    ("IS KARL A THIEF?", "name"),
    ("Who lives at 12 Baker Street?", "address"),
    ("who lives at 221b baker street", "address"),
    ("wer wohnt in der hauptstraße 12", "address"),
    ("who lives at rue de la paix 12", "address"),
    ("Where is my order 4711-0815?", "number"),
    ("where is parcel JD014600003", "number"),
    ("is DE89 3704 0044 0532 0130 00 your account", "number"),
    ("call 030 1234567 now", "number"),
    ("is karl@example.org yours?", "link"),
    ("is it cheaper at https://evil.example/buy?x=1", "link"),
    ("is it cheaper at evil.example", "link"),
    ("is it cheaper at WWW.EVIL.EXAMPLE", "link"),
    ("does @karl work here", "handle"),
    ("does [e-mail] belong to you?", "number or e-mail address"),
]


@pytest.mark.parametrize(("question", "kind"), PERSONAL)
def test_what_is_personal_is_found(question: str, kind: str) -> None:
    assert kind in {each.kind for each in find_by_rules(question)}


HARMLESS = [
    "How long is the warranty?",
    "Can I return it within 30 days?",
    "What's the price in 2026, and I'd like to know: is it 20 % off?",
    "is there a 12 volt version",
    "How many of the 1500 watts does it need",
]


@pytest.mark.parametrize("question", HARMLESS)
def test_a_plain_question_holds_nothing_personal(question: str) -> None:
    assert find_by_rules(question) == []


def test_what_the_documents_say_is_public() -> None:
    found = find_by_rules("Can I write to help@shop.example, Berlin?")
    public = {"help", "shop", "example", "berlin"}
    assert {each.kind for each in found if not is_public(each, public)} == {"number or e-mail address"}
    assert words_of(found) >= public
    assert not is_public(find_by_rules("is Karl in Berlin")[0], public)


def test_a_model_without_presidio_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(ConfigurationError, match=r"pii_model .* is not installed .*beforehand\[pii\]"):
        finder("en_core_web_sm")


def test_presidio_finds_what_has_no_shape(tmp_path) -> None:
    """A model that knows one name, instead of one that has to be downloaded."""
    spacy = pytest.importorskip("spacy")
    pytest.importorskip("presidio_analyzer")
    model = spacy.blank("en")
    model.add_pipe("entity_ruler").add_patterns([{"label": "PERSON", "pattern": [{"LOWER": "lindqvist"}]}])
    model.to_disk(tmp_path / "names")
    find = finder(str(tmp_path / "names"))
    assert [each.text for each in find("is lindqvist a thief")] == ["lindqvist"]
    assert find("how long is the warranty") == []
    with pytest.raises(ConfigurationError, match="spaCy has no such model installed"):
        finder("en_no_such_model")
