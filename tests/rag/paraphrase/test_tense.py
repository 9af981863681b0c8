"""The tense and mood of a question, and which changes of them change its meaning."""

import pytest

from rag.paraphrase.alignment import align
from rag.paraphrase.question_parser import parse
from rag.paraphrase.tense import tense, tense_differs


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("Did the office move?", "past"),
        ("Has the office moved?", "perfect"),
        ("Where is the office?", "present"),
        ("Will the office move?", "future"),
        ("Who is going to lead payroll?", "future"),
        ("Should the office move?", "should"),
        ("Could we have avoided the fee?", "could_have"),
        ("Who used to lead payroll?", "formerly"),
        ("Did you use to sell jackets?", "formerly"),
        ("What is vinegar used to treat?", "present"),
        ("I was wondering if I should move", "should"),
        ("office address", ""),
    ],
)
def test_the_first_auxiliary_gives_the_tense(question, found):
    assert tense(parse(question)) == found


@pytest.mark.parametrize(
    ("first", "second", "differs"),
    [
        ("Which trains were cancelled?", "Which trains will be cancelled?", True),
        ("Which trains were cancelled?", "Which trains are going to be cancelled?", True),
        ("Did the museum give the marbles back?", "Should the museum give the marbles back?", True),
        ("What currency did Croatia use before the euro?", "What currency does Croatia use?", True),
        ("Did you use to sell jackets?", "Do you sell jackets?", True),
        ("What was yellow journalism?", "What is yellow journalism?", False),
        ("How will I open an account?", "How do I open an account?", False),
        ("How do I reset it?", "How can I reset it?", False),
    ],
)
def test_only_changes_of_tense_that_matter_differ(first, second, differs):
    a, b = parse(first), parse(second)
    assert tense_differs(a, b, align(a, b)) is differs
    assert tense_differs(b, a, align(b, a)) is differs
