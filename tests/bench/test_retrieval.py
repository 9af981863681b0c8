"""Which chunks count as the right passage of a question."""

import json

from bench.retrieval import read_corpora


def count_words(text):
    return len(text.split()) + 2


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_phrase_is_right_on_its_pages_only_whatever_its_marks_and_case(tmp_path):
    asked = {"corpus": "pots", "question": "Hot?", "pages": ["care.md"], "phrase": "is *hot* when", "also": []}
    write(
        tmp_path,
        {
            "questions.jsonl": json.dumps(asked),
            "pots/documents/care.md": "# Care\n\n## Lid\n\nThe lid is hot, when steam rises.\n\n## Pot\n\nDry it.\n",
            "pots/documents/other.md": "# Other\n\nIt is hot when steam rises.\n",
        },
    )

    (corpus,) = read_corpora(tmp_path, count_words)

    (right,) = corpus.right(corpus.asked[0])
    assert corpus.chunks[right].heading == "Lid"
    assert corpus.section(right) == {right}


def test_a_question_about_a_whole_document_is_answered_by_any_of_its_chunks(tmp_path):
    document = {"id": "d1", "title": "Pots", "text": "# One\n\nFirst.\n\n# Two\n\nSecond."}
    write(
        tmp_path,
        {
            "documents.jsonl": json.dumps(document),
            "questions.jsonl": json.dumps({"question": "Which?", "document": "d1", "answers": ["First"]}),
        },
    )

    (corpus,) = read_corpora(tmp_path, count_words)

    assert corpus.right(corpus.asked[0]) == set(corpus.chunks)
