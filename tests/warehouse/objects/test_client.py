"""What a store says, as one sentence, and conditional writes."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.object_store import Machines
from warehouse.errors import ContestedError, StorageError
from warehouse.objects.client import ObjectStore
from warehouse.objects.connection import ServerAccess


def test_an_object_is_created_once_and_replaced_only_as_it_was_found(machines: Machines):
    store = machines.new("a").store
    store.create("pointer", b"one")
    with pytest.raises(ContestedError):
        store.create("pointer", b"another one")
    seen = store.read("pointer")
    assert seen is not None
    store.replace(seen.stored, b"two")
    with pytest.raises(ContestedError):
        store.replace(seen.stored, b"late")

    found = store.read("pointer")

    assert found is not None and found.data == b"two"


def test_objects_are_listed_in_order_from_a_key_on_and_deleted_together(machines: Machines):
    store = machines.new("a").store
    for name in ("a b/ü+%=#?.txt", "log/3", "log/1", "log/2"):
        store.write(name, b"x")

    assert [each.key for each in store.listed("log", after="log/1")] == ["log/2", "log/3"]
    assert store.folders("") == ["a b", "log"]

    store.delete([each.key for each in store.listed("")] + ["never was"])

    assert store.listed("") == []
    assert store.read("log/1") is None


@pytest.mark.parametrize(
    ("address", "variables", "sentence"),
    [
        (
            "s3://no-such-bucket/data",
            {},
            "Can't read x in s3://no-such-bucket/data: there is no such bucket; correct the address.",
        ),
        (
            "s3://team/data",
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere"},
            "Can't use s3://team/data: no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
            "GOOGLE_APPLICATION_CREDENTIALS.",
        ),
    ],
)
def test_a_store_that_can_t_be_used_is_one_sentence(machines: Machines, monkeypatch, address, variables, sentence):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(StorageError) as raised:
        ObjectStore(address, ServerAccess(machines.server.url)).read("x")

    assert str(raised.value) == sentence
    assert "a-secret-access-key" not in str(raised.value)


@pytest.mark.usefixtures("machines")
def test_a_server_that_is_away_is_one_sentence(monkeypatch):
    monkeypatch.setattr("warehouse.objects.connection._MOST_RETRIES", 0)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        store = ObjectStore("s3://team/data", ServerAccess(f"http://127.0.0.1:{unused.getsockname()[1]}"))

        with pytest.raises(StorageError, match=r"Can't write x to s3://team/data: its server can't be reached; try"):
            store.write("x", b"1")


def test_a_file_is_downloaded_whole(machines: Machines, tmp_path: Path):
    store = machines.new("a").store
    content = bytes(range(256)) * 36_000  # larger than a part
    (tmp_path / "large").write_bytes(content)
    store.write("large", tmp_path / "large")

    store.download("large", tmp_path / "copy")

    assert (tmp_path / "copy").read_bytes() == content
