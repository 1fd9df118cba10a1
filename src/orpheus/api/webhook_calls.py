"""How is a webhook called? One POST to a checked address, bounded in time and in what is read of the answer.

A name is resolved here and nowhere else, every address it has is judged (`core/addresses.py`), and the connection goes to
one of those that passed: a name that leads elsewhere a moment later changes nothing. Redirects are not followed, since they
would lead around all of this; proxies of the environment are not asked.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from orpheus.core.addresses import why_private
from orpheus.core.webhooks import PrivateAddress

CONNECT_S = 5.0
TOTAL_S = 15.0
"""The standard asks receivers to answer within 15 s and to do their work afterwards."""
ANSWER_BYTES = 1_024
"""Read of an answer, for the delivery's `last_error`; the connection is closed on the rest."""
SHOWN_CHARS = 200


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a call. `status` None: no answer."""

    status: int | None
    error: str | None = None
    retry_after_s: float | None = None

    @property
    def ok(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class PublicResolver(AbstractResolver):
    """Resolves names to public addresses only."""

    def __init__(self, inner: AbstractResolver | None = None) -> None:
        self._inner = inner or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name.

        Raises:
            PrivateAddress: it has one that may not be called. One is enough: a name that mixes them means no good.
        """
        found = await self._inner.resolve(host, port, family)
        for each in found:
            _check(each["host"], host)
        return found

    async def close(self) -> None:
        await self._inner.close()


def _check(address: str, host: str) -> None:
    why = why_private(address)
    if why is not None:
        raise PrivateAddress(f"{host} leads to {address}, which may not be called: {why}")


class Caller:
    """Makes calls. Belongs to the event loop it is made on.

    Args:
        allow_private: whether addresses that are not public may be called.
        resolver: given by tests.
    """

    def __init__(self, *, allow_private: bool, user_agent: str, resolver: AbstractResolver | None = None) -> None:
        self._allow_private = allow_private
        self._timeout = aiohttp.ClientTimeout(total=TOTAL_S, sock_connect=CONNECT_S)
        used = (resolver or ThreadedResolver()) if allow_private else PublicResolver(resolver)
        connector = aiohttp.TCPConnector(resolver=used, use_dns_cache=False, limit=0, force_close=False)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"user-agent": user_agent},
            auto_decompress=False,
        )

    async def close(self) -> None:
        await self._session.close()

    async def call(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        """Post a body. Whatever goes wrong is told, never raised."""
        try:
            if not self._allow_private:
                self._check_literal(url)
            return await self._post(url, body, headers)
        except PrivateAddress as refused:
            return Answered(None, refused.message)
        except TimeoutError:
            return Answered(None, f"no answer within {TOTAL_S:g} s")
        except (aiohttp.ClientError, OSError, ValueError, UnicodeError) as error:
            cause = error.__cause__
            while cause is not None:
                if isinstance(cause, PrivateAddress):
                    return Answered(None, cause.message)
                cause = cause.__cause__
            return Answered(None, f"{type(error).__name__}: {error}"[:SHOWN_CHARS])

    def _check_literal(self, url: str) -> None:
        """An address in the URL itself is never resolved, so it is judged here."""
        host = urlsplit(url).hostname or ""
        if ":" in host or host.replace(".", "").isdigit():
            _check(host, host)

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            said = await response.content.read(ANSWER_BYTES)
            if not response.content.at_eof():
                response.close()  # nobody wants the rest of it, and it may have no end
            if 200 <= response.status < 300:
                return Answered(response.status)
            text = "".join(c if c.isprintable() else " " for c in said.decode("utf-8", "replace")).strip()
            shown = f"HTTP {response.status}: {text[:SHOWN_CHARS]}" if text else f"HTTP {response.status}"
            if 300 <= response.status < 400:
                shown = f"HTTP {response.status}: redirects are not followed"
            return Answered(response.status, shown, _retry_after(response.headers))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read `Retry-After`: seconds, or a date, which is measured against the answer's own clock where it tells one."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) < 12:
        return float(text)
    try:
        until = parsedate_to_datetime(text)
        said = parsedate_to_datetime(headers["date"])
        return max(0.0, (until - said).total_seconds())
    except (ValueError, TypeError, KeyError, IndexError):
        return None
