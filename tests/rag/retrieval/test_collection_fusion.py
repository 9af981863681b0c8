import pytest

from rag.errors import IndexUnusableError
from rag.retrieval.collection_fusion import CollectionFusion, read_fusion, read_weights
from rag.retrieval.fusion import FusionWeights, Ranked, blend
from rag.settings import RetrievalSettings

LEARNED = FusionWeights(1.0, 2.0, 0.9)


@pytest.fixture
def folder(tmp_path):
    CollectionFusion(LEARNED, FusionWeights(1.0, 0.5), "learned", "golden", 40).save(tmp_path)
    return tmp_path


def test_what_was_learned_holds_for_the_weights_that_it_was_learned_from(folder):
    assert read_weights(folder, RetrievalSettings()) == LEARNED
    assert read_weights(folder, RetrievalSettings(lexical_weight=0)) == FusionWeights(1.0, 0.0)
    assert read_weights(folder, RetrievalSettings(learn_fusion=False)) == FusionWeights()


def test_a_release_without_the_file_ranks_with_the_configured_weights(tmp_path):
    assert read_fusion(tmp_path) is None
    assert read_weights(tmp_path, RetrievalSettings(dense_weight=2)) == FusionWeights(2.0, 0.5)


@pytest.mark.parametrize("content", ["{", "[]", '{"weights": {}}', '{"weights": {"x": 1}, "configured": {}}'])
def test_a_torn_file_is_named(folder, content):
    (folder / "fusion.json").write_text(content)

    with pytest.raises(IndexUnusableError, match=r"fusion\.json.*build the release again"):
        read_weights(folder, RetrievalSettings())


def ranked(*scores):
    return [Ranked(name, rank, score, rank, score, None, None) for rank, (name, score) in enumerate(scores, start=1)]


@pytest.mark.parametrize(("weight", "order"), [(1, "cbad"), (0.3, "acbd"), (0, "abcd")])
def test_the_order_of_late_interaction_and_of_the_fusion_are_mixed_by_weight(weight, order):
    fused = ranked(("a", 1.0), ("b", 0.2), ("c", 0.1), ("d", 0.1))

    found = blend(fused, {"a": 0.3, "b": 0.35, "c": 0.5}, weight)

    assert "".join(each.chunk_id for each in found) == order
    assert [each.rank for each in found] == [1, 2, 3, 4]
