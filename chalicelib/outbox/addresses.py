"""Which addresses a webhook may lead to: the public Internet, and private networks that the settings name.

The service calls where a user says, from inside the owner's account. So the
check is on the addresses that a name resolves to, right before the call is made
to just these addresses: what a name says, and what it said earlier, counts for
nothing (OWASP, Server-Side Request Forgery Prevention).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from tiltyard.errors import Fault, InvalidInput

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_URL = 2048
DEFAULT_PORTS = {"https": 443, "http": 80}

# Leads to the IPv4 address in its last 32 bits (RFC 6052).
_TRANSLATED = IPv6Network("64:ff9b::/96")
# In IANA's registries of special addresses, but not, or not in every release, in Python's.
_SPECIAL = (
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv6Network("::/96"),
    IPv6Network("64:ff9b:1::/48"),
    IPv6Network("100::/64"),
    IPv6Network("100:0:0:1::/64"),
    IPv6Network("2001::/23"),
    IPv6Network("2001:db8::/32"),
    IPv6Network("3fff::/20"),
    IPv6Network("5f00::/16"),
    IPv6Network("fec0::/10"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a URL leads: `host` is a name or an address without brackets, `target` path and query."""

    scheme: str
    host: str
    port: int
    target: str


def parse(url: str) -> Place:
    """A URL taken apart, or `InvalidInput` with what is wrong with it.

    Only what can't be misread is taken: no user names, no fragments, no
    characters that two parsers might see differently.
    """
    wrong = _wrong(url)
    if wrong is not None:
        raise InvalidInput("The webhook's address can't be called.", faults=[Fault("/url", wrong)])
    parts = urlsplit(url)
    host = str(parts.hostname)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(parts.scheme, host, parts.port or DEFAULT_PORTS[parts.scheme], target)


def check(place: Place, found: Sequence[str], allowed: Sequence[Network]) -> tuple[str, ...]:
    """The addresses that a place resolves to, when every one of them may be called.

    One refused address refuses them all: a name that leads both ways has no
    honest use. Plain HTTP is for `allowed` networks alone.

    Raises
    ------
    InvalidInput
        When one may not be, or there is none.
    """
    if not found:
        raise _refused(f"{place.host} resolves to no address")
    for text in found:
        address = ip_address(text)
        is_own = any(address in network for network in allowed if network.version == address.version)
        if not is_own:
            why = refusal(address)
            if why is not None:
                raise _refused(f"{place.host} leads to {address}, which is {why}")
            if place.scheme != "https":
                raise _refused("must begin with https:// (a delivery is for nobody else to read)")
    return tuple(found)


def refusal(address: Address) -> str | None:
    """Why an address is never called, or None for one of the public Internet."""
    is_special = any(address in network for network in _SPECIAL if network.version == address.version)
    if isinstance(address, IPv6Address) and not is_special:
        embedded = _embedded(address)
        if embedded is not None:
            inner = refusal(embedded)
            return None if inner is None else f"{inner} ({embedded})"
    for attribute, why in (
        ("is_loopback", "this machine's own"),
        ("is_link_local", "link-local: instance metadata, for one"),
        ("is_multicast", "multicast"),
        ("is_unspecified", "no host's"),
    ):
        if getattr(address, attribute):
            return why
    if is_special or address.is_reserved or address.is_private or not address.is_global:
        return "private or reserved, not of the public Internet"
    return None


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that packets to this one end at, if they do."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


def _wrong(url: str) -> str | None:
    if len(url) > MAX_URL:
        return f"is longer than {MAX_URL} characters"
    if not all("!" <= character <= "~" for character in url) or "\\" in url:
        return "may hold printable ASCII only, without spaces and backslashes; write a name in Punycode"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        return f"is no URL: {exc}"
    if parts.scheme not in DEFAULT_PORTS:
        return "must begin with https://"
    if "@" in parts.netloc:
        return "may name no user and no password: deliveries are signed instead"
    if not parts.hostname or "%" in parts.hostname:
        return "names no host"
    if port == 0:
        return "names port 0"
    if "#" in url:
        return "may have no fragment: no server ever sees it"
    return None


def _refused(why: str) -> InvalidInput:
    return InvalidInput("The webhook's address may not be called.", faults=[Fault("/url", why)])
