"""The files behind a collection's entries: folders, globs, links, URLs, and strange names."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from apache_beam.io.aws.clients.s3 import boto3_client

from batch.settings import BatchSettings
from batch.sources.source_files import Listing, find_sources
from rag.credentials import SecretAddress
from rag.errors import ConfigurationError


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    write(tmp_path, "a.md", "deep/b.txt", "deep/picture.png", ".hidden/c.md", "list.txt")
    return tmp_path


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text of {name}")


def addresses(entries: dict[str, list[str]]) -> dict[str, list[SecretAddress]]:
    return {collection: [SecretAddress(each) for each in named] for collection, named in entries.items()}


def listing(*entries: str | Path) -> Listing:
    return find_sources(addresses({"default": [str(each) for each in entries]}), BatchSettings())


def names(*entries: str | Path) -> list[str]:
    return [source.name for source in listing(*entries).sources]


def reasons(*entries: str | Path) -> list[str]:
    return [reject.reason for _, reject in listing(*entries).rejects]


def test_sources_are_files_folders_and_globs(corpus: Path) -> None:
    entries = {"one": [str(corpus)], "two": [f"{corpus}/deep/*.txt", f"{corpus}/a.md", f"{corpus}/x*.md"]}

    found = find_sources(addresses(entries), BatchSettings())

    assert {(each.collection, each.name) for each in found.sources} == {
        ("one", "a.md"), ("one", "deep/b.txt"), ("one", "list.txt"), ("two", "b.txt"), ("two", "a.md"),
    }  # fmt: skip
    assert [each.name for each in found.missing] == [f"{corpus}/x*.md"]
    assert "no such file, folder or match" in found.reject_rows("r", "prepare")[0]["reason"]


def test_files_that_a_folder_holds_and_nobody_reads_are_counted_by_ending(corpus: Path) -> None:
    write(corpus, "deep/other.png", "paper.odt", "Makefile", ".hidden/x.png")

    found = listing(corpus)

    assert found.skipped_figures() == {".png skipped": 2, ".odt skipped": 1, "files without an ending skipped": 1}
    reasons = {row["item"]: row["reason"] for row in found.reject_rows("r", "prepare")}
    assert reasons[f"{corpus}/**/*.png"].startswith("2 files ending in .png skipped: name those that are documents")


def excluding(corpus: Path, *patterns: str) -> Listing:
    return find_sources(addresses({"default": [str(corpus)]}), BatchSettings(), {"default": patterns})


def test_what_a_collection_excludes_is_not_read_but_counted(corpus: Path) -> None:
    write(corpus, "release-notes.md", "deep/release-notes-2.md", "release-notes/v1/old.md", "notes.md")

    found = excluding(corpus, "release-notes*")

    assert [each.name for each in found.sources] == ["a.md", "deep/b.txt", "list.txt", "notes.md"]
    assert found.skipped_figures() == {".png skipped": 1, "files excluded": 3}
    assert found.excluded == {("default", "release-notes*"): 3}


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("deep", ["a.md", "list.txt"]), ("deep/", ["a.md", "list.txt"]), ("/deep", ["a.md", "list.txt"]),
        ("*.txt", ["a.md"]), ("deep/*.txt", ["a.md", "list.txt"]), ("./*.txt", ["a.md", "deep/b.txt"]),
        ("**/b.txt", ["a.md", "list.txt"]), ("[ab].*", ["list.txt"]), ("dee", ["a.md", "deep/b.txt", "list.txt"]),
    ],
)  # fmt: skip
def test_a_pattern_is_a_name_anywhere_or_a_path_below_the_listed_folder(
    corpus: Path, pattern: str, left: list[str]
) -> None:
    assert [each.name for each in excluding(corpus, pattern).sources] == left


def test_excluded_files_of_endings_that_are_not_read_are_not_reported_as_skipped(corpus: Path) -> None:
    assert excluding(corpus, "*.png").skipped_figures() == {"files excluded": 1}


def test_office_files_are_read_with_their_extra_and_skipped_without(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(corpus, "paper.pdf")
    assert "paper.pdf" in names(corpus)

    monkeypatch.setattr("batch.sources.source_files.is_readable", lambda _: False)

    assert "paper.pdf" not in names(corpus)
    assert "install the extra `office`" in str(listing(corpus).reject_rows("r", "prepare"))


def test_a_glob_crosses_folders_with_two_stars_only(corpus: Path) -> None:
    assert names(f"{corpus}/*") == ["a.md", "list.txt"]
    assert names(f"{corpus}/*/*.txt") == ["deep/b.txt"]
    assert names(f"{corpus}/**.txt") == ["deep/b.txt", "list.txt"]
    assert names(f"{corpus}/[ab].md") == ["a.md"]


def test_a_file_that_two_entries_name_is_read_once(corpus: Path) -> None:
    assert names(corpus, corpus / "deep", corpus / "a.md") == ["a.md", "deep/b.txt", "list.txt"]


# Names with the characters of a pattern


def test_a_folder_and_its_files_may_have_brackets_in_their_names(tmp_path: Path) -> None:
    write(tmp_path, "docs [v2]/part [1].md", "docs [v2]/what?.md", "docs v/wrong.md")

    assert names(tmp_path / "docs [v2]") == ["part [1].md", "what?.md"]
    assert names(tmp_path / "docs [v2]" / "part [1].md") == ["part [1].md"]
    assert names(f"{tmp_path}/docs [v2]/*].md") == ["part [1].md"]
    assert names(tmp_path / "docs [uvw]") == [], "a pattern of a folder matches no files"
    assert names(f"{tmp_path}/docs [uvw]/*") == ["docs v/wrong.md"], "nothing is called so, so it is a pattern"


# Names that no table can hold


def test_a_file_whose_name_is_not_utf_8_is_rejected_and_the_others_are_read(tmp_path: Path) -> None:
    write(tmp_path, "good.md")
    (tmp_path / os.fsdecode(b"caf\xe9.md")).write_text("text")

    assert names(tmp_path) == ["good.md"]
    assert reasons(tmp_path) == ["caf\\xe9.md: its name is not UTF-8; rename it"]


# Two files with one name


def test_files_of_one_name_in_two_folders_get_their_folders_names(tmp_path: Path) -> None:
    write(tmp_path, "handbook/index.md", "handbook/a.md", "policies/index.md", "policies/b.md")

    assert names(tmp_path / "handbook", tmp_path / "policies") == ["a.md", "index.md", "b.md", "policies/index.md"]


def test_folders_of_one_name_get_the_names_of_those_above(tmp_path: Path) -> None:
    write(tmp_path, "en/docs/index.md", "de/docs/index.md", "docs/index.md")

    entries = [tmp_path / "en" / "docs", tmp_path / "de" / "docs", tmp_path / "docs"]
    assert names(*entries) == ["index.md", "docs/index.md", f"{tmp_path.name}/docs/index.md"]


def test_a_file_that_is_reached_twice_by_one_name_is_read_once(tmp_path: Path) -> None:
    write(tmp_path, "docs/index.md")
    (tmp_path / "again").symlink_to(tmp_path / "docs")

    assert names(tmp_path / "docs", tmp_path / "again") == ["index.md"]


# Links


def test_links_to_files_and_folders_are_followed(tmp_path: Path) -> None:
    write(tmp_path, "elsewhere/deep/x.md", "one.md", "docs/a.md")
    (tmp_path / "docs" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "docs" / "one.md").symlink_to(tmp_path / "one.md")

    assert names(tmp_path / "docs") == ["a.md", "linked/deep/x.md", "one.md"]
    assert names(f"{tmp_path}/docs/**/*.md") == ["linked/deep/x.md"]


def test_links_that_form_a_cycle_come_to_an_end_and_each_folder_keeps_its_name(tmp_path: Path) -> None:
    write(tmp_path, "docs/b/x.md", "docs/c/y.md")
    (tmp_path / "docs" / "a").symlink_to(tmp_path / "docs" / "b")
    (tmp_path / "docs" / "b" / "to-c").symlink_to(tmp_path / "docs" / "c")
    (tmp_path / "docs" / "c" / "to-top").symlink_to(tmp_path / "docs")
    (tmp_path / "docs" / "self").symlink_to(tmp_path / "docs" / "self")

    assert names(tmp_path / "docs") == ["b/x.md", "c/y.md"]


def test_a_link_to_a_folder_above_is_rejected_and_does_not_bring_in_all_that_lies_there(tmp_path: Path) -> None:
    write(tmp_path, "docs/a.md", "secret.md")
    (tmp_path / "docs" / "up").symlink_to(tmp_path)

    assert names(tmp_path / "docs") == ["a.md"]
    assert reasons(tmp_path / "docs") == ["up: it is a link to a folder that it lies in"]


def test_a_link_to_nothing_is_rejected_where_a_document_could_be_meant(tmp_path: Path) -> None:
    write(tmp_path, "docs/a.md")
    for name in ("b.md", "folder", "picture.png", ".#a.md"):
        (tmp_path / "docs" / name).symlink_to("gone")

    assert names(tmp_path / "docs") == ["a.md"]
    assert reasons(tmp_path / "docs") == [
        f"{each}: it is a link to gone, where there is nothing" for each in ("b.md", "folder")
    ]
    assert listing(tmp_path / "docs" / "b.md").missing


def test_a_folder_that_cannot_be_listed_is_rejected(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def guarded(path: str) -> Any:
        if path.endswith("deep"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)

    assert names(corpus) == ["a.md", "list.txt"]
    assert reasons(corpus) == reasons(f"{corpus}/**.txt") == ["deep: it can't be listed (Permission denied)"]


# Addresses


def test_a_file_url_is_a_path(corpus: Path) -> None:
    write(corpus, "with space/x.md")

    assert names(f"file://{corpus}/with%20space") == ["x.md"]
    assert names(f"file://localhost{corpus}/*.md") == ["a.md"]
    with pytest.raises(ConfigurationError, match=r"\[collections.default\] file://docs: file:// is followed by an abs"):
        listing("file://docs")


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("s3://bucket/docs/*.md", "the package boto3, which is not installed; install the extra `s3`"),
        ("gs://bucket/docs", "the package google.cloud.storage, which is not installed; install the extra `gcs`"),
        (
            "ftp://host/docs",
            "nothing reads ftp://; name a path, or an address that begins with file://, s3:// or gs://",
        ),
    ],
)
def test_an_address_that_nothing_reads_is_one_sentence(
    address: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batch.sources.remote_files._installed", lambda _: False)

    with pytest.raises(ConfigurationError) as raised:
        listing(address)

    assert str(raised.value).startswith(f"[collections.default] {address}: ")
    assert sentence in str(raised.value)


class Bucket:
    """A fake of boto3: a client of a bucket with a few keys."""

    KEYS = ("policies/a.md", "policies/deep/b.md", "policies/notes [1].md", "policies/x.png", "policies/")

    made = 0

    def __init__(self, **options: Any) -> None:
        self.endpoint = options["endpoint_url"]
        Bucket.made += 1

    def list_objects_v2(self, Prefix: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        if self.endpoint != "http://store.example":
            raise RuntimeError("Unable to locate credentials")
        found = [key for key in self.KEYS if key.startswith(Prefix)]
        return {"Contents": [self._described(key) for key in found], "KeyCount": len(found), "IsTruncated": False}

    def head_object(self, Key: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        if Key in self.KEYS:
            return {**self._described(Key), "ContentLength": 1, "ContentType": "text/plain"}
        error = RuntimeError("Not Found")
        error.response = {"ResponseMetadata": {"HTTPStatusCode": 404}}  # type: ignore[attr-defined]
        raise error

    def _described(self, key: str) -> dict[str, Any]:
        return {"Key": key, "ETag": "e", "LastModified": datetime(2026, 1, 1, tzinfo=UTC), "Size": 1}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    made = SimpleNamespace(session=SimpleNamespace(Session=lambda: SimpleNamespace(client=Bucket)))
    monkeypatch.setattr(boto3_client, "boto3", made)
    monkeypatch.setattr("batch.sources.remote_files._installed", lambda _: True)


@pytest.mark.usefixtures("bucket")
def test_an_object_store_is_listed_with_the_runner_s_options() -> None:
    settings = BatchSettings(runner_options=["--s3_endpoint_url=http://store.example"])

    def found(entry: str) -> list[str]:
        return [source.name for source in find_sources({"default": [SecretAddress(entry)]}, settings).sources]

    assert found("s3://bucket/policies/") == ["a.md", "deep/b.md", "notes [1].md"]
    assert found("s3://bucket/policies/*.md") == ["a.md", "notes [1].md"]
    assert found("s3://bucket/policies/notes [1].md") == ["notes [1].md"]
    assert found("s3://bucket/policies/a.md") == ["a.md"]
    assert found("s3://bucket/nowhere") == []


@pytest.mark.usefixtures("bucket")
def test_all_entries_of_a_listing_share_one_client() -> None:
    settings = BatchSettings(runner_options=["--s3_endpoint_url=http://store.example"])
    entries = [SecretAddress(f"s3://bucket/{key}") for key in ("policies/a.md", "policies/deep/b.md", "policies")]
    before = Bucket.made

    found = find_sources({"default": entries}, settings)

    assert [each.path.rpartition("/")[2] for each in found.sources] == ["a.md", "b.md", "notes [1].md"]
    assert Bucket.made == before + 1


@pytest.mark.usefixtures("bucket")
def test_an_object_store_that_lets_nobody_in_is_one_sentence() -> None:
    with pytest.raises(ConfigurationError) as raised:
        listing("s3://bucket/policies/*.md")

    assert str(raised.value) == (
        "[collections.default] s3://bucket/policies/*.md: can't be listed (Unable to locate credentials); "
        "check the address and your access to it"
    )
