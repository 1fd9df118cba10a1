"""Who asks? The one place where a request gets its identity.

Keys and roles (`read` < `submit` < `operate` < `admin`, and `worker`) come with a later issue; until then everybody who
reaches the address is the local administrator, which is why the server listens on 127.0.0.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """`tenant` None may see all tenants; otherwise another tenant's job is unknown (404)."""

    tenant: str | None
    role: str
    name: str
    """Becomes the `actor` of what the request causes."""

    @property
    def actor(self) -> str:
        return self.name


LOCAL = Identity(tenant=None, role="admin", name="local")


def identify(headers: Mapping[bytes, bytes]) -> Identity:
    """Return who sent a request with these headers (names in lower case)."""
    del headers
    return LOCAL
