"""Opens a release: maps its files, loads its models and tries them before a question can reach them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from online.release.open_release import OpenCollection, OpenModels, OpenRelease, ReleaseFacts
from online.release.question_index import QuestionIndex
from rag.errors import IndexUnusableError, ModelError, OutdatedVerifierError
from rag.paraphrase.verifier import Candidate, Verifier
from rag.prompting.template import PromptTemplate
from rag.retrieval.embedding import OnnxEncoder
from rag.retrieval.reranking import Reranker
from rag.retrieval.retriever import Retriever
from rag.retrieval.vectors import degenerate_rows
from rag.selection.selector import Selector
from rag.settings import RetrievalSettings
from warehouse.releases.serving_index import ServingIndex

_log = logging.getLogger("beforehand.release")

# Two unrelated questions. Sound encoders give them a cosine of about 0.1; one whose vectors are all alike, with which
# every question hits one answer, gives nearly 1.
_CANARIES = ("How do I bake a sourdough bread?", "Which treaty ended the Thirty Years' War?")
_CANARY_LIMIT = 0.9
_NO_FACTS = ReleaseFacts()


def open_release(
    release_id: str,
    path: Path,
    checksums: Mapping[str, str],
    collections: Mapping[str, RetrievalSettings],
    before: OpenRelease | None = None,
    on_close: Callable[[], None] = lambda: None,
    facts: ReleaseFacts = _NO_FACTS,
) -> OpenRelease:
    """Map a release's files and try its encoder; blocking. Models are shared with `before` where they are the same.

    `on_close` is called after the last use.

    Raises:
        TornReleaseError, ModelError, IndexUnusableError, CalibrationError: a part can't be used.
    """
    models = _open_models(path, checksums, before.models if before else None)
    own = path / "verifier.json"
    verifier = _open_verifier(own) if own.exists() else Verifier.default()
    one, other = _CANARIES
    verifier.decide_pair(one, Candidate(other, "", 0.0), 0.0)  # reads its word lists: 0.3 s for the first question
    for name, language in facts.languages.items():
        if not verifier.knows(language):
            _log.warning("semantic hits of %s are off: nothing keeps questions in %r apart", name, language)
    return OpenRelease(
        release_id,
        ServingIndex(path / "serving.lmdb"),
        models,
        {
            name: _open_collection(name, path / "collections" / name, how, models, facts)
            for name, how in collections.items()
            if (path / "collections" / name).exists()
        },
        PromptTemplate((path / "prompt.txt").read_text(encoding="utf-8"), str(path / "prompt.txt")),
        verifier,
        facts,
        on_close,
    )


def _open_verifier(path: Path) -> Verifier:
    """Load a verifier; one of an older version gives way to the default, so that its release can still be served."""
    try:
        return Verifier.load(path)
    except OutdatedVerifierError as error:
        _log.warning("%s; until then semantic hits take nearly identical wordings alone", error)
        return Verifier.default()


def _open_models(path: Path, checksums: Mapping[str, str], before: OpenModels | None) -> OpenModels:
    sums = {name: checksums.get(f"{name}/model.onnx") for name in ("encoder", "reranker")}
    same = {name for name, found in sums.items() if before and found and before.checksums.get(name) == found}
    if before and "encoder" in same:
        encoder = before.encoder
    else:
        encoder = OnnxEncoder.load(path / "encoder", threads=1)
        try_encoder(encoder)
    if before and "reranker" in same:
        return OpenModels(encoder, before.reranker, sums)
    return OpenModels(encoder, Reranker.load(path / "reranker", threads=1) if sums["reranker"] else None, sums)


def _open_collection(
    name: str, folder: Path, settings: RetrievalSettings, models: OpenModels, facts: ReleaseFacts
) -> OpenCollection:
    retriever = Retriever.load(folder, settings, models.reranker, models.encoder.token_states)
    withheld = QuestionIndex.load(folder / "withheld") if any(folder.glob("withheld*")) else None
    unknown = frozenset(facts.declared.get(name, ())) - set(retriever.filter_fields)
    questions = QuestionIndex.load(folder / "questions")
    wordings = tuple(
        QuestionIndex.load(folder / each)
        for each in ("wordings_served", "wordings_withheld")
        if (folder / f"{each}.ids").exists()
    )
    return OpenCollection(
        retriever, questions, withheld, unknown, facts.languages.get(name, "en"), wordings, _selector(folder)
    )


def _selector(folder: Path) -> Selector | None:
    """Load a collection's selector; one of another version is not used, so that older releases are served."""
    path = folder / "selector.json"
    if not path.exists():
        return None
    try:
        return Selector.load(path)
    except ModelError as error:
        _log.warning("%s; until then the verifier decides", error)
        return None


def try_encoder(encoder: OnnxEncoder) -> None:
    """Embed the canary pair.

    Raises:
        IndexUnusableError: the vectors are degenerate, or do not tell two unrelated questions apart.
    """
    vectors = encoder.embed(_CANARIES)
    if degenerate_rows(vectors):
        raise IndexUnusableError("the release's encoder gives degenerate vectors; build the release again")
    first, second = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    if float(first @ second) > _CANARY_LIMIT:
        raise IndexUnusableError(
            f"the release's encoder gives two unrelated questions a cosine of {float(first @ second):.2f}; "
            "build the release again with a sound one"
        )
