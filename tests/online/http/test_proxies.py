"""The client's address behind proxies, and nobody who can choose it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from online.http.proxies import Proxies, client_address
from rag.errors import ConfigurationError


def seen(peer: str, *networks: str, **headers: str) -> str:
    """Return the address by which a client is counted."""
    raw = {name.replace("_", "-").encode(): value.encode("latin-1") for name, value in headers.items()}
    scope = {"client": (peer, 1234)}
    Proxies.named(networks).unwrap(scope, raw)
    return client_address(scope)


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        ({}, "10.0.0.1"),
        ({"x_forwarded_for": "203.0.113.7"}, "203.0.113.7"),
        ({"x_forwarded_for": "203.0.113.7:4711"}, "203.0.113.7"),
        ({"x_forwarded_for": "198.51.100.1, 203.0.113.7"}, "203.0.113.7"),
        ({"x_forwarded_for": "203.0.113.7, 10.0.0.9"}, "203.0.113.7"),
        ({"x_forwarded_for": "10.0.0.8, 10.0.0.9"}, "10.0.0.8"),
        ({"x_forwarded_for": "nonsense"}, "10.0.0.1"),
        ({"x_forwarded_for": "203.0.113.7, nonsense"}, "10.0.0.1"),
        ({"forwarded": 'for=203.0.113.7;proto=https, for="10.0.0.9:80"'}, "203.0.113.7"),
        ({"forwarded": 'for="[2001:db8:1:2::7]:4711"'}, "2001:db8:1:2::/64"),
        ({"forwarded": "for=unknown"}, "10.0.0.1"),
        ({"forwarded": "for=198.51.100.1", "x_forwarded_for": "203.0.113.7"}, "10.0.0.1"),
        ({"forwarded": "for=203.0.113.7", "x_forwarded_for": "203.0.113.7"}, "203.0.113.7"),
    ],
)
def test_a_named_proxy_says_who_the_client_is(headers: dict[str, str], client: str) -> None:
    assert seen("10.0.0.1", "10.0.0.0/8", **headers) == client


@given(st.text(st.characters(max_codepoint=255)), st.text(st.characters(max_codepoint=255)))
def test_nobody_else_does(forwarded_for: str, forwarded: str) -> None:
    assert seen("192.0.2.1", "10.0.0.0/8", x_forwarded_for=forwarded_for, forwarded=forwarded) == "192.0.2.1"


@given(st.text(st.characters(max_codepoint=255)))
def test_a_client_can_not_hide_behind_what_it_sends_to_the_proxy(sent: str) -> None:
    assert seen("10.0.0.1", "10.0.0.0/8", x_forwarded_for=f"{sent}, 203.0.113.7") == "203.0.113.7"


def test_an_ipv6_client_is_counted_by_its_network() -> None:
    assert seen("2001:db8:1:2::1") == seen("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"


def test_an_ipv4_client_on_an_ipv6_socket_is_an_ipv4_client() -> None:
    assert seen("::ffff:192.0.2.1") == "192.0.2.1"


def test_a_connection_without_an_address_has_none() -> None:
    assert client_address({"client": None}) == ""


def test_a_proxy_that_is_no_address_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="trusted_proxies: 'nginx' does not appear"):
        Proxies.named(["nginx"])
