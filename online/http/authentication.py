"""API keys: who the caller is, what they may do, and how often.

Keys are 256 random bits, so one round of SHA-256 at rest is enough: there is no dictionary to try, which is
what slow hashes are for. Only the hash is in the configuration and in memory.
"""

from __future__ import annotations

import difflib
import hashlib
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from starlette.types import Scope

from online.errors import Problem
from online.http.problems import HttpProblem
from online.http.question_filters import AllowedFilters, Named, undeclared
from online.http.rate_limits import Bucket, buckets
from online.settings import Bypass, KeySettings, ServiceSettings
from online.settings import Scope as KeyScope
from rag.collection_settings import CollectionSettings, EarlierTurns, SystemPrompt
from rag.errors import ConfigurationError
from rag.filters import NO_FILTERING, Filters

_PREFIX = "bf-"
_MOST_NAMED = 10_000  # callers without a key that are kept in memory
Headers = Mapping[bytes, bytes]


def hash_key(key: str) -> str:
    """Return the hash of a key, for the configuration."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def mint() -> tuple[str, str]:
    """Make a new key: the key itself, shown once, and its hash for the configuration."""
    key = _PREFIX + secrets.token_urlsafe(32)
    return key, hash_key(key)


@dataclass(frozen=True)
class Caller:
    """The caller. `collections` are all that they can name; `bucket` is None without a rate limit.

    `default_collection` is what the configuration chooses for a question that names none, `bypass` what a chat gets
    that no prepared answer fits; `asker` tells callers apart, by the name of their key or by a hash of their address.
    `filtered` says what filters the caller may choose, for the collections that declare some. The others say what chats
    mean, as far as the key has settings of its own.
    """

    key_id: str | None
    scopes: frozenset[KeyScope]
    collections: tuple[str, ...]
    bucket: Bucket | None = None
    default_collection: str | None = None
    bypass: Bypass = "grounded"
    asker: str | None = None
    filtered: Mapping[str, AllowedFilters] = field(default_factory=dict)
    system_prompt: SystemPrompt | None = None
    known_system_prompts: frozenset[str] = frozenset()
    earlier_turns: EarlierTurns | None = None

    @property
    def default(self) -> str | None:
        """The collection of a question that names none: the only one, or the configured one, or None."""
        return self.collections[0] if len(self.collections) == 1 else self.default_collection

    def require(self, scope: KeyScope) -> None:
        """Raise unless the caller has `scope`; `admin` implies all."""
        if scope not in self.scopes and "admin" not in self.scopes:
            raise Problem("forbidden", f"This needs the scope {scope!r}, which the key does not have.")

    def collection(self, named: str | None) -> str:
        """Resolve the collection: the one named, or the default. Unknown and forbidden look the same."""
        if named is None and (named := self.default) is None:
            these = f"one of {', '.join(self.collections)}" if self.collections else "but there is none yet"
            raise Problem("invalid", f"Name a collection: {these}.", param="collection")
        if named not in self.collections:
            raise Problem("forbidden", "The key does not belong to the collection that was named.")
        return named

    def filters(self, collection: str, named: Named | None = None) -> Filters:
        """Return the filters of a question whose request names these values.

        Raises:
            Problem: it names a field that is not declared, or a value that is not the caller's to choose.
        """
        allowed = self.filtered.get(collection)
        if allowed is not None:
            return allowed.of_request(named)
        if named:
            raise undeclared(next(iter(named)), NO_FILTERING)
        return ()


class Keys:
    """The keys of the configuration, by their hashes."""

    def __init__(
        self,
        keys: Mapping[str, KeySettings],
        collections: Mapping[str, CollectionSettings],
        public: Collection[str] = (),
        default: str | None = None,
        shared: Path | None = None,
        bypass: Bypass = "grounded",
        asker: Callable[[Scope], str] = lambda _: "anonymous",
    ) -> None:
        """Take the keys, and the collections with what they declare; `public` are those that visitors see without one.

        `default` is the collection of a question that names none, for callers without a default of their own, `shared`
        the folder of the worker processes that share the rate limits, `bypass` applies to keys without their own, and
        `asker` names the callers without a key.

        Raises:
            ConfigurationError: there is no such collection, or no such filter.
        """
        _require("[service] public_page: there is no collection", public, collections)
        _require(
            "[service] default_collection: there is no collection", [] if default is None else [default], collections
        )
        limits = {name: each.requests_per_minute for name, each in keys.items()}
        limited = buckets({name: limit for name, limit in limits.items() if limit is not None}, shared)
        self._by_hash = {
            key.hash.get_secret_value(): _caller(name, key, collections, default, limited.get(name), bypass)
            for name, key in keys.items()
        }
        asking: frozenset[KeyScope] = frozenset({"ask", "feedback"})
        visible = tuple(each for each in collections if each in public)
        keyless = _filtered(collections, {})
        self._everybody = Caller(None, asking, tuple(collections), None, default, bypass, filtered=keyless)
        self._visitor = Caller(None, asking, visible, None, default if default in visible else None, filtered=keyless)
        self.required = bool(self._by_hash)
        self._asker = asker
        self._named: dict[str, Caller] = {}  # a service has either everybody or visitors without a key

    def _anonymous(self, known: Caller, asker: str) -> Caller:
        """Return a caller without a key under its name; to make one anew costs an exact hit 4 µs."""
        caller = self._named.get(asker)
        if caller is None:
            if len(self._named) >= _MOST_NAMED:
                self._named.clear()
            caller = self._named[asker] = replace(known, asker=asker)
        return caller

    def caller(self, scope: Scope, *, visitors: bool = False) -> Caller:
        """Return the caller of a request (`Authorization: Bearer <key>`), and count it against the rate limit.

        The caller is kept in the scope, so that `online.http.middleware` can add the rate limit's headers.
        With `visitors`, a caller without a key sees the public collections: for the page and the routes that it uses.

        Raises:
            Problem: no key or an unknown one, or one too many requests.
        """
        if not self.required:
            return self._anonymous(self._everybody, self._asker(scope))
        sent = scope["headers_by_name"].get(b"authorization", b"")
        if visitors and not sent and self._visitor.collections:
            return self._anonymous(self._visitor, self._asker(scope))
        scheme, _, key = sent.decode("latin-1").partition(" ")
        caller = self._by_hash.get(hash_key(key.strip())) if scheme.lower() == "bearer" else None
        if caller is None:
            detail = "Send a valid API key as `Authorization: Bearer <key>`."
            raise HttpProblem("unauthenticated", detail, {"www-authenticate": "Bearer"})
        scope["caller"] = caller
        if caller.bucket is not None and not caller.bucket.take():
            raise Problem(
                "rate-limited",
                "The key's requests for this minute are used up.",
                retry_after=caller.bucket.seconds_to_next,
            )
        return caller

    def holder(self, hashed: str) -> Caller | None:
        """Return whose key has this hash; None if the configuration has no such key."""
        return self._by_hash.get(hashed)


def keys_of(
    settings: ServiceSettings,
    collections: Mapping[str, CollectionSettings],
    shared: Path | None = None,
    asker: Callable[[Scope], str] = lambda _: "anonymous",
) -> Keys:
    """Return the keys of the settings; `shared` is the folder of the worker processes, if there are several.

    `collections` come with what they declare; `asker` names the callers without a key.

    Raises:
        ConfigurationError: they name a collection or a filter that does not exist.
    """
    return Keys(
        settings.keys,
        collections,
        settings.public_page,
        settings.default_collection,
        shared,
        settings.bypass,
        asker,
    )


def _caller(
    name: str,
    key: KeySettings,
    collections: Mapping[str, CollectionSettings],
    default: str | None,
    bucket: Bucket | None,
    bypass: Bypass,
) -> Caller:
    place = f"[service.keys.{name}]"
    _require(f"{place} collections: there is no collection", key.collections, collections)
    own = tuple(each for each in collections if not key.collections or each in key.collections)
    if key.default_collection is not None:
        _require(f"{place} default_collection: the key has no collection", [key.default_collection], own)
    declared = dict.fromkeys(name for each in own for name in collections[each].filters)
    _require(f"{place} filters: no collection of the key declares the filter", key.filters, declared)
    whole = [each for each in ("review", "report", "admin") if each in key.scopes]
    if key.filters and whole:
        raise ConfigurationError(
            f"{place} filters: reviewers and readers of the report see every answer of a collection; give the key no "
            f"filters, or not the scope {whole[0]}"
        )
    return Caller(
        name,
        frozenset(key.scopes),
        own,
        bucket,
        key.default_collection or (default if default in own else None),
        key.bypass or bypass,
        name,
        _filtered({each: collections[each] for each in own}, key.filters),
        key.system_prompt,
        frozenset(key.known_system_prompts),
        key.earlier_turns,
    )


def _filtered(collections: Mapping[str, CollectionSettings], fixed: Mapping[str, str]) -> dict[str, AllowedFilters]:
    return {name: AllowedFilters.of(each.filtering, fixed) for name, each in collections.items() if each.filters}


def _require(complaint: str, named: Collection[str], collections: Collection[str]) -> None:
    """Raise if a collection, or a filter, is named that does not exist."""
    for name in named:
        if name not in collections:
            close = difflib.get_close_matches(name, collections, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(collections)) or 'none'}"
            raise ConfigurationError(f"{complaint} {name!r}; {hint}")
