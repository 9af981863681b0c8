"""Sessions of the review page: signed, expiring, and good in every worker process."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from online.http.session import Sessions
from warehouse.errors import StorageError

KEY = "a" * 64


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return Sessions(tmp_path / "secret")


def test_a_session_comes_back_from_its_cookie_also_in_another_process(tmp_path: Path) -> None:
    session, cookie = Sessions(tmp_path / "secret").begin(KEY, 60)

    assert Sessions(tmp_path / "secret").session(cookie) == session
    assert session.key == KEY


def test_a_session_ends(tmp_path: Path) -> None:
    now = [1_000.0]
    sessions = Sessions(tmp_path / "secret", lambda: now[0])
    _, cookie = sessions.begin(KEY, 60)

    now[0] += 59
    assert sessions.session(cookie) is not None
    now[0] += 1
    assert sessions.session(cookie) is None


def test_a_cookie_of_another_data_folder_opens_nothing(tmp_path: Path) -> None:
    _, cookie = Sessions(tmp_path / "one").begin(KEY, 60)

    assert Sessions(tmp_path / "other").session(cookie) is None


@given(st.data())
def test_no_changed_cookie_opens_anything(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    sessions = Sessions(tmp_path_factory.getbasetemp() / "changed-secret")
    _, cookie = sessions.begin(KEY, 60)
    at = data.draw(st.integers(0, len(cookie) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda each: each != cookie[at]))

    assert sessions.session(cookie[:at] + other + cookie[at + 1 :]) is None
    assert sessions.session(cookie[:at]) is None


def test_a_form_belongs_to_one_session_and_its_token_is_no_cookie(sessions: Sessions) -> None:
    mine, _ = sessions.begin(KEY, 60)
    other, _ = sessions.begin(KEY, 60)
    token = sessions.form_token(mine)

    assert sessions.accepts(mine, token)
    assert not sessions.accepts(other, token)
    assert not sessions.accepts(mine, "é")
    assert sessions.session(f"{mine.text}.{token}") is None


def test_only_the_owner_reads_the_secret(sessions: Sessions, tmp_path: Path) -> None:
    sessions.begin(KEY, 60)

    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]


def test_processes_that_begin_at_once_share_one_secret(tmp_path: Path) -> None:
    several = [Sessions(tmp_path / "secret") for _ in range(8)]
    cookies: list[str] = []
    threads = [threading.Thread(target=lambda each=each: cookies.append(each.begin(KEY, 60)[1])) for each in several]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(cookies) == 8
    assert all(each.session(cookie) is not None for each in several for cookie in cookies)


def test_a_damaged_secret_is_named_and_not_used(sessions: Sessions, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"")

    with pytest.raises(StorageError, match=r"secret is damaged: remove it"):
        sessions.begin(KEY, 60)
