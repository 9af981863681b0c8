"""The prepared answers nearest to a text, by the nearest of each answer's wordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from batch.plan import RunPlan
from batch.retrieval.question_ranking import embed_questions, question_vectors
from batch.rows import WordingRow
from batch.stores.parquet import empty_folder, rows_to_table, write_table
from batch.wordings.cases import Exam
from batch.wordings.exams import exam_of, examined
from batch.wordings.prepared_answers import PreparedAnswer
from rag.filters import Filters
from rag.identity import stable_hash
from rag.retrieval.vector_index import VectorIndex
from rag.retrieval.vectors import Vectors

Place = tuple[str, Filters]
"""A collection and a set of filters: within it questions and answers are compared."""

_EXAMINED = 32  # answers near a question, among which one is looked for that surely does not fit
_TOGETHER = 1024  # texts searched for at once: a hundred thousand would take a gigabyte
_COMPARED = 4  # further wordings of an answer, by which guards are asked whether they have a say about it
_WORDINGS_AN_ANSWER = 20  # searched for each answer that is wanted, since an answer's wordings are near each other


@dataclass(frozen=True)
class Near:
    """An answer near a text: its nearest wording, the cosine to that, and its next nearest wordings."""

    answer: PreparedAnswer
    wording: str
    similarity: float
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class NearestAnswers:
    """The answers of one collection and one set of filters, by the vectors of their wordings."""

    answers: Sequence[PreparedAnswer]
    wordings: Sequence[tuple[int, str]]
    index: VectorIndex

    @classmethod
    def build(cls, plan: RunPlan, folder: str, answers: Sequence[PreparedAnswer]) -> NearestAnswers:
        """Embed the wordings, written below `folder`, and index them."""
        wordings = [(number, text) for number, answer in enumerate(answers) for text in answer.wordings]
        vectors = embed_texts(plan, folder, [text for _, text in wordings])
        return cls(answers, wordings, VectorIndex.build(vectors, [str(row) for row in range(len(wordings))]))

    def nearest(self, vectors: Vectors, most: int) -> list[list[Near]]:
        """Return up to `most` different answers near each of n vectors, best first."""
        found: list[list[Near]] = []
        for start in range(0, len(vectors), _TOGETHER):
            rows = self.index.search(vectors[start : start + _TOGETHER], most * _WORDINGS_AN_ANSWER)
            found += [self._distinct(each, most) for each in rows]
        return found

    def exam(self, plan: RunPlan, folder: str) -> Exam:
        """Return an exam of the judge about some of the answers; `folder` takes what is embedded for it."""
        chosen = examined(self.answers)
        vectors = embed_texts(plan, folder, [each.question for each in chosen])
        return exam_of(chosen, self.nearest(vectors, _EXAMINED))

    def _distinct(self, found: Sequence[tuple[str, float]], most: int) -> list[Near]:
        near: dict[int, Near] = {}
        others: dict[int, list[str]] = {}
        for row, similarity in found:
            number, wording = self.wordings[int(row)]
            if number not in near:
                near[number] = Near(self.answers[number], wording, similarity)
            elif len(further := others.setdefault(number, [])) < _COMPARED:
                further.append(wording)
        first = list(near.items())[:most]
        return [replace(each, others=tuple(others.get(number, ()))) for number, each in first]


def embed_texts(plan: RunPlan, folder: str, texts: Sequence[str]) -> Vectors:
    """Return the vectors of n texts, of shape (n, dimensions); those that are new are written to the store."""
    rows: list[WordingRow] = [
        {"collection": "", "query_key": "", "question": text, "sketched": False} for text in texts
    ]
    empty_folder(folder)
    write_table(f"{folder}/texts.parquet", rows_to_table(rows, WordingRow))
    embed_questions(plan, folder)
    return question_vectors(plan, rows)


def place_folder(plan: RunPlan, stage: str, place: Place) -> str:
    """Return where a stage keeps what belongs to a place."""
    return f"{plan.folder(stage)}/places/{stable_hash(*place)}"


def exams_of(plan: RunPlan, stage: str, places: Mapping[Place, NearestAnswers]) -> dict[str, Exam]:
    """Return the exams of the judge by collection."""
    exams: dict[str, Exam] = {}
    for place, index in places.items():
        exam = index.exam(plan, f"{place_folder(plan, stage, place)}/exam")
        exams[place[0]] = exams[place[0]].joined(exam) if place[0] in exams else exam
    return exams
