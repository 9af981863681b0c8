import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.questions.question_attributes import completed
from batch.questions.question_files import CuratedPair, Question, Reject, parse_curated, parse_questions
from rag.identity import normalise, query_key


def read(name, data, **limits):
    return list(parse_questions(name, data.encode() if isinstance(data, str) else data, "default", **limits))


def texts(name, data):
    return [item.question for item in read(name, data)]


def parquet(rows):
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


def batch_line(custom_id, messages):
    return json.dumps(
        {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions",
         "body": {"model": "m", "messages": messages}}
    )  # fmt: skip


def test_a_text_file_has_one_question_a_line_with_comments_and_blank_lines():
    [first, second] = read("questions.txt", "# Basics\n\n  What   is it? \r\nHow does it work?")
    assert first == Question(
        "default", query_key("default", "what is it"), "What is it?", "what is it", "list", "questions.txt, line 3"
    )
    assert second.detail == "questions.txt, line 4"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("q.jsonl", '{"question": "What?", "id": 1}\n"How\\nso?"\n'),
        ("q.csv", "id,Question\n1,What?\n2,How so?\n"),
        ("q.parquet", parquet([{"question": "What?"}, {"question": "How so?"}])),
    ],
)
def test_rows_of_questions_are_read(name, data):
    assert texts(name, data) == ["What?", "How so?"]


def test_requests_in_batch_format_give_their_last_user_message():
    lines = [
        batch_line("one", [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What?"}]),
        batch_line("two", [{"role": "user", "content": "Old?"}, {"role": "assistant", "content": "Yes."},
                           {"role": "user", "content": [{"type": "text", "text": "New?"}, {"type": "image_url"}]}]),
        batch_line("three", [{"role": "system", "content": "Alone."}]),
        batch_line("four", "nonsense"),
    ]  # fmt: skip
    first, second, *rejects = read("batch.jsonl", "\n".join(lines))
    assert (first.question, second.question) == ("What?", "New?")
    assert first.detail == "batch.jsonl, line 1, one"
    assert [reject.item for reject in rejects] == ["batch.jsonl, line 3, three", "batch.jsonl, line 4, four"]


def test_the_name_of_a_request_is_tidied_to_what_a_table_can_hold():
    [question] = read("batch.jsonl", batch_line("one\ud800", [{"role": "user", "content": "What?"}]))
    assert question.detail == "batch.jsonl, line 1, one\ufffd"


@pytest.mark.parametrize(
    ("name", "data", "item", "reason"),
    [
        ("q.txt", "", "q.txt", "empty: there are no questions"),
        ("q.txt", "# only\n\n# comments", "q.txt", "empty: there are no questions"),
        ("q.txt", "?!...", "q.txt, line 1", "punctuation only"),
        ("q.txt", "(++)", "q.txt, line 1", "punctuation only"),
        ("q.txt", "What is \x07 this?", "q.txt, line 1", "it holds control characters"),
        ("q.txt", "why " * 501, "q.txt, line 1", "too long for a question (2,003 characters, at most 2,000)"),
        ("q.txt", "Größe?".encode("latin-1"), "q.txt", "not valid UTF-8"),
        ("q.jsonl", '{"question": "  "}', "q.jsonl, line 1", "empty: there is no question"),
        ("q.jsonl", '{"question": null}', "q.jsonl, line 1", "empty: there is no question"),
        ("q.jsonl", '{"question": 3}', "q.jsonl, line 1", "its question is not a string"),
        ("q.jsonl", '{"q": "What?"}', "q.jsonl, line 1", "no field named question"),
        ("q.jsonl", '"half \\ud800"', "q.jsonl, line 1", "it holds control characters"),
        ("q.csv", "id\n1\n", "q.csv", "no column named question"),
    ],
)
def test_unusable_questions_are_rejected_with_a_reason(name, data, item, reason):
    [reject] = read(name, data)
    assert isinstance(reject, Reject)
    assert reject.item == item
    assert reject.reason.startswith(reason)


def test_objects_are_no_texts_beside_a_question():
    rows = [
        {"question": "a?", "variants": {"text": "b?"}},
        {"question": "c?", "variants": [["d?"]]},
        {"question": "e?"},
    ]
    found = list(parse_questions("q.jsonl", "\n".join(map(json.dumps, rows)).encode(), "main"))

    assert [each.reason for each in found if isinstance(each, Reject)] == [
        "the column 'variants' holds an object: write a text or a list of texts"
    ] * 2
    assert [each.question for each in found if isinstance(each, Question)] == ["e?"]


def test_a_format_that_lists_are_not_read_from_is_no_list_of_its_lines():
    (reject,) = parse_questions("team.yaml", b"- question: How heavy is it?\n  variants:\n", "main")

    assert reject == Reject("team.yaml", "questions are read from .txt, .jsonl, .csv and .parquet: convert the file")


def test_a_bad_line_leaves_the_others():
    first, reject, last = read("q.jsonl", '"What?"\n{"question": "tor\n"How?"')
    assert (first.question, last.question) == ("What?", "How?")
    assert reject.item == "q.jsonl, line 2"


def test_repeated_questions_are_left_for_the_pipeline_to_find():
    first, second = read("q.txt", "What is it?\nwhat is  IT")
    assert first.query_key == second.query_key


@given(
    st.binary(max_size=120) | st.text(max_size=120).map(str.encode), st.sampled_from(["txt", "jsonl", "csv", "parquet"])
)
def test_every_question_that_is_read_can_be_asked(data, ending):
    for item in read(f"q.{ending}", data):
        if isinstance(item, Question):
            assert item.question == " ".join(item.question.split())
            assert item.normalised == normalise(item.question) != ""
            item.question.encode("utf-8")


def curated(name, data):
    return list(parse_curated(name, data.encode() if isinstance(data, str) else data, "default"))


def test_a_curated_pair_keeps_its_answer_and_documents():
    [pair] = curated(
        "c.jsonl", '{"question": "What?", "answer": " One.\\r\\n\\r\\nTwo. ", "documents": ["a.md", "a.md"]}'
    )
    assert pair == CuratedPair(
        "default", query_key("default", "What?"), "What?", "what", "One.\n\nTwo.", ("a.md",), "c.jsonl, line 1"
    )


def test_curated_pairs_come_from_tables_too():
    [from_csv] = curated("c.csv", "question,answer,documents\nWhat?,This.,a.md; b.md\n")
    [from_parquet] = curated(
        "c.parquet", parquet([{"question": "What?", "answer": "This.", "documents": ["a.md", "b.md"]}])
    )
    assert from_csv.documents == from_parquet.documents == ("a.md", "b.md")
    assert curated("c.jsonl", '{"question": "What?", "answer": "This."}')[0].documents == ()


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("c.jsonl", '{"question": "What?"}', "there is no answer"),
        ("c.jsonl", '{"question": "What?", "answer": " "}', "there is no answer"),
        ("c.jsonl", '{"question": "What?", "answer": 3}', "there is no answer"),
        ("c.jsonl", '{"question": "?", "answer": "This."}', "punctuation only"),
        ("c.jsonl", '{"question": "What?", "answer": "This.", "documents": [3]}', "its documents are not"),
        ("c.jsonl", '{"question": "What?", "answer": "' + "x" * 20_001 + '"}', "its answer is too long"),
        ("c.jsonl", '{"answer": "This."}', "no field named question"),
        ("c.jsonl", "", "empty: there are no pairs"),
        ("c.txt", "What? This.", "pairs are read from"),
        ("c.csv", "answer\nThis.\n", "no column named question"),
    ],
)
def test_unusable_pairs_are_rejected_with_a_reason(name, data, reason):
    [reject] = curated(name, data)
    assert isinstance(reject, Reject)
    assert reject.reason.startswith(reason)


