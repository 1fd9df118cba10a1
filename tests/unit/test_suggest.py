"""The nearest match is found, and found quickly."""

from __future__ import annotations

from orpheus.core.suggest import did_you_mean, nearest, quoted


def test_nearest() -> None:
    """A slip of the finger or of case is found; another word is not."""
    assert nearest("segmnts", ["text", "segments"]) == "segments"
    assert nearest("KIND", ["kind"]) == "kind"
    assert nearest("zebra", ["kind", "text"]) is None
    assert nearest("x" * 1000, ["kind"]) is None


def test_did_you_mean() -> None:
    """Without a match a short list is told."""
    assert did_you_mean("segmnts", ["segments"]) == 'Did you mean "segments"?'
    assert did_you_mean("zebra", ["kind", "text"]) == 'There is "kind", "text".'
    assert did_you_mean("zebra", [str(n) for n in range(100)]) == ""


def test_ten_thousand_names() -> None:
    """The match is found among very many too."""
    assert nearest("node_77o7", [f"node_{n}" for n in range(10_000)]) is not None


def test_quoted() -> None:
    """What a client sent is shown short, on one line."""
    assert quoted("a\nb") == '"a\N{REPLACEMENT CHARACTER}b"'
    assert len(quoted("x" * 500)) < 90
    assert quoted(3) == "3"
