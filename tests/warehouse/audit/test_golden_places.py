from rag.retrieval.passages import StoredChunk
from warehouse.audit.golden import Golden
from warehouse.audit.golden_places import locate


def chunk(name, document, text):
    return StoredChunk(name, document, document, document, "Returns", text, name)


CHUNKS = [
    chunk("a", "docs/returns.md", "You have 30&nbsp;days to *return* it."),
    chunk("b", "docs/returns.md", "Shipping is free within 30 days."),
    chunk("c", "docs/other.md", "You have 30 days to return it, too."),
    *(chunk(f"d{number}", "docs/long.md", "Yes, that is so.") for number in range(6)),
]


def places(**said):
    asked = Golden("main", "key", "What?", said.pop("expected", ()), None, "golden.jsonl:1", **said)
    return set(*locate([asked], CHUNKS))


def test_a_passage_is_found_by_its_words_whatever_its_markup():
    assert places(passages=("You have 30 days to return it",)) == {"a", "c"}
    assert places(passages=("you have 30 days to return it",), document="docs/returns.md") == {"a"}


def test_a_document_alone_is_answered_by_the_chunks_that_hold_the_expected_texts_or_by_all():
    assert places(document="docs/returns.md", expected=("free", "30 days")) == {"b"}
    assert places(document="returns.md", expected=("never said",)) == {"a", "b"}
    assert places(document="turns.md") == set()


def test_expected_texts_alone_count_where_they_are_rare():
    assert places(expected=("free",)) == {"b"}
    assert places(expected=("day",)) == set()  # whole words alone
    assert places(expected=("yes",)) == set()