def test_rows_say_what_a_question_is_worth_who_looks_after_it_and_what_its_answer_must_contain():
    [item] = read("q.csv", 'question,weight,tags,Expected,owner,Product\nWhat?,"2,5",a; b,30 days,Kim,Shop\n')
    assert (item.weight, item.tags, item.expected, item.owner) == (2.5, ["a", "b"], "30 days", "Kim")
    assert item.metadata == {"product": ["Shop"]}


def test_lists_in_json_and_parquet_are_lists():
    row = {"question": "What?", "tags": ["a", "b"], "expected": ["30", "days"], "versions": ["1", "2"]}
    for item in (*read("q.jsonl", json.dumps(row)), *read("q.parquet", parquet([row]))):
        assert (item.tags, item.expected, item.metadata) == (["a", "b"], "30\ndays", {"versions": ["1", "2"]})


@pytest.mark.parametrize("weight", ["much", "-1", "nan", "1e999"])
def test_a_weight_that_is_no_number_is_told(weight):
    [item] = read("q.csv", f"question,weight\nWhat?,{weight}\n")
    assert item == Reject("q.csv, line 2", f"its weight is {weight!r}: write a number that is not negative")


def test_a_list_is_read_as_a_spreadsheet_saves_it():
    saved = "sep=;\nquestion;owner\nWie groß ist es?;Zoé\n".encode("cp1252")
    [item] = read("q.csv", saved)
    assert (item.question, item.owner) == ("Wie groß ist es?", "Zoé")
    [pair] = parse_curated("c.csv", saved.replace(b"owner", b"answer"), "default")
    assert pair.answer == "Zoé"


def test_a_pair_keeps_what_its_row_says_besides():
    [pair] = parse_curated(
        "c.jsonl", b'{"question": "What?", "answer": "That.", "weight": 3, "audience": "HR"}', "default"
    )
    assert (pair.weight, pair.metadata) == (3.0, {"audience": ["HR"]})


def test_a_question_that_is_asked_twice_keeps_what_either_row_says():
    first, second = read("q.csv", "question,weight,owner,product\nWhat?,,Kim,\nWhat?,4,Jo,Shop\n")
    kept = completed(first, [second])
    assert (kept.weight, kept.owner, kept.metadata) == (4.0, "Kim", {"product": ["Shop"]})
