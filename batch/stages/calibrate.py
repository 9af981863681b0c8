"""Calibrate: from labelled pairs of questions to the verifier of semantic hits, certified for the tolerated errors.

The pairs come from the team's files and from what people have labelled since (`<data>/labelled_pairs.jsonl`, written
by `beforehand review import`). Training takes minutes, so a verifier is kept under the hash of its input: the same
pairs and encoder find it again. With too few pairs there is none, and the service uses its conservative default.

A collection whose answers have several wordings gets a selector too (`batch.selection`), certified on these wordings
and kept in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from batch import progress
from batch.generation.prompt_order import batches
from batch.plan import Figures, RunPlan
from batch.rejects import reject_row
from batch.retrieval.question_ranking import question_hash
from batch.selection.release_wordings import CollectionTexts, collection_texts, texts_of, units
from batch.selection.training import TOLERATED_ERRORS as SELECTED_ERRORS
from batch.selection.training import recomputed as recomputed_selection
from batch.selection.training import train_selector
from batch.stores.embedding_store import find_vectors, known_hashes, open_encoder, write_vectors
from batch.stores.generation_store import batch_name
from batch.stores.parquet import read_table, rows_to_table, table_rows, write_table
from batch.verifier.labelled_pairs import LabelledPair, read_pairs
from batch.verifier.training import TOLERATED_ERRORS, pairs_hash, recomputed, train
from rag.errors import CalibrationError
from rag.identity import stable_hash
from rag.paraphrase.calibration import Certificate
from rag.paraphrase.verifier import FORMAT, Candidate, Verifier
from rag.retrieval.vectors import Vectors
from rag.selection.certificate import SelectionCertificate
from rag.selection.evidence import Wordings, nearest
from rag.selection.selector import FORMAT as SELECTOR_FORMAT
from rag.selection.selector import Selector, select
from rag.text.languages import is_guarded
from rag.text.table_files import Reject
from warehouse.tables import QUESTIONS, AnswerWordingRow, FenceRow, QuestionRow, RejectRow

STAGE = "calibrate"
_JUDGED = 4  # as the service does
_TOGETHER = 512  # texts embedded and stored at once


def calibrate(plan: RunPlan) -> Figures:
    """Train the verifier, or reuse the one that was trained on the same pairs."""
    pairs, rejects = _labelled_pairs(plan)
    figures = {"labelled_pairs": len(pairs), "trained": 0, "rejects": 0}
    if pairs and not verifier_path(plan, pairs).exists():
        try:
            _train(plan, pairs)
            figures["trained"] = 1
        except CalibrationError as error:
            rejects.append(Reject("labelled pairs", str(error)))
    if pairs and verifier_path(plan, pairs).exists():
        folder = Path(plan.folder(STAGE))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "verifier.json").write_bytes(verifier_path(plan, pairs).read_bytes())
    if selectors := _calibrate_selectors(plan):
        figures["selectors"] = selectors
    rows = [reject_row(plan.run_id, STAGE, "", each) for each in rejects]
    write_table(f"{plan.folder(STAGE)}/rejects/part.parquet", rows_to_table(rows, RejectRow))
    return {**figures, "rejects": len(rows)}


def selector_path(plan: RunPlan, collection: str) -> Path:
    """Return the file of a collection's selector in this run; there is none where few answers have several wordings."""
    return Path(plan.folder(STAGE), collection, "selector.json")


def selection_facts(plan: RunPlan, collection: str) -> dict[str, object]:
    """Return what the manifest says of a collection's selector: the certificate for its tolerated error, if any."""
    path = selector_path(plan, collection)
    if not path.exists():
        return {}
    found = Selector.load(path).certificate(plan.collections[collection].tolerated_error)
    return {"selection": None if found is None else found.as_json()}


