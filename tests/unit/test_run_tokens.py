"""The token of a run is HMAC-SHA256 of its id: workers that were given one before an update are still believed after it."""

from __future__ import annotations

import hmac

import pytest

from orpheus.engine.claims import RunTokens


@pytest.mark.parametrize("secret", [b"k" * 32, b"", bytes(range(64))])
def test_a_token_is_the_hmac_of_the_run(secret: bytes) -> None:
    tokens = RunTokens(secret)
    for run_id in ("0192f7a4-5c3b-7d21-9c1e-5a0f4be2d7c3", "", "ü" * 100):
        assert tokens.make(run_id) == hmac.digest(secret, run_id.encode(), "sha256").hex()
        assert tokens.make(run_id) == tokens.make(run_id), "nothing is left over from the one before"
