"""Collections in languages that no guard knows: the multilingual encoder, and wordings of their own."""

from pathlib import Path

import numpy as np
import pytest

from batch.selection.release_wordings import units
from batch.selection.training import train_selector
from rag.paraphrase.verifier import Verifier
from rag.retrieval.embedding import OnnxEncoder
from rag.selection.certificate import OWN
from rag.selection.evidence import Wordings, nearest
from rag.selection.selector import select

ENCODER = Path(__file__).parents[3] / "models" / "multilingual-e5-small"
NONE: tuple[list[str], np.ndarray] = ([], np.zeros((0, 384), np.float32))
NO_FENCES = Wordings([], [], np.zeros((0, 384), np.float32))
TOLERATED = 0.1
ASKED = {
    "de": ("Passwort leider vergessen, wie bekomme ich ein neues?", "Wie hoch ist der Eiffelturm?"),
    "es": ("olvidé la contraseña, ¿cómo consigo otra?", "¿Qué altura tiene la torre Eiffel?"),
    "ja": ("パスワードを忘れたので再設定したい", "エッフェル塔の高さはどのくらいですか"),
}


def desk(encoder: OnnxEncoder, language: str) -> Wordings:
    """The answers of a shop, one a line, by their first wording."""
    text = (Path(__file__).parent / "languages" / f"{language}.txt").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in text.splitlines()]
    texts = [wording for row in rows for wording in row]
    return Wordings(texts, [row[0] for row in rows for _ in row], units(encoder.embed(texts)))


@pytest.mark.skipif(not ENCODER.exists(), reason="make multilingual")
@pytest.mark.parametrize("language", ["de", "es", "ja"])
def test_own_wordings_certify_a_selector_without_guards(language):
    encoder = OnnxEncoder.load(ENCODER, threads=1)
    wordings = desk(encoder, language)

    selector = train_selector(wordings, NO_FENCES, NONE, guarded=False)

    assert selector is not None and not selector.guarded
    certificate = selector.certificate(TOLERATED)
    assert certificate is not None and certificate.source == OWN
    vectors = units(encoder.embed(ASKED[language]))
    found = [
        select(selector, Verifier.default(), text, vector, nearest(vector, wordings), TOLERATED).answer
        for text, vector in zip(ASKED[language], vectors, strict=True)
    ]
    assert found == [wordings.answers[0], None]
