"""Tells anonymous callers apart without keeping who they are: salted hashes of their addresses, for one day.

Each day's salt is the hash of the day's before, and only today's is kept (`<data>/asker-salt.json`). So all worker
processes agree without talking to each other, hashes of two days can't be linked, and nobody who takes the data folder
can find the addresses of yesterday.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from starlette.types import Scope

from online.http.proxies import client_address
from warehouse.durable import replace_file, storage_errors

ASKER_SALT = "asker-salt.json"
_DAY_SECONDS = 86_400  # days of UTC, counted from 1970
_MOST_NAMES = 10_000  # kept in memory, as a hash costs more than a look-up
_SITE_BITS = 48  # of an IPv6 address: a site has all addresses behind them


class Askers:
    """Names the anonymous callers of a data folder's service."""

    def __init__(self, data: Path, clock: Callable[[], float] = time.time) -> None:
        """Take the salt of the data folder, and make one if there is none."""
        self._path = data / ASKER_SALT
        self._clock = clock
        self._day, self._salt = self._read_or_make()
        self._names: dict[str, str] = {}
        self._turn(self._today())

    def name(self, scope: Scope) -> str:
        """Return a name for the client of a request: one address has one name on one day."""
        today = self._today()
        if today != self._day:
            self._turn(today)
        client = scope.get("client")
        address = client[0] if client else "unknown"
        name = self._names.get(address)
        if name is None:
            if len(self._names) >= _MOST_NAMES:
                self._names.clear()
            site = client_address(scope, _SITE_BITS)
            name = self._names[address] = hashlib.blake2b(site.encode(), key=self._salt, digest_size=8).hexdigest()
        return name

    def _today(self) -> int:
        return int(self._clock() // _DAY_SECONDS)

    def _turn(self, today: int) -> None:
        """Go on to the salt of today, and forget those before."""
        before = self._day
        self._names.clear()
        while self._day < today:
            self._day += 1
            self._salt = hashlib.sha256(self._salt).digest()
        if self._day != before:
            with storage_errors(self._path.parent, f"write {ASKER_SALT}"):
                replace_file(self._path, _content(self._day, self._salt))

    def _read_or_make(self) -> tuple[int, bytes]:
        with storage_errors(self._path.parent, f"write {ASKER_SALT}"):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            own = self._path.with_name(f".{ASKER_SALT}.{os.getpid()}")
            own.write_bytes(_content(self._today(), secrets.token_bytes(32)))
            try:
                os.link(own, self._path)  # the first of several workers wins
            except FileExistsError:
                pass
            finally:
                own.unlink()
            kept = json.loads(self._path.read_bytes())
        return int(kept["day"]), bytes.fromhex(kept["salt"])


def _content(day: int, salt: bytes) -> bytes:
    return json.dumps({"day": day, "salt": salt.hex()}).encode()
