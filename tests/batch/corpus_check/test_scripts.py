"""In which scripts a corpus is written, and whether the encoder and the configured language fit them."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch.corpus_check.scripts import foreign_words, known_scripts, letters_by_script, shares, warnings
from rag.retrieval.embedding import TokenCounter


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Füße", "Latin"), ("Кофе", "Cyrillic"), ("قهوة", "Arabic"), ("咖啡", "Han"), ("コーヒーひ", "Kana"),
        ("커피", "Hangul"), ("καφές", "Greek"), ("कफ", "Devanagari"), ("קפה", "Hebrew"), ("กาแฟ", "Thai"),
    ],
)  # fmt: skip
def test_letters_are_counted_by_script(text: str, script: str) -> None:
    assert set(letters_by_script([text])) == {script}


def test_digits_signs_and_emoji_are_of_no_script() -> None:
    assert letters_by_script(["12 + 3 = 15 ☕ 🚀 ²"]) == {}


def test_shares_are_of_all_letters() -> None:
    assert shares(letters_by_script(["abcdef", "где"])) == {"Latin": 0.667, "Cyrillic": 0.333}


def test_the_small_english_encoder_knows_latin_script_only(encoder_folder: Path) -> None:
    vocabulary = TokenCounter(encoder_folder).vocabulary()

    assert known_scripts(vocabulary) == {"Latin"}


def test_a_russian_corpus_fits_neither_an_english_encoder_nor_english_stemming() -> None:
    encoder, language = warnings({"Cyrillic": 900, "Latin": 100}, "minilm", frozenset({"Latin"}), "english")

    assert encoder.startswith("90% of the letters are Cyrillic, which the encoder minilm hardly knows")
    assert language.startswith('90% of the letters are Cyrillic, which language = "english" does not fit')


def test_a_few_foreign_names_and_a_fitting_configuration_are_no_reason_to_warn() -> None:
    both = frozenset({"Latin", "Cyrillic"})

    assert warnings({"Latin": 990, "Greek": 10}, "minilm", frozenset({"Latin"}), "english") == []
    assert warnings({"Cyrillic": 990, "Latin": 10}, "multilingual", both, "russian") == []


def test_a_german_corpus_that_counts_as_english_is_told_apart_by_its_words() -> None:
    german = ["Das Konto wird am Ende des Monats geschlossen.", "Sie können Ihr Passwort selbst ändern."]
    english = ["The account is closed at the end of the month.", "You can change your password yourself."]

    (sentence,) = foreign_words(german, "en")
    assert sentence.startswith("100% of the passages are not in English by their words")
    assert foreign_words(german, "de") == foreign_words(english, "en") == foreign_words([], "en") == []
