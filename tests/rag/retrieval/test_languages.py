"""Eight short texts and eight everyday questions in each of five languages, by words and by a multilingual encoder."""

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

HELPDESK = defaultdict(list)
for line in (Path(__file__).parent / "cases/helpdesk.jsonl").read_text(encoding="utf-8").splitlines():
    HELPDESK[json.loads(line)["language"]].append(json.loads(line))


def found_first(retriever, questions, vectors):
    ranked = retriever.rank(questions, vectors, lambda _: None)
    return sum(bool(each) and each[0].chunk_id == str(place) for place, each in enumerate(ranked))


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


@pytest.mark.parametrize("language", HELPDESK)
def test_a_multilingual_encoder_finds_the_right_text(language, multilingual, tmp_path):
    texts, questions = ([row[name] for row in HELPDESK[language]] for name in ("text", "question"))
    ids = [str(place) for place in range(len(texts))]
    vectors, tokens = multilingual.embed_with_tokens(texts)
    of = dict(zip(ids, tokens, strict=True))
    save_token_vectors(tmp_path, ids, ids, {n: of[n].tokens for n in ids}, ((n, of[n].codes) for n in ids))
    late = LateInteraction(TokenVectors.load(tmp_path), multilingual.token_states)
    lexical = LexicalIndex.build(texts, ids, language)
    retriever = Retriever(VectorIndex.build(vectors, ids), lexical, RetrievalSettings(), None, late)

    assert found_first(retriever, questions, multilingual.embed(questions)) >= 7


def test_a_question_is_stemmed_by_each_language_of_the_index(tmp_path):
    texts = ["Die Häuser sind groß.", "The houses are large."]
    LexicalIndex.build(texts, ["de", "en"], "en", ["de", "en"]).save(tmp_path)
    index = LexicalIndex.load(tmp_path)

    assert [each for each, _ in index.search("welches Haus?", 2)] == ["de"]
    assert [each for each, _ in index.search("which house?", 2)] == ["en"]
