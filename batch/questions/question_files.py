"""Question files: anticipated questions, and the team's own pairs of question and answer.

Pure, like `batch.reading.documents`: bytes in, questions and rejects out. Two wordings of one question have the same
`query_key`; the pipeline finds such duplicates across files and collections.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from batch.questions.question_attributes import ATTRIBUTE_COLUMNS, Attributes, attributes_of, with_attributes
from batch.questions.validity import valid_until
from rag.errors import DocumentError, QuestionError
from rag.filters import NO_FILTERING, Filtering, Filters
from rag.identity import normalise, query_key
from rag.text.decoding import decode, has_controls, tidy
from rag.text.spreadsheets import plain_table
from rag.text.table_files import ROW_ENDINGS, Reject, Row, ending, read_rows

LONGEST_QUESTION = 2000  # characters; a longer one is a text that got into the list by mistake
_LONGEST_ANSWER = 20_000
_WORKBOOKS = frozenset({".xlsx", ".xlsm"})
_NO_LISTS = frozenset({".yaml", ".yml", ".toml", ".xml", ".html", ".htm"})  # as text, each of their lines would be one


@dataclass(frozen=True)
class Question(Attributes):
    """An anticipated question. `origin` is list, journal, corpus, golden or canary; `detail` where it is from."""

    collection: str
    query_key: str
    question: str
    normalised: str
    origin: str
    detail: str


@dataclass(frozen=True)
class CuratedPair(Attributes):
    """A question with the team's own answer, and the ids of the documents that the answer rests on."""

    collection: str
    query_key: str
    question: str
    normalised: str
    answer: str
    documents: tuple[str, ...]
    detail: str
    origin: str = "curated"


def named_question(collection: str, question: str, origin: str, detail: str, filters: Filters = ()) -> Question:
    """Return a question with its normalised form and its key."""
    key = query_key(collection, question, filters)
    return Question(collection, key, question, normalise(question), origin, detail, filters=filters)


def tidy_question(text: str, max_characters: int = LONGEST_QUESTION) -> str:
    """Return a question on one line, with single spaces.

    Raises:
        QuestionError: it is empty, punctuation only, too long, or not text.
    """
    question = " ".join(unicodedata.normalize("NFC", text).split())
    if not question:
        raise QuestionError("empty: there is no question in it")
    if len(question) > max_characters:
        raise QuestionError(f"too long for a question ({len(question):,} characters, at most {max_characters:,})")
    if has_controls(question):
        raise QuestionError("it holds control characters, which no one can type: remove them")
    if not any(character.isalnum() for character in normalise(question)):
        raise QuestionError("punctuation only: there is no word in it")
    return question


def parse_questions(
    name: str,
    data: bytes,
    collection: str,
    max_characters: int = LONGEST_QUESTION,
    encoding: str | None = None,
    filtering: Filtering = NO_FILTERING,
) -> Iterator[Question | Reject]:
    """Read a file of anticipated questions.

    Text has one question per line (blank lines and lines that begin with # are skipped); JSONL has objects with a
    `question`, bare strings, or requests in OpenAI's batch format, whose last user message is the question; CSV and
    Parquet have a column `question`. Rows may have a weight, tags, expected texts, an owner and `variants`, other
    wordings of the question; their further columns are metadata, those of the collection's filters the values that the
    question is asked with, and rows with one `answer` want one answer. What can't be read is yielded as a `Reject`.
    """
    if ending(name) in _NO_LISTS:
        yield Reject(name, "questions are read from .txt, .jsonl, .csv and .parquet: convert the file")
        return
    found = 0
    try:
        for place, text, row in _texts(name, data, encoding):
            found += 1
            if isinstance(text, Reject):
                yield text
                continue
            question = _question(name, place, text, collection, max_characters)
            yield question if isinstance(question, Reject) else _with_attributes(question, row, filtering)
    except DocumentError as error:
        yield Reject(name, str(error))
        return
    if not found:
        yield Reject(name, "empty: there are no questions in it")


def parse_curated(
    name: str, data: bytes, collection: str, encoding: str | None = None, filtering: Filtering = NO_FILTERING
) -> Iterator[CuratedPair | Reject]:
    """Read a JSONL, CSV or Parquet file of pairs with `question`, `answer` and optionally `documents`.

    `documents` are document ids: a list, or in CSV one text with ";" between them.
    """
    if ending(name) not in ROW_ENDINGS | _WORKBOOKS:
        yield Reject(name, "pairs are read from .jsonl, .csv and .parquet: rename or convert the file")
        return
    found = 0
    try:
        optional = ("answer", "documents", *ATTRIBUTE_COLUMNS)
        for row in _rows(name, data, ("question",), optional, encoding):
            found += 1
            yield row if isinstance(row, Reject) else _curated(name, row, collection, filtering)
    except DocumentError as error:
        yield Reject(name, str(error))
        return
    if not found:
        yield Reject(name, "empty: there are no pairs in it")


