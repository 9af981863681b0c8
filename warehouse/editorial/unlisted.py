"""The questions of visitors that wait for a person to let them be listed, or not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from warehouse.analysis.connection import connect
from warehouse.editorial.listing import Listings
from warehouse.sql import sql_text


@dataclass(frozen=True)
class UnlistedQuestion:
    """A visitors' question of the current release that nobody has approved or refused yet, with its answer."""

    collection: str
    query_key: str
    question: str
    fingerprint: str | None
    answer: str | None
    status: str | None
    asked: int


def unlisted_questions(data: Path) -> list[UnlistedQuestion]:
    """Return the visitors' questions of the current release that wait for a person, most asked first.

    Raises:
        NoReleaseError: nothing has been published.
    """
    decided = sorted(Listings(data).decided())
    with connect(data, described=False) as session:
        rows = session.execute(sql_text("unlisted_questions.sql"), [decided]).fetchall()
    return [UnlistedQuestion(*row) for row in rows]
