"""Training on a team's labelled pairs: the verifier decides, holds its certificates, and can be recomputed."""

from __future__ import annotations

import gzip
import itertools
import json
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from batch.verifier.labelled_pairs import LabelledPair, read_pairs
from batch.verifier.training import compare, divide, feature_rows, fit, pairs_hash, recomputed, score_pairs, train
from rag.errors import CalibrationError
from rag.paraphrase.features import FEATURES
from rag.paraphrase.question_parser import parse
from rag.paraphrase.verifier import Candidate, Verifier

THINGS = (
    "invoice refund voucher badge locker parcel ticket manual charger receipt desk chair laptop visa coupon".split()
)
VERBS = "renew print replace request track borrow share rename archive label".split()
OPENINGS = ("How do I {} my {}?", "How can I {} my {}?", "What is the way to {} my {}?", "Tell me how to {} my {}")


def embed(texts: list[str]) -> NDArray[np.float32]:
    """A fake encoder: words hashed into 64 dimensions, rows of length 1."""
    rows = np.full((len(texts), 64), 1e-3, np.float32)
    for row, text in zip(rows, texts, strict=True):
        for word in parse(text).words:
            row[zlib.crc32(word.encode()) % 64] += 1
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def pairs() -> list[LabelledPair]:
    """Pairs with the same verb and thing are the same; with another thing they differ."""
    made = []
    for n, (verb, thing) in enumerate(itertools.product(VERBS, THINGS)):
        one, other = OPENINGS[n % 4], OPENINGS[(n + 1) % 4]
        different = THINGS[(THINGS.index(thing) + 1 + n % 5) % len(THINGS)]
        question = one.format(verb, thing)
        made += [
            LabelledPair(question, other.format(verb, thing), True),
            LabelledPair(question, OPENINGS[(n + 2) % 4].format(verb, thing), True),
            LabelledPair(question, f"{other.format(verb, different)} And why?", False),
        ]
    return made


@pytest.fixture(scope="module")
def verifier(pairs: list[LabelledPair]) -> Verifier:
    return train(pairs, ["How do I enable the badge?"], embed)


def test_a_trained_verifier_accepts_paraphrases_and_refuses_others(verifier: Verifier) -> None:
    near = Candidate("How can I print my parcel?", "same", 0.9)
    far = Candidate("How can I print my locker and why?", "other", 0.8)
    assert verifier.decide("How do I print my parcel?", [near], 0.2).accepted
    assert not verifier.decide("How do I print my parcel?", [far], 0.2).accepted


def test_lookalikes_stay_out_of_a_trained_verifier(verifier: Verifier) -> None:
    lines = (Path(__file__).parents[2] / "rag/paraphrase/lookalikes.jsonl").read_text(encoding="utf-8").splitlines()
    for case in map(json.loads, lines):
        candidate = Candidate(case["anticipated"], "key", case["similarity"])
        assert not verifier.decide(case["asked"], [candidate], 0.2).accepted, case


def test_nothing_is_accepted_without_a_certificate(verifier: Verifier) -> None:
    same = [Candidate("How do I print my parcel?", "same", 1.0)]
    assert verifier.decide("How do I print my parcel?", same, 0.0).reason == "not_certified"
    assert {each.tolerated_error for each in verifier.certificates} >= {0.0, 0.01, 0.05, 0.1, 0.2}


def test_the_stored_verifier_scores_as_the_trained_one(
    verifier: Verifier, pairs: list[LabelledPair], tmp_path: Path
) -> None:
    path = tmp_path / "verifier.json"
    verifier.save(path)
    loaded = Verifier.load(path)
    assert loaded.certificates == verifier.certificates
    assert score_pairs(loaded, pairs[:50], embed) == score_pairs(verifier, pairs[:50], embed)
    assert path.stat().st_size < 1_000_000


def test_exported_trees_give_what_scikit_learn_gives() -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    from batch.verifier import training as train_verifier

    random = np.random.default_rng(0)
    rows = random.normal(size=(600, len(FEATURES)))
    same = (rows[:, 0] + rows[:, 1] * rows[:, 2] + random.normal(size=600)) > 0
    model = HistGradientBoostingClassifier(max_iter=40, max_depth=4, max_leaf_nodes=16, early_stopping=False)
    trees = train_verifier.exported(model.fit(rows, same))
    assert np.allclose(trees.margin(rows), model.decision_function(rows))


