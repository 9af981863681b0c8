"""Workers read and write the store through Beam's file systems, and fetch models once a machine."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems

from batch.rows import WordingRow
from batch.stores import fetched as fetching
from batch.stores.fetched import fetched, send_folder
from batch.stores.local_folders import local_copy, local_output
from batch.stores.object_files import objects_address
from batch.stores.parquet import (
    WriteRows,
    count_rows,
    empty_folder,
    list_files,
    read_bytes,
    read_rows,
    write_bytes,
)
from rag.errors import RunnerError
from tests.object_store import Machines
from warehouse.objects.client import ObjectStore


@pytest.fixture
def root(machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty store's address for Beam, and a machine without anything fetched."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return objects_address(machines.address, machines.server.url)


def test_files_are_written_listed_and_deleted_as_in_a_folder(root: str) -> None:
    for name in ("a.parquet", "b.parquet", ".hidden.parquet", "sub/c.parquet"):
        write_bytes(f"{root}/table/{name}", name.encode())

    assert list_files(f"{root}/table/*.parquet") == [f"{root}/table/a.parquet", f"{root}/table/b.parquet"]
    assert FileSystems.open(f"{root}/table/sub/c.parquet").read() == b"sub/c.parquet"
    assert FileSystems.exists(f"{root}/table/sub")
    assert not FileSystems.exists(f"{root}/tab")

    empty_folder(f"{root}/table")
    FileSystems.delete([f"{root}/table/sub"])

    assert [each.path for each in FileSystems.match([f"{root}/**"])[0].metadata_list] == [
        f"{root}/table/.hidden.parquet"
    ]


@pytest.mark.parametrize("size", [0, 1, 5_000, 700_000])
def test_an_object_reads_like_a_file_wherever_a_reader_goes(root: str, size: int) -> None:
    content = bytes(number % 251 for number in range(size))
    write_bytes(f"{root}/content", content)
    places = [(0, 10), (size // 2, 7), (size - 3, 10), (0, size), (size + 5, 3), (size // 3, 0)]

    for ends_known in (False, True):
        with FileSystems.open(f"{root}/content", compression_type="uncompressed") as stream:
            assert not ends_known or stream.seek(0, io.SEEK_END) == size
            for start, count in places:
                assert stream.seek(max(start, 0)) == max(start, 0)
                assert stream.read(count) == content[max(start, 0) :][:count]
            stream.seek(0)
            assert stream.read() == content


def test_of_a_large_object_only_what_is_asked_for_is_read(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bytes(f"{root}/content", bytes(2_000_000))
    read: list[int] = []
    part = ObjectStore.read_part
    monkeypatch.setattr(
        ObjectStore, "read_part", lambda *asked: (read.append(len((found := part(*asked)).data)), found)[1]
    )

    with FileSystems.open(f"{root}/content", compression_type="uncompressed") as stream:
        stream.seek(1_000_000)
        stream.read(500)

    assert read == [500]


def test_an_object_that_is_gone_is_an_error_of_the_read(root: str) -> None:
    with pytest.raises(BeamIOError, match="not there"):
        read_bytes(f"{root}/nothing")


def test_a_pipeline_writes_rows_with_beam_s_own_sink(root: str) -> None:
    rows: list[WordingRow] = [
        {"collection": "default", "query_key": str(number), "question": "Why?", "sketched": False}
        for number in range(3)
    ]
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        _ = pipeline | beam.Create(rows) | WriteRows(f"{root}/wordings", WordingRow)

    assert count_rows(f"{root}/wordings") == 3
    assert sorted(read_rows(f"{root}/wordings", WordingRow), key=str) == sorted(rows, key=str)
    assert all("beam-temp" not in path for path in list_files(f"{root}/**"))


def test_a_folder_is_fetched_once_by_all_that_want_it(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "encoder"
    (model / "onnx").mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (model / "onnx" / "model.onnx").write_bytes(b"weights" * 1000)
    send_folder(model, f"{root}/models/1/encoder")
    downloads: list[str] = []
    download = fetching._download
    monkeypatch.setattr(fetching, "_download", lambda path, target: (downloads.append(path), download(path, target)))
    found: list[Path] = []

    threads = [threading.Thread(target=lambda: found.append(fetched(f"{root}/models/1/encoder"))) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert len(downloads) == 2
    assert {path.name for path in found} == {"encoder"}
    assert (found[0] / "onnx" / "model.onnx").read_bytes() == b"weights" * 1000
    assert fetched(str(model)) == model, "a local folder is read where it is"


def test_a_model_that_was_damaged_in_the_store_is_not_taken(root: str, tmp_path: Path) -> None:
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "model.onnx").write_bytes(b"weights")
    send_folder(tmp_path / "encoder", f"{root}/models/1/encoder")
    write_bytes(f"{root}/models/1/encoder/model.onnx", b"weighty")

    with pytest.raises(RunnerError, match=r"model\.onnx is not what was sent"):
        fetched(f"{root}/models/1/encoder")


def test_an_index_that_is_made_again_is_fetched_again(root: str) -> None:
    for version in ("first", "second"):
        with local_output(f"{root}/index/default") as folder:
            (folder / "passages.ids").write_text(version)
        with local_copy(f"{root}/index/default") as copy:
            assert (copy / "passages.ids").read_text() == version
    with local_copy(f"{root}/index/other") as copy:
        assert list(copy.iterdir()) == []
