"""Queries that are asked again and again are decoded once."""

from __future__ import annotations

import msgspec
import pytest

from orpheus.api.query import _REMEMBERED, QueryDecoder
from orpheus.core.errors import InvalidRequest


class Plain(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    wait_s: float = 0.0
    name: str | None = None


class Listed(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    label: list[str] = []


def test_the_same_query_is_decoded_once():
    decoder = QueryDecoder(Plain)
    first = decoder.decode(b"wait_s=30")
    assert (first.wait_s, first.name) == (30.0, None)
    assert decoder.decode(b"wait_s=30") is first
    assert decoder.decode(b"wait_s=31").wait_s == 31.0
    assert decoder.decode(b"").wait_s == 0.0


def test_a_refusal_is_one_each_time():
    decoder = QueryDecoder(Plain)
    for _ in range(2):
        with pytest.raises(InvalidRequest):
            decoder.decode(b"wait_s=nan")
        with pytest.raises(InvalidRequest):
            decoder.decode(b"other=1")


def test_only_so_many_short_ones_are_remembered():
    decoder = QueryDecoder(Plain)
    for n in range(_REMEMBERED * 3):
        assert decoder.decode(b"wait_s=%d" % n).wait_s == n
    assert len(decoder._remembered) <= _REMEMBERED
    long = b"name=" + b"x" * 100
    assert decoder.decode(long) is not decoder.decode(long)


def test_what_holds_a_list_is_not_shared():
    decoder = QueryDecoder(Listed)
    assert decoder.decode(b"label=a:b") is not decoder.decode(b"label=a:b")
