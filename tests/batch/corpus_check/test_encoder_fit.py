"""Whether an encoder reads a language, by what its tokenizer makes of the words."""

import json
from pathlib import Path

import pytest

from batch.corpus_check.encoder_fit import encoder_fit, fit_warnings
from rag.retrieval.embedding import TokenCounter

CASES = Path(__file__).parents[2] / "rag/retrieval/cases/helpdesk.jsonl"
ENGLISH = "Goods can be returned within thirty days of delivery. The amount is refunded to the same card. " * 5


def texts(language: str) -> list[str]:
    rows = map(json.loads, CASES.read_text(encoding="utf-8").splitlines())
    return [row["text"] for row in rows if row["language"] == language]


@pytest.mark.parametrize("language", ["zh", "ja", "ar", "de", "hi"])
def test_an_english_encoder_does_not_fit_other_languages(language: str, encoder_folder: Path) -> None:
    fit = encoder_fit(texts(language), TokenCounter(encoder_folder))

    (warning,) = fit_warnings(fit, "minilm")
    assert "minilm" in warning
    assert warning.endswith("set [encoder] model to one that was trained on it")


def test_it_fits_english(encoder_folder: Path) -> None:
    assert fit_warnings(encoder_fit([ENGLISH], TokenCounter(encoder_folder)), "minilm") == []


def test_a_few_words_say_nothing(encoder_folder: Path) -> None:
    assert fit_warnings(encoder_fit(["Zurück zur Übersicht"], TokenCounter(encoder_folder)), "minilm") == []
