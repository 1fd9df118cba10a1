"""How does a receiver know that a delivery is ours? Signed as Standard Webhooks says.

    webhook-id         of the delivery; the same each time it is sent
    webhook-timestamp  seconds, of this try
    webhook-signature  `v1,` and the base64 of HMAC-SHA256 over `{id}.{timestamp}.{body}`; one for each secret

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

PREFIX = "whsec_"
FEWEST_BYTES = 16
"""Fewer could be guessed; the standard asks for 24 to 64, and others' tools make shorter ones."""
MOST_BYTES = 256
MADE_BYTES = 32


def make_secret(random_bytes: bytes) -> str:
    """Return a secret in its usual form."""
    return PREFIX + base64.b64encode(random_bytes).decode()


def key_of(secret: str) -> bytes:
    """Return the bytes that sign.

    Raises:
        ValueError: it is not `whsec_` and base64, or too short.
    """
    if not secret.startswith(PREFIX):
        raise ValueError(f"a secret begins with {PREFIX}")
    try:
        key = base64.b64decode(secret[len(PREFIX) :], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"what follows {PREFIX} is not base64") from None
    if not FEWEST_BYTES <= len(key) <= MOST_BYTES:
        raise ValueError(f"a secret has {FEWEST_BYTES} to {MOST_BYTES} bytes, this one {len(key)}")
    return key


def headers(secrets: Iterable[str], *, delivery_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the three headers that sign a body; several secrets while one takes the other's place."""
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    digests = (hmac.digest(key_of(secret), signed, hashlib.sha256) for secret in secrets)
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests),
    }