def test_training_twice_gives_the_same_verifier(pairs: list[LabelledPair], verifier: Verifier, tmp_path: Path) -> None:
    again = train(pairs[::-1], ["How do I enable the badge?"], embed)
    verifier.save(tmp_path / "a.json")
    again.save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_text() == (tmp_path / "b.json").read_text()


def test_no_question_is_trained_and_calibrated_on(pairs: list[LabelledPair]) -> None:
    learning, held_out = divide(pairs, 3)
    assert len(learning) + len(held_out) == len(pairs)
    assert not {t for p in learning for t in (p.first, p.second)} & {t for p in held_out for t in (p.first, p.second)}


def test_certificates_are_recomputed_from_the_file(verifier: Verifier, pairs: list[LabelledPair]) -> None:
    assert all(stored == again for stored, again in recomputed(verifier, pairs[::-1], embed))
    assert verifier.details["labelled_pairs_hash"] == pairs_hash(pairs)
    _, held_out = divide(pairs, 0)
    turned = [replace(pair, same=not pair.same) if pair == held_out[0] else pair for pair in pairs]
    with pytest.raises(CalibrationError, match="the certificate names"):
        recomputed(verifier, turned, embed)


def test_too_few_or_one_sided_pairs_are_refused(pairs: list[LabelledPair]) -> None:
    with pytest.raises(CalibrationError, match="at least 200"):
        train(pairs[:100], [], embed)
    with pytest.raises(CalibrationError, match="some different"):
        train([pair for pair in pairs if pair.same], [], embed)


def test_opposites_are_among_the_training_pairs(pairs: list[LabelledPair]) -> None:
    """Even without guards, the model scores a look-alike below a paraphrase."""
    model = fit(pairs, [f"How do I enable the {thing}?" for thing in THINGS], embed)
    assert model.trees is not None
    rows = feature_rows(
        compare(
            [
                LabelledPair("How do I enable the badge?", "How do I disable the badge?", False),
                LabelledPair("How do I enable the badge?", "How can I enable the badge?", True),
            ],
            embed,
        ),
        model.vocabulary,
    )
    opposite, paraphrase = model.trees.margin(rows)
    assert opposite < paraphrase


def write(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["pairs.jsonl", "pairs.jsonl.gz"])
def test_pairs_are_read_from_json_lines(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, '{"a": "x?", "b": "y?", "same": true}\n\n{"a": "x?", "b": "z?", "same": false}\n')
    assert read_pairs(path) == ([LabelledPair("x?", "y?", True), LabelledPair("x?", "z?", False)], [])


@pytest.mark.parametrize("name", ["pairs.csv", "pairs.csv.gz"])
def test_pairs_are_read_from_csv(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, 'a,b,same\n"x, or z?",y?,1\nx?,z?,no\n')
    assert read_pairs(path) == ([LabelledPair("x, or z?", "y?", True), LabelledPair("x?", "z?", False)], [])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not a row"),
        ('{"a": "x"}', "not a row"),
        ('{"a": 1, "b": "y", "same": true}', "no text"),
        ('{"a": " ? ", "b": "y", "same": true}', "empty"),
        ('{"a": "x", "b": "y", "same": "maybe"}', "must be true or false"),
        (json.dumps({"a": "x" * 3000, "b": "y", "same": True}), "more than 2000 characters"),
        ('{"a": "Q?", "b": "p", "same": false}', "labelled different, but same at pairs.jsonl:1"),
    ],
)
def test_a_bad_row_is_rejected_with_a_reason_and_the_others_are_read(tmp_path: Path, line: str, reason: str) -> None:
    good = '{"a": "p", "b": "q", "same": true}\n{"a": "r", "b": "s", "same": false}\n'
    kept, rejects = read_pairs(write(tmp_path / "pairs.jsonl", good + line))
    assert LabelledPair("r", "s", False) in kept
    assert [each.item for each in rejects] == ["pairs.jsonl:3"]
    assert reason in rejects[0].reason


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("absent.jsonl", None, "no such file"),
        ("pairs.jsonl.gz", b"no gzip", "can't be read"),
        ("pairs.txt", b"x", "jsonl, .csv or .parquet"),
    ],
)
def test_an_unusable_file_is_one_clear_sentence(tmp_path: Path, name: str, data: bytes | None, reason: str) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(CalibrationError, match=reason):
        read_pairs(tmp_path / name)
