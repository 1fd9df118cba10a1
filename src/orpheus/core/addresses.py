"""May the server or a worker speak to this address on somebody else's word? Only to addresses of the public internet.

Whoever sends a URL (a webhook's, a file's) could otherwise have us reach what only we can: this machine, its network, the
metadata service of a cloud. The rule is about addresses, never names: the caller resolves the name once, asks here about
every address it got, and connects to one of exactly these, so that a name which changes its mind in between changes nothing.
"""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")


def why_private(text: str) -> str | None:
    """Say why an address is not one of the public internet; None when it is.

    Args:
        text: an IPv4 or IPv6 address, as `getaddrinfo` gives it; not a name.
    """
    try:
        address = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return "it is not an IP address"
    wrapped = _wrapped(address)
    if wrapped is not None:
        return _why(wrapped)
    return next((why for each in (address, *_reached(address)) if (why := _why(each)) is not None), None)


def is_public(text: str) -> bool:
    """Tell whether an address is one of the public internet."""
    return why_private(text) is None


def _why(address: Address) -> str | None:
    if address.is_unspecified:
        return "it is the unspecified address"
    if address.is_loopback:
        return "it is this machine (loopback)"
    if address.is_link_local:
        return "it is link-local"
    if address.is_multicast:
        return "it is a multicast address"
    if isinstance(address, ipaddress.IPv6Address) and address.is_site_local:
        return "it is site-local"
    if address.is_reserved:
        return "it is reserved"
    if not address.is_global:
        return "it is private"
    return None


def _wrapped(address: Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that is only written as an IPv6 one, or that a NAT64 gateway makes of it."""
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped


def _reached(address: Address) -> list[ipaddress.IPv4Address]:
    """Return the IPv4 addresses to which a tunnel (6to4, Teredo) would carry what is sent to this one."""
    if not isinstance(address, ipaddress.IPv6Address):
        return []
    return [each for each in (address.sixtofour, *(address.teredo or ())) if each is not None]


__all__ = ["is_public", "why_private"]
