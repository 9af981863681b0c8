"""Problems as responses: their statuses, headers and shapes."""

from __future__ import annotations

import msgspec
import pytest

from online.errors import Problem, as_problem
from online.http.problems import KINDS, headers_of, render, status_of
from rag.errors import LlmRefusedError, LlmUnavailableError, QuestionError


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (QuestionError("too long"), 422),
        (LlmRefusedError("at http://10.0.0.7: no"), 502),
        (LlmUnavailableError("at http://10.0.0.7: down"), 503),
        (LlmUnavailableError("busy", retry_after=7.2), 503),
    ],
)
def test_errors_of_the_business_logic_have_their_status_and_keep_addresses_to_themselves(
    error: Exception, status: int
) -> None:
    problem = as_problem(error)
    assert status_of(problem.kind) == status
    assert "10.0.0.7" not in problem.detail


def test_a_wait_is_told_in_whole_seconds_rounded_up() -> None:
    assert headers_of(as_problem(LlmUnavailableError("busy", retry_after=7.2)))["retry-after"] == "8"
    assert headers_of(Problem("queue-full", "full", retry_after=0.0))["retry-after"] == "1"


def test_a_fault_of_ours_is_not_dressed_up() -> None:
    with pytest.raises(ZeroDivisionError):
        as_problem(ZeroDivisionError())


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_problem_can_be_rendered_for_both_kinds_of_routes(kind: str) -> None:
    problem = Problem(kind, "detail", param="question")
    ours = msgspec.json.decode(render(problem, "r-1", openai=False).body)
    theirs = msgspec.json.decode(render(problem, "r-1", openai=True).body)
    assert (ours["status"], ours["title"]) == KINDS[kind]
    assert theirs["error"]["message"] == "detail"
    assert theirs["error"]["type"]
