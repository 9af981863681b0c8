"""Judged as the audit and the reading task judge: the references of an answer are not part of what it says."""

from bench.answer_quality import Asked, judge_answer, judge_ranking
from rag.llm.protocol import Completion
from rag.retrieval.fusion import fuse
from rag.retrieval.passages import Passage, StoredChunk


def _chunk(chunk_id, document, text="The pot holds one litre of water."):
    return StoredChunk(chunk_id, document, "Pots", "uri", "", text, chunk_id)


PASSAGES = [Passage(1, _chunk("c1", "pots"), 1.0)]
ASKED = Asked("How much does the pot hold?", "pots", ("one litre", "a litre"))


def _judged(text, finish_reason="stop"):
    return judge_answer(Completion(text, finish_reason, 10, 5, "model"), PASSAGES, ASKED)


def test_a_short_answer_with_its_reference_matches_exactly_and_is_cited():
    judged = _judged("One litre [1].")

    assert (judged["exact_match"], judged["f1"], judged["contains"], judged["cited"]) == (1.0, 1.0, 1.0, 1.0)


def test_a_sentence_around_the_span_contains_it_and_is_served():
    judged = _judged("The pot holds one litre of water.")

    assert judged["exact_match"] == 0.0
    assert 0 < judged["f1"] < 1
    assert (judged["contains"], judged["support"], judged["served"], judged["cited"]) == (1.0, 1.0, 1.0, 0.0)


def test_what_was_cut_off_or_comes_from_elsewhere_is_not_served():
    assert _judged("The pot holds one litre of", "length")["served"] == 0.0
    assert _judged("Quantum processors need liquid helium.")["served"] == 0.0


def test_a_document_counts_where_its_first_chunk_stands():
    chunks = {each.chunk_id: each for each in (_chunk("a1", "a"), _chunk("a2", "a"), _chunk("p", "pots"))}
    ranked = [fuse([("a1", 0.9), ("a2", 0.8), ("p", 0.7)], [])]

    means = judge_ranking(ranked, chunks, [ASKED]).means

    assert (means["recall@1"], means["recall@3"], means["mrr"]) == (0.0, 1.0, 0.5)
