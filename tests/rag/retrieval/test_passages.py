"""Which chunks become passages, and what is shown around them."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.retrieval.fusion import Ranked
from rag.retrieval.passages import Passage, StoredChunk, choose_passages, in_order

LETTERS = "abcdefgh"


def document(*sections, name="doc", tokens=10):
    """Chunks of one document, given each section's chunk ids: document("ab", "c") has two sections."""
    ids = [(each, f"Section {number}") for number, section in enumerate(sections) for each in section]
    return {
        each: StoredChunk(
            each,
            name,
            "Title",
            "uri",
            heading,
            f"text of {each}",
            f"hash-{each}",
            ids[place - 1][0] if place else "",
            ids[place + 1][0] if place + 1 < len(ids) else "",
            tokens,
            position=place,
        )
        for place, (each, heading) in enumerate(ids)
    }


def ranked(ids):
    return [Ranked(each, place, 1.0 / place, place, 0.5, None, None) for place, each in enumerate(ids, start=1)]


def shown(passages):
    return ["".join(each.chunk_id for each in passage.shown) for passage in passages]


def test_without_a_budget_a_passage_is_shown_alone():
    passages = choose_passages(ranked("be"), document("abc", "def").get, 2)

    assert shown(passages) == ["b", "e"]


def test_a_passage_is_shown_with_its_section_in_reading_order():
    passages = choose_passages(ranked("b"), document("abc", "def").get, 1, budget=30)

    assert shown(passages) == ["abc"]
    assert passages[0].chunk.chunk_id == "b"


def test_a_section_ends_where_the_heading_changes():
    passages = choose_passages(ranked("b"), document("abc", "def").get, 1, budget=1000)

    assert shown(passages) == ["abc"]


def test_what_the_sections_leave_of_the_budget_goes_to_further_passages():
    passages = choose_passages(ranked("bdgh"), document("abc", "def", "gh").get, 1, budget=50)

    assert shown(passages) == ["abc", "d", "g"]
    assert [passage.number for passage in passages] == [1, 2, 3]


def test_the_nearest_come_first_where_the_section_is_longer_than_the_budget():
    passages = choose_passages(ranked("d"), document("abcdefgh").get, 1, budget=30)

    assert shown(passages) == ["cde"]


def test_each_passage_has_its_share_of_the_budget():
    chunks = document("abc") | document("def", name="other")

    passages = choose_passages(ranked("be"), chunks.get, 2, budget=40)

    assert shown(passages) == ["bc", "ef"]


def test_what_is_shown_around_a_better_passage_takes_no_place_of_its_own():
    passages = choose_passages(ranked("bcf"), document("abc", "def").get, 2, budget=60)

    assert shown(passages) == ["abc", "def"]


def test_texts_that_say_the_same_take_one_place():
    chunks = document("a", "b", "c")
    same = {each: replace(chunks[each], text=text) for each, text in {"a": "Go on!", "b": "go  on"}.items()}

    passages = choose_passages(ranked("abc"), (chunks | same).get, 3)

    assert shown(passages) == ["a", "c"]


@pytest.mark.parametrize(
    ("heading", "text"),
    [
        ("Setup", "TODO ---"),
        ("Setup", "Coming soon."),
        ("Guide \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} Table of contents", "- Setup\n- Usage"),
        ("", "***"),
        ("Guide \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} See also", "- Setup\n- How to use it"),
        ("Related topics", "1. Setup\n\n2. Usage"),
        ("References", "[imp] Described elsewhere.\n  (http://www.example.com/)\n\n[1] https://example.com/x"),
    ],
)
def test_a_chunk_without_content_is_no_passage(heading, text):
    chunks = document("a", "b")
    chunks["a"] = replace(chunks["a"], heading=heading, text=text)

    assert shown(choose_passages(ranked("ab"), chunks.get, 1)) == ["b"]


