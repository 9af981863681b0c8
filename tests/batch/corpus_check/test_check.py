"""What the check says about a collection: made-up folders, and the small corpus of the coffee machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batch.corpus_check.check import Expected, Findings, Group, Loss, check
from batch.corpus_check.corpus_reader import read_corpus
from batch.settings import BatchSettings
from rag.collection_settings import CollectionSettings
from rag.credentials import SecretAddress
from rag.identity import query_key
from rag.retrieval.embedding import TokenCounter
from rag.settings import ChunkingSettings
from warehouse.editorial.wordings import Ruling, RulingKind

CORPUS = Path(__file__).parents[2] / "corpus"
LONG = "Fill the tank with fresh water, close the lid and press the button until the lamp is green. " * 3


@pytest.fixture(scope="module")
def counter(encoder_folder: Path) -> TokenCounter:
    return TokenCounter(encoder_folder)


def findings(
    counter: TokenCounter,
    documents: Path | None,
    questions: Path | None = None,
    exclude: tuple[str, ...] = (),
    curated: Path | None = None,
) -> Findings:
    collection = CollectionSettings(
        documents=[SecretAddress(str(documents))] if documents else [],
        curated=[SecretAddress(str(curated))] if curated else [],
        questions=[SecretAddress(str(questions))] if questions else [],
        exclude=list(exclude),
    )
    corpus = read_corpus("default", collection, BatchSettings(), ChunkingSettings(), counter)
    return check(corpus, Expected("minilm", frozenset({"Latin"}), "english", tokens_an_answer=1000))


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        stem, _, kind = name.rpartition("_")
        (folder / f"{stem}.{kind}").write_text(text, encoding="utf-8")
    return folder


def test_a_sound_corpus_has_figures_and_nothing_to_complain_of(counter: TokenCounter) -> None:
    found = findings(counter, CORPUS, CORPUS / "questions.txt", exclude=("questions.txt",))

    assert (found.documents, found.chunks >= 11, found.questions > 5) == (11, True, True)
    assert {each.ending: (each.files, each.documents) for each in found.endings} == {
        ".md": (2, 2), ".txt": (2, 2), ".csv": (1, 3), ".jsonl": (1, 3), ".html": (1, 1),
    }  # fmt: skip
    assert found.excluded == {"questions.txt": 1}
    assert found.losses == ()
    assert found.warnings == ()
    assert (found.near_duplicate_documents.groups, found.torn_tables.count, found.hidden_text.count) == (0, 0, 0)
    assert 0 < len(found.sample) <= 20


def test_twenty_chunks_are_shown_and_the_same_ones_again(counter: TokenCounter, tmp_path: Path) -> None:
    write(tmp_path, guide_md="# Guide\n\n" + "\n\n".join(f"## Step {n}\n\nTurn the knob {n} times." for n in range(60)))

    sample = findings(counter, tmp_path).sample

    assert len({each.heading for each in sample}) == 20
    assert findings(counter, tmp_path).sample == sample


def test_endings_that_nobody_reads_and_patterns_that_match_nothing_are_told(
    counter: TokenCounter, tmp_path: Path
) -> None:
    write(tmp_path, setup_md="# Setup\n\nPlug it in.", logo_svg="<svg/>", photo_svg="<svg/>")

    found = findings(counter, tmp_path, exclude=("release-notes*",))

    assert found.skipped == {".svg": 2}
    assert found.warnings == ('exclude = "release-notes*" matches no file',)


def test_titles_from_file_names_are_told_from_titles(counter: TokenCounter, tmp_path: Path) -> None:
    write(tmp_path, setup_md="# Setup\n\nPlug it in.", notes_2024_md="Just text of somebody.")

    assert findings(counter, tmp_path).titles_from_file_names.examples == ("notes_2024.md: notes 2024",)


def test_doubtful_chunks_are_counted_with_examples(counter: TokenCounter, tmp_path: Path) -> None:
    write(tmp_path, page_txt="Title: Page\n\nVersion {{ page.version }} of it is out.", short_md="# Short\n\nPress it.")

    found = findings(counter, tmp_path)

    assert found.chunks_of_template_code.examples == ("page.txt: {{ page.version }} of it is out.",)
    assert found.short_chunks.examples == ("short.md: Press it.",)
    assert found.chunks_without_heading.count == found.chunks


def test_hidden_text_is_told_with_its_document(counter: TokenCounter, tmp_path: Path) -> None:
    hidden = '<div style="display:none">Refunds are never paid to anybody.</div>'
    write(tmp_path, refunds_html=f"<h1>Refunds</h1><p>Refunds take ten days.</p>{hidden}")

    [example] = findings(counter, tmp_path).hidden_text.examples

    assert example.startswith("refunds.html: ")
    assert "Refunds are never paid" in example


def test_rows_lost_are_counted_by_file_with_the_first_reason(counter: TokenCounter, tmp_path: Path) -> None:
    rows = [json.dumps({"id": str(number), "text": f"Row {number} has a text."}) for number in range(5)]
    write(tmp_path, rows_jsonl="\n".join([*rows, "{torn", "{torn too"]), empty_md="")

    rows_lost, file_lost = findings(counter, tmp_path).losses

    assert (rows_lost.file, rows_lost.read, rows_lost.lost) == ("rows.jsonl", 5, 2)
    assert "the line is torn" in rows_lost.reason
    assert file_lost == Loss("empty.md", 0, 1, "empty: there is no text in it")


def test_rows_of_two_files_that_claim_one_id_are_both_documents(counter: TokenCounter, tmp_path: Path) -> None:
    write(tmp_path, a_csv="id,text\n7,Seven of the first.", b_csv="id,text\n7,Seven of the second.")

    found = findings(counter, tmp_path)

    assert found.documents == 2
    assert {each.document for each in found.sample} == {"7", "b.csv#7"}


def test_merging_near_duplicate_documents_saves_the_tokens_of_all_but_one(
    counter: TokenCounter, tmp_path: Path
) -> None:
    write(
        tmp_path, one_md=f"# Start\n\n{LONG}", two_md=f"# Start\n\n{LONG}Done.", other_md="# Clean\n\nRinse it daily."
    )

    found = findings(counter, tmp_path)

    assert found.near_duplicate_documents.examples == (Group(2, ("one.md", "two.md")),)
    assert found.near_duplicate_documents.superfluous == 1
    assert 0 < found.near_duplicate_documents.tokens < found.tokens / 2 + 5
    assert found.near_duplicate_chunks.groups == 1


def test_questions_are_alike_only_if_no_guard_keeps_them_apart(counter: TokenCounter, tmp_path: Path) -> None:
    documents = write(tmp_path / "docs", setup_md="# Setup\n\nPlug it in.")
    asked = write(
        tmp_path / "asked",
        list_txt="What does the error E4 mean?\nWhat does error E4 mean?\nWhat does error E7 mean?\n"
        "How do I enable the timer?\nHow do I disable the timer?\n",
    )

    found = findings(counter, documents, asked / "list.txt").near_duplicate_questions

    assert found.examples == (Group(2, ("What does the error E4 mean?", "What does error E4 mean?")),)
    assert (found.superfluous, found.tokens) == (1, 1000)


def test_curated_pairs_are_checked_with_all_their_wordings(counter: TokenCounter, tmp_path: Path) -> None:
    rows = [
        {"question": "May I bring my dog?", "answer": "No.", "variants": ["Are dogs allowed?"]},
        {"question": "May I park?", "answer": "Yes.", "variants": ["May I bring my dog?", "parking"]},
        {"question": "Are dogs allowed in?", "answer": "Only guide dogs."},
        {"question": "parking!", "answer": "Behind the house."},
        {"question": "Is there a sale?", "answer": "Yes.", "valid_until": "2020-01-31"},
        {"question": "???", "answer": "Yes."},
        {"question": "May I park?", "answer": "No."},
    ]
    path = tmp_path / "faq.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")

    listed = tmp_path / "list.txt"
    listed.write_text("May I bring my dog?\n", encoding="utf-8")

    found = findings(counter, None, questions=listed, curated=path)

    assert (found.questions, found.curated, found.wordings) == (5, 4, 1)
    lost = {each.file: each.reason for each in found.losses}
    assert not any("list.txt, line 1: asks the same" in reason for reason in lost.values())
    assert "is a question of its own" in lost["May I bring my dog?"]
    assert "so it is no wording of 'May I park?'" in lost["parking"]
    assert lost["May I park?"].endswith("that one's other answer was kept")
    assert "punctuation only" in lost["faq.jsonl"]
    assert found.near_duplicate_questions.examples == (Group(2, ("Are dogs allowed in?", "Are dogs allowed?")),)
    assert found.near_duplicate_questions.tokens == 0
    assert found.warnings == (
        "the valid_until of 'Is there a sale?' is over: the curated answer is not served; the language model, where "
        "there is one, answers the question in its place",
    )


@pytest.mark.parametrize(("verdict", "left"), [("wording", 1), ("fence", 2)])
def test_what_a_person_joined_or_keeps_apart_is_not_told_again(
    counter: TokenCounter, tmp_path: Path, verdict: RulingKind, left: int
) -> None:
    one, other = "What does the error E4 mean?", "What does error E4 mean?"
    path = tmp_path / "list.txt"
    path.write_text(f"{one}\n{other}\n", encoding="utf-8")
    collection = CollectionSettings(documents=[], questions=[SecretAddress(str(path))])
    ruling = Ruling("default", query_key("default", one), other, verdict, "review", "ann", person=True)

    corpus = read_corpus("default", collection, BatchSettings(), ChunkingSettings(), counter, [ruling])
    found = check(corpus, Expected("minilm", frozenset({"Latin"}), "english", tokens_an_answer=1000))

    assert (found.questions, found.near_duplicate_questions.groups) == (left, 0)


def test_a_corpus_in_another_script_is_warned_of(counter: TokenCounter, tmp_path: Path) -> None:
    write(tmp_path, kaffee_md="# Кофе\n\nНалейте воду в бак и нажмите кнопку.")  # noqa: RUF001 - Russian

    found = findings(counter, tmp_path)

    assert found.scripts == {"Cyrillic": 1.0}
    assert len(found.warnings) == 2
