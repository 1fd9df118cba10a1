"""Which failures count as the same."""

from __future__ import annotations

import pytest

from orpheus.core.fingerprint import MOST_MESSAGE, fingerprint, normalised


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "job 0192f7a4-5c3b-7d21-9c1e-5a0f4be2d7c3 has no file",
            "job 0192f7a4-aaaa-7d21-9c1e-5a0f4be2d7c3 has no file",
        ),
        ("timed out after 3.5 s", "timed out after 120 s"),
        ("no such file: /tmp/x/a.mp4", "no such file: /var/b c.mp4".replace(" c", "")),
        ("KeyError: 'speaker'", 'KeyError: "words"'),
        ("GET https://a.example/x?y=1 answered 503", "GET http://b.example answered 502"),
        ("object at 0x7f16ed6457b0 is gone", "object at 0x1 is gone"),
        ("sha deadbeef00 differs", "sha 0123456789abcdef differs"),
        ("at 2026-01-02T03:04:05Z", "at 2025-12-31 23:59:59.123+01:00"),
        ("line one\nline  two", "line one line two"),
    ],
)
def test_particulars_do_not_count(one, other):
    assert normalised(one) == normalised(other)


def test_other_words_do_and_so_does_the_place():
    assert normalised("no such file") != normalised("no such folder")
    whole = {"workflow": "w", "task": "t", "code": "c", "kind": "k", "message": "m"}
    others = [fingerprint(**{**whole, name: "other"}) for name in whole]
    assert len({fingerprint(**whole), *others}) == 6


def test_it_is_bounded():
    assert len(normalised("word " * 100_000)) <= MOST_MESSAGE