def _calibrate_selectors(plan: RunPlan) -> int:
    """Calibrate the selector of each collection with wordings; return how many there are."""
    found = 0
    for name, texts in collection_texts(plan).items():
        errors = sorted({*SELECTED_ERRORS, plan.collections[name].tolerated_error})
        guarded = is_guarded(plan.language(name)) or plan.language(name) == plan.settings.pairs_language
        digest = stable_hash("selector", SELECTOR_FORMAT, texts.hash, plan.encoder_id, errors, guarded)
        kept = Path(plan.data, "verifiers", f"selector-{digest}.json")
        if not kept.exists():
            selector = _train_selector(plan, texts, errors, guarded)
            if selector is None:
                continue
            kept.parent.mkdir(parents=True, exist_ok=True)
            hidden = kept.with_name(f".{kept.name}.tmp")
            selector.save(hidden)
            hidden.replace(kept)
        target = selector_path(plan, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(kept.read_bytes())
        found += 1
    return found


def _train_selector(plan: RunPlan, texts: CollectionTexts, errors: Sequence[float], guarded: bool) -> Selector | None:
    return train_selector(*_embedded(plan, texts), errors, guarded=guarded, judged=texts.judged)


def _embedded(plan: RunPlan, texts: CollectionTexts) -> tuple[Wordings, Wordings, tuple[Sequence[str], Vectors]]:
    """Return the wordings, the fences and the texts outside, with their vectors."""

    def embed(some: Sequence[str]) -> Vectors:
        return units(_embed(plan, some))

    outside = list(texts.outside)
    return texts.embedded(embed), texts.embedded_fences(embed), (outside, embed(outside))


def recompute_selection(
    plan: RunPlan, release: Path
) -> dict[str, list[tuple[SelectionCertificate, SelectionCertificate | None]]]:
    """Recompute the certificates of a release's selectors from its wordings, by collection: (stored, recomputed)."""
    stored = {path.parent.name: path for path in sorted(release.glob("collections/*/selector.json"))}
    if not stored:
        return {}
    with duckdb.connect(str(release / "warehouse.duckdb"), read_only=True) as tables:
        questions = table_rows(tables.table("questions").to_arrow_table(), QuestionRow)
        wordings = table_rows(tables.table("wordings").to_arrow_table(), AnswerWordingRow)
        fences = table_rows(tables.table("fences").to_arrow_table(), FenceRow)
    found = {}
    for name, texts in texts_of(stored, questions, wordings, fences).items():
        parts = _embedded(plan, texts)
        found[name] = recomputed_selection(Selector.load(stored[name]), *parts, texts.judged)
    return found


def count_fences(plan: RunPlan) -> tuple[int, int]:
    """Return how many fences the run has, and how many would get their answer if the list of fences didn't bar it."""
    fences = hits = 0
    pairs, _ = _labelled_pairs(plan)
    path = verifier_path(plan, pairs)
    verifier = Verifier.load(path) if pairs and path.exists() else Verifier.default()
    for name, texts in collection_texts(plan).items():
        if not texts.fences:
            continue
        wordings = texts.embedded(lambda some: _embed(plan, some))
        selector = Selector.load(selector_path(plan, name)) if selector_path(plan, name).exists() else None
        vectors = units(_embed(plan, [text for text, _ in texts.fences]))
        tolerated = plan.collections[name].tolerated_error
        for (text, answer), vector in zip(texts.fences, vectors, strict=True):
            near = nearest(vector, wordings)
            fences += 1
            if selector is not None:
                hits += select(selector, verifier, text, vector, near, tolerated, texts.single).answer == answer
            else:
                candidates = list(map(Candidate, near.texts, near.answers, map(float, near.vectors @ vector)))
                found = verifier.decide(text, candidates[:_JUDGED], tolerated)
                hits += found.accepted and found.query_key == answer
    return fences, hits


def verifier_path(plan: RunPlan, pairs: Sequence[LabelledPair]) -> Path:
    """Return the file that keeps the verifier of these pairs across runs."""
    errors = sorted({*TOLERATED_ERRORS, *(each.tolerated_error for each in plan.collections.values())})
    language = [] if plan.settings.pairs_language == "en" else [plan.settings.pairs_language]
    digest = stable_hash(FORMAT, pairs_hash(pairs), plan.encoder_id, errors, *language)
    return Path(plan.data, "verifiers", f"{digest}.json")


def recompute_certificates(plan: RunPlan, verifier: Path) -> list[tuple[Certificate, Certificate]]:
    """Recompute the certificates of a release's verifier from the labelled pairs: (stored, recomputed).

    Raises:
        CalibrationError: the release has no verifier of its own, or it was calibrated on other pairs.
    """
    if not verifier.exists():
        raise CalibrationError(f"{verifier.parent.name} has no verifier of its own: no labelled pairs were configured")
    pairs, _ = _labelled_pairs(plan)
    return recomputed(Verifier.load(verifier), pairs, lambda texts: _embed(plan, texts))


def _labelled_pairs(plan: RunPlan) -> tuple[list[LabelledPair], list[Reject]]:
    own = Path(plan.data, "labelled_pairs.jsonl")
    pairs: dict[tuple[str, str], LabelledPair] = {}
    rejects: list[Reject] = []
    for path in [*map(Path, plan.settings.labelled_pairs), *([own] if own.exists() else [])]:
        found, wrong = read_pairs(path)
        pairs.update({(pair.first, pair.second): pair for pair in found})  # the latest label counts
        rejects += wrong
    return list(pairs.values()), rejects


def _train(plan: RunPlan, pairs: Sequence[LabelledPair]) -> None:
    table = read_table(f"{plan.folder('anticipate')}/questions", QUESTIONS, ["question"])
    errors = {*TOLERATED_ERRORS, *(each.tolerated_error for each in plan.collections.values())}
    verifier = train(
        pairs, table["question"].to_pylist(), lambda texts: _embed(plan, texts), tolerated_errors=sorted(errors)
    )
    verifier = replace(verifier, details={**verifier.details, "language": plan.settings.pairs_language})
    target = verifier_path(plan, pairs)
    target.parent.mkdir(parents=True, exist_ok=True)
    hidden = target.with_name(f".{target.name}.tmp")
    verifier.save(hidden)
    hidden.replace(target)


def _embed(plan: RunPlan, texts: Sequence[str]) -> Vectors:
    """Return the vectors of texts, kept in the embedding store, so that a second training embeds nothing."""
    hashes = [question_hash(text) for text in texts]
    known = known_hashes(plan.embedding_store)
    missing = {key: text for key, text in zip(hashes, texts, strict=True) if key not in known}
    progress.expect("embedding labelled pairs", len(missing), "texts")
    for keys in batches(list(missing), _TOGETHER):
        vectors = open_encoder(plan.encoder, plan.encoder_spec, len(missing) > _TOGETHER)(
            [missing[key] for key in keys]
        )
        write_vectors(f"{plan.embedding_store}/{batch_name(keys)}.parquet", keys, vectors)
        progress.advance(len(keys))
    return find_vectors(plan.embedding_store, hashes, plan.encoder_spec.dimensions)
