"""Only addresses of the public internet are public, however they are dressed up."""

from __future__ import annotations

import pytest

from orpheus.core.addresses import is_public, why_private


@pytest.mark.parametrize(
    "text",
    [
        "93.184.216.34",
        "1.1.1.1",
        "2606:2800:220:1:248:1893:25c8:1946",
        "[2001:4860:4860::8888]",
        "64:ff9b::5db8:d822",
        "::ffff:1.1.1.1",
    ],
)
def test_public(text: str) -> None:
    assert why_private(text) is None
    assert is_public(text)


@pytest.mark.parametrize(
    "text",
    [
        *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.3.4", "192.168.1.1", "100.64.0.1"),
        *("169.254.169.254", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1", "2001:db8::1"),
        # IPv4 inside IPv6: mapped, compatible, 6to4, NAT64, Teredo.
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::7f00:1", "2002:7f00:1::", "64:ff9b::a9fe:a9fe"),
        *("2001:0:4136:e378:8000:63bf:80ff:fffe",),
        *("localhost", "", "example.com", "0x7f.1", "2130706433"),
    ],
)
def test_not_public(text: str) -> None:
    assert why_private(text)
    assert not is_public(text)
