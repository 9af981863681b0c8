"""An S3-compatible server (moto), and machines that share nothing but a bucket of it."""

from __future__ import annotations

import itertools
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.ports import held_port
from tests.waiting import until
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
    """Serve an empty bucket until the block ends.

    The server is a process of its own: with Flask in it, the process of the tests could start no vLLM, which asks every
    object of every module for its attributes.
    """
    with held_port() as port:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        url = f"http://127.0.0.1:{port}"
        try:
            until("moto has made the bucket", lambda: _make_bucket(url), process=server)
            yield StoreServer(url)
        finally:
            server.kill()
            server.wait()


def _make_bucket(url: str) -> bool:
    """Make the bucket; return whether the server is there to do it."""
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{url}/{BUCKET}", method="PUT")):
            return True
    except urllib.error.URLError:
        return False


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
