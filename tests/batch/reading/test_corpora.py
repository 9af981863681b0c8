"""The small corpora that the pipeline tests and the example use."""

import json
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from pydoc_data.topics import topics

import pytest

from batch.questions.question_files import CuratedPair, Question, parse_curated, parse_questions
from batch.reading.document import Document
from batch.reading.documents import parse
from rag.text.table_files import Reject

TESTS = Path(__file__).parents[2]
EXAMPLE = TESTS.parent / "examples/python"


def documents(folder):
    files = sorted(file for file in folder.iterdir() if file.name != "questions.txt")
    return [item for file in files for item in parse(file.name, file.read_bytes(), "default")]


def questions(file):
    return list(parse_questions(file.name, file.read_bytes(), "default"))


@pytest.fixture(scope="module")
def example_writer():
    spec = spec_from_file_location("write_documents", EXAMPLE / "write_documents.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.write


def test_the_small_corpus_is_read_without_rejects():
    found = documents(TESTS / "corpus")
    assert all(isinstance(item, Document) for item in found)
    assert {item.document_id: item.title for item in found} == {
        "cleaning.md": "Cleaning and descaling",
        "error-e1": "Error E1",
        "error-e4": "Error E4",
        "error-e7": "Error E7",
        "recipe-cappuccino": "Cappuccino",
        "recipe-espresso": "Espresso",
        "recipe-lungo": "Lungo",
        "returns.txt": "Returns",
        "setup.md": "Setting up the Marlow coffee machine",
        "specifications.txt": "Specifications",
        "warranty.html": "Warranty",
    }
    assert all(isinstance(item, Question) for item in questions(TESTS / "corpus/questions.txt"))


def test_the_bad_corpus_gives_a_reject_for_each_fault_and_the_one_good_row():
    outcomes = documents(TESTS / "corpus_bad")
    rejects = {item.item: item.reason for item in outcomes if isinstance(item, Reject)}
    assert [item.document_id for item in outcomes if isinstance(item, Document)] == ["good"]
    assert rejects.keys() == {
        "empty.md", "latin1.txt", "no_text_column.csv", "picture.txt", "torn.jsonl, line 2", "torn.jsonl, line 3"
    }  # fmt: skip
    assert all(len(reason) > 20 and "\n" not in reason for reason in rejects.values())


def test_the_example_writes_each_topic_once_and_keeps_edits(example_writer, tmp_path):
    assert example_writer(tmp_path) == (len(topics), 0)
    (tmp_path / "pass.txt").write_text("My own words.")
    assert example_writer(tmp_path) == (0, len(topics))
    assert (tmp_path / "pass.txt").read_text() == "My own words."
    assert example_writer(tmp_path, fresh=True) == (len(topics), 0)
    assert (tmp_path / "pass.txt").read_text() == topics["pass"]


def test_the_example_is_read_without_rejects_and_with_titles_for_people(example_writer, tmp_path):
    example_writer(tmp_path)
    found = documents(tmp_path)
    assert all(isinstance(item, Document) for item in found)
    titles = {item.document_id: item.title for item in found}
    assert titles["assert.txt"] == 'The "assert" statement'
    assert titles["bltin-null-object.txt"] == "The Null Object"


def test_the_questions_of_the_example_are_eighty_different_ones():
    found = questions(EXAMPLE / "questions.txt")
    assert all(isinstance(item, Question) for item in found)
    assert len({item.query_key for item in found}) == len(found) == 80


def test_the_curated_pairs_of_the_example_name_topics_that_exist():
    file = EXAMPLE / "curated.jsonl"
    pairs = list(parse_curated(file.name, file.read_bytes(), "default"))
    assert all(isinstance(pair, CuratedPair) and pair.documents for pair in pairs)
    assert {Path(document).stem for pair in pairs for document in pair.documents} <= set(topics)
    assert not {pair.query_key for pair in pairs} & {item.query_key for item in questions(EXAMPLE / "questions.txt")}


def test_the_golden_questions_are_anticipated_ones():
    golden = [json.loads(line) for line in (EXAMPLE / "golden.jsonl").read_text().splitlines()]
    anticipated = {item.question for item in questions(EXAMPLE / "questions.txt")}
    assert {row["question"] for row in golden} <= anticipated
    assert all(row["expected"] for row in golden)


def test_the_configuration_of_the_example_names_its_files():
    collection = tomllib.loads((EXAMPLE / "beforehand.toml").read_text())["collections"]["default"]
    assert collection["documents"] == ["documents"]
    assert all((EXAMPLE / name).exists() for name in collection["questions"] + collection["curated"])
