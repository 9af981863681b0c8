"""How good a release's answers to golden questions are: their words, their citations and, by a judge, their faith.

An answer that is not served counts as a wrong one. Citations are judged where the right passages are known, faith
by a language model that reads the passages of the prompt; what it says neither yes nor no to is counted apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from rag.errors import LlmError
from rag.evaluation import exact_match, summarise, token_f1
from rag.llm.protocol import Completion, Llm, Message, Sampling, complete_all
from rag.prompting.template import fenced, own_template, split_parts
from warehouse.audit.golden import Golden
from warehouse.evaluation.retrieval import wording_owners
from warehouse.releases.release import Release

_SAMPLING = Sampling(max_tokens=8)
_AT_ONCE = 8
_VERDICT = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Answered:
    """A golden question, the answer that visitors get, the chunks that it cites, and the passages of its prompt.

    `answer` is None where none is served.
    """

    golden: Golden
    right: frozenset[str]
    answer: str | None
    cited: frozenset[str] = frozenset()
    passages: tuple[str, ...] = ()


def read_answers(release: Release, located: Sequence[tuple[Golden, frozenset[str]]]) -> list[Answered]:
    """Read the served answers to golden questions."""
    with duckdb.connect(str(release.database), read_only=True) as tables:
        answered_by = wording_owners(tables)
        keys = [answered_by.get(golden.query_key, golden.query_key) for golden, _ in located]
        served = "SELECT query_key, answer FROM answers WHERE status = 'served' AND list_contains(?, query_key)"
        answers: Mapping[str, str] = dict(tables.execute(served, [keys]).fetchall())
        cited = _lists(
            tables,
            "SELECT query_key, chunk_id FROM citations WHERE kind = 'cited' AND list_contains(?, query_key)",
            keys,
        )
        passages = _lists(
            tables,
            "SELECT r.query_key, c.text FROM retrievals r JOIN chunks c USING (chunk_id) "
            "WHERE r.in_prompt AND list_contains(?, r.query_key) ORDER BY c.document_id, c.position",
            keys,
        )
    return [
        Answered(
            golden,
            right,
            answers.get(key),
            frozenset(cited.get(key, ())),
            tuple(passages.get(key, ())),
        )
        for (golden, right), key in zip(located, keys, strict=True)
    ]


def _lists(tables: duckdb.DuckDBPyConnection, query: str, keys: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in tables.execute(query, [list(keys)]).fetchall():
        found.setdefault(str(key), []).append(str(value))
    return found


def answer_measures(answered: Sequence[Answered]) -> dict[str, float]:
    """Return the means of what can be said of the answers; a measure that no question allows is absent."""
    measures = {"served": [float(each.answer is not None) for each in answered]}
    for each in answered:
        for name, value in _measures(each).items():
            measures.setdefault(name, []).append(value)
    return {
        name: summarise([{name: value} for value in values]).means[name] for name, values in measures.items() if values
    }


def _measures(each: Answered) -> dict[str, float]:
    golden, answer, found = each.golden, each.answer, dict[str, float]()
    if golden.reference:
        found["exact_match"] = exact_match(answer, [golden.reference]) if answer is not None else 0.0
        found["f1"] = token_f1(answer, [golden.reference]) if answer is not None else 0.0
    if golden.expected:
        folded = (answer or "").casefold()
        found["expected_text"] = float(
            answer is not None and all(text.casefold() in folded for text in golden.expected)
        )
    if each.right and answer is not None:
        found["cites_right"] = float(not each.right.isdisjoint(each.cited))
        if each.cited:
            found["citations_right"] = len(each.right & each.cited) / len(each.cited)
    return found


async def judge_faith(answered: Sequence[Answered], llm: Llm) -> dict[str, float]:
    """Return the share of answers that a judge finds stated by their passages, and how many it did not judge.

    Raises:
        LlmError: the judge could not be asked at all.
    """
    asked = [each for each in answered if each.answer is not None and each.passages]
    said = await complete_all(llm, [_chat(each) for each in asked], _SAMPLING, _AT_ONCE)
    failed = [each for each in said if isinstance(each, LlmError)]
    if failed and len(failed) == len(said):
        raise failed[0]
    verdicts = [_VERDICT.match(each.text) for each in said if isinstance(each, Completion)]
    judged = [each[1].casefold() == "yes" for each in verdicts if each]
    found = {"unjudged": float(len(said) - len(judged))}
    return found | ({"faithful": sum(judged) / len(judged)} if judged else {})


def _chat(each: Answered) -> list[Message]:
    filling = {
        "passages": "\n\n".join(map(fenced, each.passages)),
        "question": fenced(each.golden.question),
        "answer": fenced(each.answer or ""),
    }
    parts = split_parts(own_template("judge_faith"), "a template of the package")
    return [
        Message(role, re.sub(r"\{(passages|question|answer)\}", lambda name: filling[name[1]], text))
        for role, text in parts.items()
    ]
