"""Sessions of the review page: who has signed in, in a signed cookie, and the token that its forms carry.

A cookie holds the hash of the reviewer's key, a random number and the session's end, signed with a secret in the data
folder. So every worker process accepts it, also after a restart, nothing is stored, and it counts for nothing as soon
as the key is taken out of the configuration. The price: signing out removes the browser's cookie, but a copy of it
stays valid until the session ends.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from warehouse.durable import storage_errors, sync
from warehouse.errors import StorageError

SESSION_SECRET = "review-secret"  # the file in the data folder
SESSION_SECONDS = 12 * 3600
SIGN_IN_SECONDS = 3600
_SECRET_BYTES = 32
_TOKEN = re.compile(
    r"(?P<signed>(?P<key>[0-9a-f]{0,64})\.(?P<nonce>[\w-]{22})\.(?P<until>\d{1,12}))\.(?P<mark>[0-9a-f]{64})"
)


@dataclass(frozen=True)
class Session:
    """A browser's session; `key` is the hash of the key that signed in (hexadecimal), "" before that."""

    key: str
    nonce: str
    until: int

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.key}.{self.nonce}.{self.until}"


class Sessions:
    """Makes and checks the cookies and the forms' tokens of one data folder."""

    def __init__(self, secret_file: Path, clock: Callable[[], float] = time.time) -> None:
        """Keep the secret in `secret_file`, which is made when it is needed first."""
        self._file = secret_file
        self._clock = clock
        self._known: bytes | None = None

    def begin(self, key: str, seconds: int) -> tuple[Session, str]:
        """Return a new session and its cookie's value.

        Raises:
            StorageError: the secret can't be written or read.
        """
        session = Session(key, secrets.token_urlsafe(16), int(self._clock()) + seconds)
        return session, f"{session.text}.{self._mark('session', session.text)}"

    def session(self, cookie: str) -> Session | None:
        """Return the session of a cookie; None if it was not made here or has ended.

        Raises:
            StorageError: the secret can't be written or read.
        """
        found = _TOKEN.fullmatch(cookie)
        if found is None or not hmac.compare_digest(found["mark"], self._mark("session", found["signed"])):
            return None
        session = Session(found["key"], found["nonce"], int(found["until"]))
        return session if session.until > self._clock() else None

    def form_token(self, session: Session) -> str:
        """Return the token that the forms of a session carry, which no page of another site can know."""
        return self._mark("form", session.text)

    def accepts(self, session: Session, token: str) -> bool:
        """Whether a form's token belongs to the session."""
        return hmac.compare_digest(self.form_token(session).encode(), token.encode())

    def _mark(self, purpose: str, text: str) -> str:
        if self._known is None:
            self._known = _secret(self._file)
        return hmac.new(self._known, f"{purpose} {text}".encode(), hashlib.sha256).hexdigest()


def _secret(path: Path) -> bytes:
    """Return the secret, made by the first process that asks for it."""
    with storage_errors(path.parent, f"keep {path.name}"):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _make(path)
        secret = path.read_bytes()
    if len(secret) < _SECRET_BYTES:
        raise StorageError(f"{path} is damaged: remove it, and reviewers sign in again.")
    return secret


def _make(path: Path) -> None:
    """Write a new secret; it is linked into place whole, so no process reads half of one, and the first one stays."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(temporary)
    finally:
        temporary.unlink()
    sync(path.parent)
