"""Words as people and programs write them, and the chunks that share words with a question."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.errors import IndexUnusableError
from rag.retrieval.lexical_index import LexicalIndex, stemmed_words

CASES = [json.loads(line) for line in (Path(__file__).parent / "cases/words.jsonl").read_text().splitlines()]
CHUNKS = {
    "pets": "Cats and dogs are pets.",
    "cats": "A cat sleeps. The cat purrs. Cats, cats!",
    "error": "Error E1234 means that the disk is full; see __init__ and max_tokens.",
    "cpp": "Templates are resolved by the C++ compiler.",
}


@pytest.fixture(scope="module")
def index():
    return LexicalIndex.build(list(CHUNKS.values()), list(CHUNKS))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["why"])
def test_words(case):
    found = stemmed_words(case["text"], case.get("language", "english"))

    assert set(case["has"]) <= set(found)
    assert not set(case.get("lacks", [])) & set(found)


@given(st.text(max_size=200))
def test_words_do_not_depend_on_case(text):
    assert all(stemmed_words(text))
    assert stemmed_words(text.lower()) == stemmed_words(text)


@pytest.mark.parametrize("text", ["a" * 50_000, "a." * 50_000, "_" * 50_000, "a" + "." * 50_000, "-'" * 50_000])
def test_long_texts_are_split_in_linear_time(text):
    assert len(stemmed_words(text)) <= 50_001 + 1


def test_stemming_is_thread_safe():
    text = " ".join(CHUNKS.values()) * 20
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: tuple(stemmed_words(text)), range(40)))

    assert set(found) == {tuple(stemmed_words(text))}


def test_rare_literals_are_found(index):
    assert index.search("what does E1234 mean?", 3)[0][0] == "error"
    assert index.search("C++ templates", 3)[0][0] == "cpp"
    assert index.search("what does init do", 3)[0][0] == "error"
    assert index.search("the number of tokens", 3)[0][0] == "error"


def test_inflections_are_found_and_the_best_chunk_comes_first(index):
    found = index.search("Which cat?", 5)

    assert [each for each, _ in found] == ["cats", "pets"]
    assert found[0][1] > found[1][1] > 0


def test_a_question_that_shares_no_word_finds_nothing(index):
    assert index.search("quantum chromodynamics", 5) == []
    assert index.search("what is the", 5) == []
    assert index.search("", 5) == []


def test_stop_words_that_are_terms_of_the_field_are_found(tmp_path):
    texts = ["A `while` loop ends at once.", "A for loop ends with it.", "Use a while loop while you wait."]
    LexicalIndex.build(texts, ["marked", "other", "unmarked"]).save(tmp_path)

    found = LexicalIndex.load(tmp_path).search("while with", 5)

    assert {each for each, _ in found} == {"marked", "unmarked"}  # "with" stands in no code marks


WORDS = st.sampled_from(["cat", "dog", "E1234", "disk", "compiler", "purr", "xyzzy"])


@given(
    st.lists(st.lists(WORDS, max_size=5).map(" ".join), min_size=1, max_size=12),
    st.lists(WORDS, min_size=1, max_size=4).map(" ".join),
    st.integers(1, 14),
)
@settings(deadline=None, max_examples=60)
def test_the_best_k_are_the_first_k_of_all_and_ties_keep_the_order_of_the_chunks(texts, question, k):
    index = LexicalIndex.build(texts, [f"{i:02}" for i in range(len(texts))])

    everything = index.search(question, 1000)

    assert index.search(question, k) == everything[:k]
    assert everything == sorted(everything, key=lambda found: (-found[1], found[0]))
    sharing = {f"{i:02}" for i, text in enumerate(texts) if set(stemmed_words(text)) & set(stemmed_words(question))}
    assert {each for each, _ in everything} == sharing


@pytest.mark.parametrize("texts", [[], [""], ["the"], ["cat"], ["cat"] * 3, ["", "cat"]], ids=str)
def test_small_indexes_are_saved_and_loaded_and_searched(tmp_path, texts):
    ids = [f"id{i}" for i in range(len(texts))]
    LexicalIndex.build(texts, ids).save(tmp_path / "lexical")

    found = LexicalIndex.load(tmp_path / "lexical").search("a cat", 10)

    assert [each for each, _ in found] == [each for each, text in zip(ids, texts, strict=True) if text == "cat"]


def test_a_saved_index_gives_the_same_results(tmp_path, index):
    index.save(tmp_path / "lexical")

    loaded = LexicalIndex.load(tmp_path / "lexical")

    for question in ("cat", "error disk", "nothing here"):
        assert loaded.search(question, 3) == index.search(question, 3)


def test_the_language_of_the_documents_is_kept(tmp_path):
    LexicalIndex.build(["Die Häuser sind groß."], ["a"], language="german").save(tmp_path)

    loaded = LexicalIndex.load(tmp_path)

    assert [each for each, _ in loaded.search("Welches Haus?", 3)] == ["a"]
    assert loaded.search("die", 3) == []


def test_a_missing_index_is_refused(tmp_path):
    with pytest.raises(IndexUnusableError, match="build the release again"):
        LexicalIndex.load(tmp_path / "lexical")


@pytest.mark.parametrize(
    "name",
    ["ids", "language", "vocab.index.json", "params.index.json", "data.csc.index.npy", "indices.csc.index.npy"],
)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_file_that_was_cut_off_is_refused(tmp_path, index, name, share):
    index.save(tmp_path)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])

    with pytest.raises(IndexUnusableError, match="build the release again"):
        LexicalIndex.load(tmp_path)


def test_ids_of_another_index_are_refused(tmp_path, index):
    index.save(tmp_path)
    (tmp_path / "ids").write_text("one\ntwo\n")

    with pytest.raises(IndexUnusableError, match="not those of this index"):
        LexicalIndex.load(tmp_path)
