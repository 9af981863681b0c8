"""Opens the client library for a bucket: server, credentials, retries.

Credentials are never ours: the library reads the standard variables (AWS_…, GOOGLE_…) and a machine's own role; where
none of these is set and boto3 is installed, boto3 is asked, which also knows profiles and single sign-on.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import SecretStr

if TYPE_CHECKING:
    from obstore.auth.boto3 import Boto3CredentialProvider
    from obstore.store import ClientConfig, GCSStore, RetryConfig, S3Config, S3Store

_CLIENT: ClientConfig = {"connect_timeout": "5s", "timeout": "120s"}
_MOST_RETRIES = 5  # some 6 s if nobody listens
_OWN_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)


@dataclass(frozen=True)
class ServerAccess:
    """How a store's server is reached, as far as the environment doesn't say."""

    endpoint: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None


def connect(address: str, access: ServerAccess) -> S3Store | GCSStore:
    """Return the library's store for an address."""
    from obstore.store import GCSStore, S3Store

    retries: RetryConfig = {"max_retries": _MOST_RETRIES, "retry_timeout": timedelta(seconds=60)}
    bucket, _, prefix = address.partition("://")[2].partition("/")
    if address.startswith("gs://"):
        return GCSStore(bucket, prefix=prefix or None, client_options=_CLIENT, retry_config=retries)
    server = access.endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    client: ClientConfig = {**_CLIENT, "allow_http": True} if server.startswith("http://") else _CLIENT
    return S3Store(
        bucket,
        prefix=prefix or None,
        config=_config(server, access),
        client_options=client,
        retry_config=retries,
        credential_provider=None if access.access_key_id else _from_boto3(),
    )


def _config(server: str, access: ServerAccess) -> S3Config:
    config: S3Config = {"endpoint": server} if server else {}
    if access.region:
        config["region"] = access.region
    if access.access_key_id and access.secret_access_key:
        config["access_key_id"] = access.access_key_id
        config["secret_access_key"] = access.secret_access_key.get_secret_value()
        if access.session_token:
            config["session_token"] = access.session_token.get_secret_value()
    return config


def _from_boto3() -> Boto3CredentialProvider | None:
    """Return boto3's way to credentials, None where the library has its own or boto3 is missing."""
    if any(os.environ.get(name) for name in _OWN_CREDENTIALS) or importlib.util.find_spec("boto3") is None:
        return None
    from obstore.auth.boto3 import Boto3CredentialProvider

    return Boto3CredentialProvider()