@pytest.mark.parametrize(
    ("heading", "text"),
    [
        ("See also", "- Setup\n\nThe programme takes 25 minutes."),
        ("See also", "- The programme takes 25 minutes."),
        ("Resources", "- CPU: two cores"),
        ("References", "[1] This holds for models made before 2020 only."),
        ("Next steps", "- Fill the tank"),
    ],
)
def test_a_list_that_says_something_is_a_passage(heading, text):
    chunks = document("a", "b")
    chunks["a"] = replace(chunks["a"], heading=heading, text=text)

    assert shown(choose_passages(ranked("ab"), chunks.get, 1)) == ["a"]


def test_a_short_chunk_is_a_passage():
    chunks = document("a", "b")
    chunks["a"] = replace(chunks["a"], heading="Weight", text="7.4 kg")

    assert shown(choose_passages(ranked("ab"), chunks.get, 1)) == ["a"]


def test_an_older_release_that_tells_no_neighbours_shows_passages_alone():
    chunks = {each: StoredChunk(each, "doc", "Title", "uri", "", f"text of {each}", f"hash-{each}") for each in "abc"}

    assert shown(choose_passages(ranked("abc"), chunks.get, 2, budget=1000)) == ["a", "b"]


def test_sentences_that_a_chunk_repeats_of_the_one_before_are_shown_once():
    first = StoredChunk("a", "doc", "Pots", "uri", "Care", "Wash it. Then dry it in the shade.", "h1")
    second = StoredChunk("b", "doc", "Pots", "uri", "Care", "Then dry it in the shade. Oil it.", "h2")

    text = Passage(1, first, 1.0, after=(second,)).text

    assert text == "Pots — Care\nWash it. Then dry it in the shade. Oil it."


def test_what_is_shown_around_a_passage_is_part_of_its_identity():
    a, b = document("ab").values()

    assert Passage(1, a, 1.0).content_hash == "hash-a"
    assert (
        len({each.content_hash for each in (Passage(1, a, 1.0), Passage(1, b, 1.0), Passage(1, a, 1.0, (), (b,)))}) == 3
    )


@given(
    st.lists(st.sampled_from(LETTERS), unique=True),
    st.lists(st.integers(1, 7), unique=True, max_size=3).map(sorted),
    st.sets(st.sampled_from(LETTERS), max_size=3),
    st.integers(1, 5),
    st.integers(0, 120),
    st.integers(1, 40),
)
def test_a_prompt_shows_each_chunk_once_within_its_budget(order, cuts, missing, count, budget, tokens):
    edges = [0, *cuts, len(LETTERS)]
    chunks = document(*(LETTERS[start:end] for start, end in pairwise(edges)), tokens=tokens)
    there = {name: chunk for name, chunk in chunks.items() if name not in missing}

    passages = choose_passages(ranked(order), there.get, count, budget=budget)

    everything = "".join(shown(passages))
    assert len(set(everything)) == len(everything)
    assert len(everything) * tokens <= max(budget, len(passages) * tokens)
    assert all(block in LETTERS for block in shown(passages))  # in reading order, without gaps
    assert [passage.number for passage in passages] == list(range(1, len(passages) + 1))
    wanted = [each for each in order if each not in missing]
    assert len(passages) >= count or all(each in everything for each in wanted)


@pytest.mark.parametrize("budget", [0, 50])
def test_nothing_of_a_withdrawn_document_is_shown(budget):
    chunks = document("abc") | document("def", name="withdrawn")

    assert shown(choose_passages(ranked("eb"), chunks.get, 2, {"withdrawn"}, budget)) == ["abc" if budget else "b"]


@given(st.permutations("adg"))
def test_a_prompt_shows_its_passages_in_the_order_of_their_documents_whatever_ranks_first(ranking):
    chunks = document("abc", name="one") | document("defgh", name="two")
    best = choose_passages(ranked("".join(ranking)), chunks.get, 3)

    passages = in_order(best, "document")

    assert shown(passages) == ["a", "d", "g"]
    assert [each.number for each in passages] == [1, 2, 3]
    assert shown(in_order(best, "relevance")) == list(ranking)