def _texts(name: str, data: bytes, encoding: str | None) -> Iterator[tuple[str, object, Row | None]]:
    """Yield the place and the value of each question (its text, a `Reject`, or something that is not text) and its row.

    A request in batch format has no row: its columns are about the request.
    """
    if ending(name) not in ROW_ENDINGS | _WORKBOOKS:
        for number, line in enumerate(decode(data, encoding).split("\n"), start=1):
            if line.strip() and not line.lstrip().startswith("#"):
                yield f"line {number}", line, None
        return
    optional = ("custom_id", *ATTRIBUTE_COLUMNS)
    for row in _rows(name, data, ("question", "body"), optional, encoding):
        if isinstance(row, Reject):
            yield "", row, None
        elif "question" not in row.values and isinstance(body := row.values.get("body"), Mapping):
            name_of_request = tidy(str(row.values.get("custom_id", "no custom_id")))
            yield f"{row.place}, {name_of_request}", _last_user_message(body), None
        else:
            yield row.place, row.values.get("question", ""), row


def _rows(
    name: str, data: bytes, required: Collection[str], optional: Collection[str], encoding: str | None
) -> Iterator[Row | Reject]:
    """Return the rows of a table; one that a spreadsheet saved is read as these save, unless `encoding` is told."""
    if ending(name) in _WORKBOOKS or (ending(name) == ".csv" and encoding is None):
        name, data = plain_table(name, data)
        encoding = None
    return read_rows(name, data, required, optional, others=True, encoding=encoding)


def _question(name: str, place: str, text: object, collection: str, max_characters: int) -> Question | Reject:
    detail = f"{name}, {place}"
    if not isinstance(text, str):
        return Reject(detail, f"its question is not a string but of type {type(text).__name__}")
    try:
        question = tidy_question(text, max_characters)
    except QuestionError as error:
        return Reject(detail, str(error))
    return named_question(collection, question, "list", detail)


def _with_attributes(question: Question, row: Row | None, filtering: Filtering) -> Question | Reject:
    """Return a question with what its row says about it, and with its filters, which are part of its key."""
    try:
        attributes = Attributes() if row is None else attributes_of(row, filtering)
    except QuestionError as error:
        return Reject(question.detail, str(error))
    filters = attributes.filters if row is not None else filtering.defaults
    key = query_key(question.collection, question.question, filters)
    return replace(with_attributes(question, attributes), query_key=key, filters=filters)


def _last_user_message(body: Mapping[str, object]) -> str:
    """Return the text of the last user message of a chat request, or ""."""
    messages = body.get("messages")
    for message in reversed(messages if isinstance(messages, list) else []):
        if isinstance(message, Mapping) and message.get("role") == "user":
            return _text_of(message.get("content"))
    return ""


def _text_of(content: object) -> str:
    """Return the text of a message's content, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, Mapping))
    return "\n".join(text for text in texts if isinstance(text, str))


def _curated(name: str, row: Row, collection: str, filtering: Filtering) -> CuratedPair | Reject:
    detail = f"{name}, {row.place}"
    question = _question(name, row.place, row.values.get("question", ""), collection, LONGEST_QUESTION)
    question = question if isinstance(question, Reject) else _with_attributes(question, row, filtering)
    if isinstance(question, Reject):
        return question
    try:
        valid_until(question.metadata)
    except QuestionError as error:
        return Reject(detail, str(error))
    answer = row.values.get("answer", "")
    if not isinstance(answer, str) or not tidy(answer).strip():
        return Reject(detail, "there is no answer beside the question")
    if len(answer) > _LONGEST_ANSWER:
        return Reject(detail, f"its answer is too long ({len(answer):,} characters, at most {_LONGEST_ANSWER:,})")
    documents = row.values.get("documents", [])
    if isinstance(documents, str):
        documents = documents.split(";")
    if not isinstance(documents, list) or not all(isinstance(document, str) for document in documents):
        return Reject(detail, "its documents are not a list of document ids")
    ids = tuple(dict.fromkeys(tidy(document).strip() for document in documents if document.strip()))
    pair = CuratedPair(
        collection, question.query_key, question.question, question.normalised, tidy(answer).strip(), ids, detail
    )
    return with_attributes(pair, question)
