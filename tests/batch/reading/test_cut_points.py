import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.reading.cut_points import Frame, belongs_to_previous, blocks, frame, lines, words


def cut(text, spans):
    return [text[start:end] for start, end in spans]


def test_blocks_end_at_blank_lines_and_keep_their_indentation():
    text = "\n\none\ntwo\n \n\n    three\n\n\nfour\n"
    assert cut(text, blocks(text)) == ["one\ntwo", "    three", "four"]


@pytest.mark.parametrize(("fence", "close"), [("```py", "```"), ("~~~", "~~~~"), ("  ```", "  ```")])
def test_fenced_code_is_one_block(fence, close):
    code = f"{fence}\na\n\n\nb\n{close}"
    text = f"before\n\n{code}\n\nafter"
    assert cut(text, blocks(text)) == ["before", code, "after"]


def test_code_in_a_quotation_and_in_an_item_is_one_block_with_a_frame_of_its_own():
    quoted, item = "> ```js\n> a\n>\n> b\n> ```", "- ```sh\n  make\n  ```"
    text = f"> before\n{quoted}\n> after\n\n{item}\n\nend"
    assert cut(text, blocks(text)) == ["> before", quoted, "> after", item, "end"]
    assert (frame(quoted), frame(item)) == (Frame("> ```js\n", "\n> ```", 1, 1), Frame("- ```sh\n", "\n  ```", 1, 1))


def test_a_quotation_ends_with_its_code():
    assert cut("> ```\n> a\nb\n\nc", blocks("> ```\n> a\nb\n\nc")) == ["> ```\n> a", "b", "c"]


def test_a_fence_that_is_never_closed_reaches_the_end():
    assert cut("a\n\n```\nb\n\nc", blocks("a\n\n```\nb\n\nc")) == ["a", "```\nb\n\nc"]


@pytest.mark.parametrize(
    "parts",
    [
        ["- one\n  goes on", "- two"],
        ["Introduction:", "1. one", "2) two"],
        ["| a | b |", "| c | d |"],
        ["Easy?|:x:", ":--|:-:", "Fast?|:x:", "Cheap?|yes"],
        ["```", "x = 1", "    y = 2", "```"],
        ["    for x in y:", "        print(x)"],
        ["Prose that is\nwrapped by hand\nover three lines."],
        ["   The indented prose of a reference\n   is wrapped as well."],
    ],
)
def test_lines_split_lists_tables_and_code_but_no_prose(parts):
    text = "\n".join(parts)
    assert cut(text, lines(text)) == parts


def test_words_are_split_into_equal_parts():
    text = " ".join(["word"] * 30)
    assert [part.count("word") for part in cut(text, words(text, 3))] == [10, 10, 10]


def test_a_single_word_is_split_between_characters():
    assert cut("abcdefg", words("abcdefg", 3)) == ["abc", "def", "g"]
    assert cut("ab " + "c" * 50, words("ab " + "c" * 50, 2)) == ["ab", "c" * 50]


@pytest.mark.parametrize(
    ("previous", "following", "expected"),
    [
        ("method()", "   Explains it.", True),
        ("For example:", "```\ncode\n```", True),
        ("For example:", "- item", True),
        ("Some prose.", "- item", False),
        ("   Explains it.", "   Explains more.", False),
        ("   Explains it.", "method()", False),
    ],
)
def test_an_explanation_belongs_to_what_it_explains(previous, following, expected):
    assert belongs_to_previous(previous, following) is expected


@given(st.text(alphabet=st.sampled_from("ab \n\t-`~|1.:"), max_size=60), st.integers(2, 6))
def test_between_pieces_there_is_only_white_space(text, parts):
    for spans in (blocks(text), lines(text), words(text, parts)):
        assert "".join("".join(cut(text, spans)).split()) == "".join(text.split())
        assert spans == sorted(spans)
