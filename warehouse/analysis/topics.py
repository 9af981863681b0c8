"""What a session needs to group misses into topics: the words of a question, in the language of its collection."""

from __future__ import annotations

import duckdb

from warehouse.releases.release import Release, collection_languages

_WORDS = "STRUCT(stem VARCHAR, word VARCHAR, number BIGINT)[]"


def take_topics(connection: duckdb.DuckDBPyConnection, release: Release) -> None:
    """Give a session the function `topic_words` and the table `collection_languages`."""
    connection.create_function(
        "topic_words", _topic_words, ["VARCHAR", "VARCHAR"], duckdb.sqltype(_WORDS), side_effects=False
    )
    connection.execute("CREATE TABLE memory.main.collection_languages (collection VARCHAR, language VARCHAR)")
    for pair in collection_languages(release.manifest).items():
        connection.execute("INSERT INTO memory.main.collection_languages VALUES (?, ?)", pair)


def _topic_words(question: str, language: str) -> list[dict[str, str | int]]:
    """Return the words of a question that are no stop words, with their stems and their places."""
    from rag.text.languages import language_code
    from rag.text.stemming import stemmed, stop_words  # late: the stop words take a while to load
    from rag.text.words import words

    code = language_code(language)
    telling = [word for word in dict.fromkeys(words(question)) if word not in stop_words(code)]
    stems = dict(zip(stemmed(telling, code), telling, strict=True))
    return [{"stem": stem, "word": word, "number": place} for place, (stem, word) in enumerate(stems.items())]
