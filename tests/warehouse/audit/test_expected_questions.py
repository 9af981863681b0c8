"""Questions of the team's lists that say what their answers must contain are golden questions too."""

import duckdb

from warehouse.audit.expected_questions import expected_questions


def test_a_listed_question_with_expected_texts_is_golden_under_its_filters():
    with duckdb.connect() as tables:
        tables.execute(
            "CREATE TABLE questions AS FROM (VALUES "
            "('help', 'k1', 'How long?', 'ten days' || chr(10) || 'card', 'list, line 2', 3, MAP {'version': '1'}), "
            "('help', 'k2', 'Who?', NULL, 'list, line 3', 1, MAP {}), "
            "('help', 'k3', 'When?', 'spring', 'list, line 4', 1, MAP {})"
            ") AS t(collection, query_key, question, expected, detail, weight, filters)"
        )

        (golden,) = expected_questions(tables, known={"k3"})

    assert (golden.query_key, golden.expected, golden.weight) == ("k1", ("ten days", "card"), 3.0)
    assert golden.filters == (("version", "1"),)


def test_an_older_release_has_none():
    with duckdb.connect() as tables:
        tables.execute("CREATE TABLE questions AS SELECT 'help' AS collection, 'k1' AS query_key, 'Who?' AS question")

        assert expected_questions(tables) == []
