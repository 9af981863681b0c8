"""An S3-compatible server in this process (moto), and machines that share nothing but a bucket of it."""

from __future__ import annotations

import itertools
import logging
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from warehouse.objects.mirror import Mirror, mirror_of, open_mirror
from warehouse.releases.build import begin_build, seal
from warehouse.releases.build_folder import Build

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "an-access-key",
    "AWS_SECRET_ACCESS_KEY": "a-secret-access-key",
    "AWS_DEFAULT_REGION": "us-east-1",
}
BUCKET = "team"
LARGE = b"an encoder " * 200_000
_numbers = itertools.count()


@dataclass(frozen=True)
class StoreServer:
    """The server's address; each test takes a prefix of its own."""

    url: str

    def new_address(self) -> str:
        """Return the address of an empty data folder in the bucket."""
        return f"s3://{BUCKET}/project-{next(_numbers)}"


@contextmanager
def serving_objects() -> Iterator[StoreServer]:
    """Serve an empty bucket until the block ends."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{url}/{BUCKET}", method="PUT")):
            yield StoreServer(url)
    finally:
        server.stop()


@dataclass(frozen=True)
class Machines:
    """Makes machines of one project: folders that mirror the same store."""

    server: StoreServer
    address: str
    folder: Path

    def new(self, name: str) -> Mirror:
        """Return another machine's mirror, empty as yet."""
        data = self.folder / name
        open_mirror(data, self.address, self.server.url)
        mirror = mirror_of(data)
        assert mirror is not None
        return mirror


def build(mirror: Mirror, encoder: bytes = LARGE) -> Build:
    """Return a small sealed build of a machine."""
    made = begin_build(mirror.folder, "r1")
    made.database.write_bytes(b"tables")
    (made.path / "encoder").mkdir()
    (made.path / "encoder" / "model.onnx").write_bytes(encoder)
    seal(made, {"audit": []})
    return made
