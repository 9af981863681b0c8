"""A wording near a question: a candidate for the verifier, with the question that may be shown in its place."""

from __future__ import annotations

from dataclasses import dataclass

from rag.paraphrase.verifier import Candidate


@dataclass(frozen=True)
class NearWording(Candidate):
    """A wording of the answer `query_key`; callers see `shown`, its primary question, since visitors wrote some."""

    wording_key: str = ""
    shown: str = ""
