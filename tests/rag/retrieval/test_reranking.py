"""A cross-encoder without torch: the same scores, and errors that say what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from rag.errors import ModelError
from rag.retrieval.reranking import Reranker

QUESTION = "How do I descale the machine?"
TEXTS = ["Descale it every three months.", "The warranty lasts for two years. " * 200, ""]


@pytest.fixture(scope="module")
def folder(reranker_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from batch.models.pull import pull

    return pull(str(reranker_source), tmp_path_factory.mktemp("models")).path


def test_scores_are_those_of_the_model(folder: Path, reranker_source: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(reranker_source)(
        [QUESTION] * 3, TEXTS, padding=True, truncation=True, max_length=512, return_tensors="pt"
    )
    with torch.no_grad():
        logits = AutoModelForSequenceClassification.from_pretrained(reranker_source)(**tokens).logits[:, 0]

    scores = Reranker.load(folder).scores(QUESTION, TEXTS)

    np.testing.assert_allclose(scores, torch.sigmoid(logits).numpy(), atol=1e-5)
    assert len(set(scores)) == 3


def test_a_very_long_question_is_scored_too(folder: Path) -> None:
    assert Reranker.load(folder).scores("why " * 2000, TEXTS).shape == (3,)


@pytest.mark.parametrize("name", ["onnx/model.onnx", "tokenizer.json", "reranker.json"])
def test_a_torn_file_is_refused_with_what_to_do(folder: Path, tmp_path: Path, name: str) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(folder, copied)
    (copied / name).write_bytes(b"{")

    with pytest.raises(ModelError, match=r"(can't be loaded|not a reranker).*pull"):
        Reranker.load(copied)
