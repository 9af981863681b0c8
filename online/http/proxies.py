"""Who sent a request, and under which name, where proxies stand in front of the service.

Anybody can send `X-Forwarded-For`, so these headers count only if the connection comes from a proxy that the
configuration names (`trusted_proxies`). The chain is read from its end: the client is the last address that is no
trusted proxy. A proxy sets one of the two forms (`X-Forwarded-*`, or `Forwarded` of RFC 7239) and may pass on the other
as its client sent it, so where both are present and differ, neither is believed.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.types import Scope

from rag.errors import ConfigurationError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Headers = Mapping[bytes, bytes]

_SUBSCRIBER_BITS = 64  # of IPv6: a provider gives each of its customers at least such a network
_FORWARDED_PAIR = re.compile(r"(?:^|[;,\s])(for|host)\s*=\s*(\"[^\"]*\"|[^;,\s]*)", re.IGNORECASE)


def client_address(scope: Scope, ipv6_bits: int = _SUBSCRIBER_BITS) -> str:
    """Return the address by which a client is counted, or "" if it is not known.

    It is the one behind the trusted proxies. An IPv6 client has a whole network of addresses, and is counted by its
    first bits.
    """
    client = scope.get("client")
    address = None if client is None else _address(client[0])
    if address is None:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, ipv6_bits), strict=False))
    return str(address)


@dataclass(frozen=True)
class Proxies:
    """The proxies whose headers count."""

    networks: tuple[Network, ...]

    @classmethod
    def named(cls, proxies: Sequence[str]) -> Proxies:
        """Parse addresses and networks in CIDR form.

        Raises:
            ConfigurationError: one is neither.
        """
        try:
            return cls(tuple(ipaddress.ip_network(each) for each in proxies))
        except ValueError as error:
            raise ConfigurationError(
                f"[service] trusted_proxies: {error}; name an address such as 10.0.0.7 or a network such as 10.0.0.0/8"
            ) from None

    def unwrap(self, scope: Scope, headers: Headers) -> bytes | None:
        """Set the scope's client to the one behind the proxies; return the host that it named, if a proxy says so."""
        peer = scope.get("client")
        if peer is None or not self._trusts(_address(peer[0])):
            return None
        clients, host = _forwarded(headers)
        for client in reversed(clients):
            if client is None:  # hidden by a proxy, or not readable: the last known address stays
                break
            scope["client"] = (str(client), 0)
            if not self._trusts(client):
                break
        return host

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self.networks)


def _forwarded(headers: Headers) -> tuple[Sequence[Address | None], bytes | None]:
    """Return the chain of clients, and the host that the first proxy was asked for."""
    chains: list[Sequence[Address | None]] = []
    hosts: list[str] = []
    if b"x-forwarded-for" in headers:
        chains.append([_address(each) for each in headers[b"x-forwarded-for"].decode("latin-1").split(",")])
    if b"forwarded" in headers:
        pairs = [
            (name.lower(), value) for name, value in _FORWARDED_PAIR.findall(headers[b"forwarded"].decode("latin-1"))
        ]
        chains.append([_address(value) for name, value in pairs if name == "for"])
        hosts += [value.strip('"') for name, value in pairs if name == "host"][:1]
    if b"x-forwarded-host" in headers:
        hosts.append(headers[b"x-forwarded-host"].decode("latin-1").split(",")[0].strip())
    agreed = not chains or all(chain == chains[0] for chain in chains)
    named = hosts[0].encode("latin-1") if len(set(hosts)) == 1 else None
    return (chains[0] if chains and agreed else ()), named


def _address(text: str) -> Address | None:
    """Parse an address, with or without a port, brackets, quotes and a zone."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None) or address
