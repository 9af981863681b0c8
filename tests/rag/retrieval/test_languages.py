"""Short texts and everyday questions in five languages, by words and by a multilingual encoder.

There are two sets: 8 texts of a helpdesk, and 16 of an employer, a library and a town hall, which the questions share
hardly a word with.
"""

import json
from collections import defaultdict
from pathlib import Path

import pytest

from rag.retrieval.embedding import OnnxEncoder
from rag.retrieval.late_interaction import LateInteraction
from rag.retrieval.lexical_index import LexicalIndex
from rag.retrieval.retriever import Retriever
from rag.retrieval.token_vectors import TokenVectors, save_token_vectors
from rag.retrieval.vector_index import VectorIndex
from rag.settings import RetrievalSettings


def by_language(name):
    found = defaultdict(list)
    for line in (Path(__file__).parent / f"cases/{name}.jsonl").read_text(encoding="utf-8").splitlines():
        found[json.loads(line)["language"]].append(json.loads(line))
    return found


HELPDESK, OFFICES = by_language("helpdesk"), by_language("offices")


def found_first(retriever, questions, vectors):
    ranked = retriever.rank(questions, vectors, lambda _: None)
    return sum(bool(each) and int(each[0].chunk_id) == place for place, each in enumerate(ranked))


@pytest.mark.parametrize(("language", "least"), [("zh", 6), ("ja", 4), ("hi", 4), ("ar", 3), ("de", 2)])
def test_words_alone_find_some_texts_in_any_script(language, least):
    rows = HELPDESK[language]
    index = LexicalIndex.build([row["text"] for row in rows], [str(n) for n in range(len(rows))], language)

    first = [index.search(row["question"], 1) for row in rows]

    assert sum(bool(each) and each[0][0] == str(n) for n, each in enumerate(first)) >= least


@pytest.fixture(scope="module")
def multilingual(models_folder):
    folder = models_folder / "multilingual-e5-small"
    if not folder.exists():
        pytest.skip("`make multilingual` pulls the encoder")
    return OnnxEncoder.load(folder)


@pytest.mark.parametrize(
    ("rows", "language", "least"),
    [(HELPDESK, language, 7) for language in HELPDESK]
    + [(OFFICES, "zh", 13), (OFFICES, "de", 11), (OFFICES, "ar", 10), (OFFICES, "hi", 8), (OFFICES, "ja", 11)],
)
def test_a_multilingual_encoder_finds_the_right_text(rows, language, least, multilingual, tmp_path):
    texts, questions = ([row[name] for row in rows[language]] for name in ("text", "question"))
    ids = [f"{place:02}" for place in range(len(texts))]
    vectors, tokens = multilingual.embed_with_tokens(texts)
    of = dict(zip(ids, tokens, strict=True))
    save_token_vectors(tmp_path, ids, ids, {n: of[n].tokens for n in ids}, ((n, of[n].codes) for n in ids))
    late = LateInteraction(TokenVectors.load(tmp_path), multilingual.token_states)
    lexical = LexicalIndex.build(texts, ids, language)
    retriever = Retriever(VectorIndex.build(vectors, ids), lexical, RetrievalSettings(), None, late)

    assert found_first(retriever, questions, multilingual.embed(questions)) >= least


def test_a_question_is_stemmed_by_each_language_of_the_index(tmp_path):
    texts = ["Die Häuser sind groß.", "The houses are large."]
    LexicalIndex.build(texts, ["de", "en"], "en", ["de", "en"]).save(tmp_path)
    index = LexicalIndex.load(tmp_path)

    assert [each for each, _ in index.search("welches Haus?", 2)] == ["de"]
    assert [each for each, _ in index.search("which house?", 2)] == ["en"]


@pytest.mark.parametrize(
    ("language", "text", "question"),
    [
        ("ar", "تُلغى الاشتراكات من صفحة الحساب", "أريد إلغاء اشتراكي"),
        ("ar", "الأسئلة الشائعة", "اسئله"),
        ("ar", "خلال ٣٠ يومًا", "30"),
        ("hi", "ख़राब फ़ोन बदला जाता है", "फोन खराब"),
        ("hi", "पाँच दिन", "पांच"),
        ("tr", "İade süresi", "iade"),
    ],
)
def test_spellings_of_a_word_find_each_other(language, text, question):
    index = LexicalIndex.build([text, "x"], ["right", "wrong"], language)

    assert [each for each, _ in index.search(question, 2)] == ["right"]


def test_the_prefix_of_a_question_is_none_of_its_words(multilingual):
    with_prefix, states = multilingual.token_states("Womit kann ich bezahlen?")

    assert len(with_prefix) == len(states) == len(multilingual._session.tokens("Womit kann ich bezahlen?")) - 1
