"""Files of golden questions: the rows of JSON lines, CSV or Parquet, each checked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from rag.errors import ConfigurationError, DocumentError
from rag.filters import NO_FILTERING, Filtering
from rag.identity import query_key
from rag.text.table_files import Reject, Row, read_rows
from warehouse.audit.golden import Golden
from warehouse.errors import WarehouseError

_OPTIONAL = ("collection", "expected", "reference", "document", "passage")


def read_golden(
    files: Iterable[Path], collections: Collection[str], filtering: Mapping[str, Filtering] | None = None
) -> list[Golden]:
    """Read files of golden questions; one that names no collection belongs to the first in alphabetical order.

    `filtering` is what the collections declare: columns of those names hold the filters of a question.

    Raises:
        WarehouseError: a file or a line can't be used; the message names it.
        ConfigurationError: a question names a collection that isn't among `collections`.
    """
    found = [golden for path in files for golden in _read(path, min(collections), filtering or {})]
    for each in found:
        if each.collection not in collections:
            raise ConfigurationError(
                f"golden questions: {each.detail}: unknown collection {each.collection!r}; {', '.join(collections)}"
            )
    return found


def _read(path: Path, default: str, filtering: Mapping[str, Filtering]) -> Iterator[Golden]:
    fields = dict.fromkeys(field for each in filtering.values() for field in each.fields)
    try:
        rows = list(read_rows(str(path), path.read_bytes(), ("question",), (*_OPTIONAL, *fields)))
    except (OSError, DocumentError) as error:
        raise WarehouseError(f"Golden questions: {path} can't be read ({error}).") from error
    for row in rows:
        if isinstance(row, Reject):
            raise WarehouseError(f"Golden questions: {row.item}: {row.reason}.")
        yield _golden(row, default, path, filtering)


def _golden(row: Row, default: str, path: Path, filtering: Mapping[str, Filtering]) -> Golden:
    question, reference, document = (row.values.get(name) for name in ("question", "reference", "document"))
    expected, passages = _texts(row, "expected"), _texts(row, "passage")
    if question is None or not (expected or reference or document or passages):
        raise WarehouseError(
            f"Golden questions: {path}, {row.place} needs `question` and `expected`, `reference`, `document` or "
            "`passage`."
        )
    collection = str(row.values.get("collection", default))
    declared = filtering.get(collection, NO_FILTERING)
    filters = declared.of({field: str(row.values[field]) for field in declared.fields if field in row.values})
    return Golden(
        collection=collection,
        query_key=query_key(collection, str(question), filters),
        question=str(question),
        expected=expected,
        reference=None if reference is None else str(reference),
        detail=f"{path.name}:{row.place.split()[-1]}",
        filters=filters,
        document=None if document is None else str(document),
        passages=passages,
    )


def _texts(row: Row, name: str) -> tuple[str, ...]:
    """Return a column that holds a text or a list of texts."""
    value = row.values.get(name)
    return tuple(map(str, value)) if isinstance(value, list) else () if value is None else (str(value),)
