"""Credentials are shown nowhere: in no address, option, error or log line."""

from __future__ import annotations

import json
import logging
import pickle
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from rag.credentials import (
    MASK,
    HidingFormatter,
    SecretAddress,
    SecretOption,
    hide,
    link_without_credentials,
    public_address,
    reveal,
    secret_values,
)
from rag.errors import ConfigurationError, HiddenError, LlmUnavailableError
from rag.hidden_errors import hidden

CANARY = "canary4711"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (f"https://user:{CANARY}@host/a.md", "https://host/a.md"),
        (f"https://{CANARY}@host:8443/v1", "https://host:8443/v1"),
        (f"https://bucket.example/a.md?X-Amz-Signature={CANARY}&X-Amz-Date=1", "https://bucket.example/a.md?…"),
        (f"https://host/v1?{CANARY}", "https://host/v1?…"),
        (f"https://host/#access_token={CANARY}", "https://host/?…"),
        (f"s3://key:{CANARY}@bucket/policies/*.md", "s3://bucket/policies/*.md"),
        (f"https://user:with/{CANARY}@host/a.md", "https://…"),
        (f"https://user:with?{CANARY}@host/a.md", "https://…"),
        (f"https://user:{CANARY}/a.md", "https://…"),
        (f"user:{CANARY}@host/v1", "…@host/v1"),
        (f"localhost:8001/v1?key={CANARY}", "localhost:8001/v1?…"),
        ("http://[::1]:8001/v1", "http://[::1]:8001/v1"),
        ("s3://bucket/page?.md", "s3://bucket/page?.md"),
        ("documents/page?.md", "documents/page?.md"),
        ("/srv/a@b/notes #2.md", "/srv/a@b/notes #2.md"),
        ("https://host/docs#section", "https://host/docs#section"),
    ],
)
def test_an_address_is_shown_without_its_credentials(address: str, shown: str) -> None:
    assert public_address(address) == shown
    assert public_address(shown) == shown
    assert str(SecretAddress(address)) == shown
    assert address == shown or address not in repr([SecretAddress(address)])


@given(password=st.text(min_size=6, max_size=20), sign=st.text(min_size=6, max_size=20))
def test_no_password_and_no_signature_is_ever_shown(password: str, sign: str) -> None:
    password, sign = f"P{quote(password, safe='')}", f"S{quote(sign, safe='')}"
    address = f"https://u:{password}@host/a?signature={sign}"

    for shown in (public_address(address), hide(f"can't read {address}: gone", ()), str(SecretAddress(address))):
        assert password not in shown
        assert sign not in shown
        assert "https://host/a" in shown


@pytest.mark.parametrize(
    ("option", "shown"),
    [
        (f"--s3_secret_access_key={CANARY}", f"--s3_secret_access_key={MASK}"),
        ("--streaming", "--streaming"),
        (CANARY, MASK),
        (f"-k={CANARY}", MASK),
    ],
)
def test_an_option_is_shown_by_its_name(option: str, shown: str) -> None:
    assert str(SecretOption(option)) == shown
    assert pickle.loads(pickle.dumps(SecretOption(option))).get_secret_value() == option, "Beam sends it to workers"


def test_a_value_is_found_however_a_message_writes_it() -> None:
    secret = 'pass"wörd/\\1'
    values = secret_values({"a": [SecretStr(secret)]})

    for written in (secret, repr(secret), json.dumps(secret), quote(secret, safe=""), quote(secret)):
        assert hide(f"refused: {written}!", values) in (
            f"refused: {MASK}!",
            f"refused: '{MASK}'!",
            f'refused: "{MASK}"!',
        )


def test_all_secrets_of_settings_are_known_and_short_values_are_none() -> None:
    holder = [SecretAddress(f"https://{CANARY}:x@h/?sig=signature7"), SecretOption("--workers=2"), SecretOption(CANARY)]

    values = secret_values(holder)

    assert {CANARY, "signature7"} <= values
    assert "2" not in values
    assert reveal(holder[1]) == "--workers=2"


def test_an_error_that_quotes_no_secret_is_kept_with_its_causes() -> None:
    error = ConfigurationError("port 80 is in use; see https://example.org/help")
    error.__cause__ = OSError("in use")

    assert hidden(error, {CANARY}) is error


def test_an_error_keeps_its_type_and_loses_its_secrets_and_its_causes() -> None:
    error = LlmUnavailableError(f"the key {CANARY} is refused", 7.0)
    error.__cause__ = ValueError(CANARY)

    clean = hidden(error, {CANARY})

    assert isinstance(clean, LlmUnavailableError)
    assert clean.retry_after == 7.0
    assert str(clean) == f"the key {MASK} is refused"
    assert clean.__cause__ is None


@pytest.mark.parametrize(
    "error",
    [
        KeyError(f"--token={CANARY}"),
        ExceptionGroup("several", [ValueError(CANARY)]),
        OSError(f"https://u:{CANARY}@h/x: gone"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_unforeseen_error_that_quotes_a_secret_is_told_by_its_type(error: Exception) -> None:
    clean = hidden(error, {CANARY})

    assert isinstance(clean, HiddenError)
    assert str(clean).startswith(type(error).__name__)
    assert CANARY not in str(clean)


def test_a_log_line_and_its_traceback_are_masked() -> None:
    formatter = HidingFormatter(logging.BASIC_FORMAT)
    formatter.secrets = {CANARY}
    caught = (ValueError, ValueError(CANARY), None)
    record = logging.LogRecord("beam", logging.ERROR, "x.py", 1, "options: %s", (CANARY,), caught)

    assert CANARY not in formatter.format(record)
    assert formatter.format(record).startswith(f"ERROR:beam:options: {MASK}")


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        (f"https://user:{CANARY}@help.example/a?id=3#top", "https://help.example/a?id=3#top"),
        (f"https://b.example/a.pdf?X-Amz-Signature={CANARY}&X-Amz-Date=1&page=2", "https://b.example/a.pdf?page=2"),
        (f"https://b.example/a?sv=1&sig={CANARY}", "https://b.example/a?sv=1"),
        (f"https://b.example/a?access_token={CANARY}", "https://b.example/a"),
        ("https://help.example/a?lang=de&q=sign%20in", "https://help.example/a?lang=de&q=sign%20in"),
        ("guides/setup.md", "guides/setup.md"),
        (f"https://user:{CANARY}@[host/a", "https://…"),
    ],
)
def test_a_link_that_is_cited_leads_to_its_page_without_credentials(link: str, shown: str) -> None:
    assert link_without_credentials(link) == shown
