"""How does one text go to a thousand WebSockets? As a frame made once, and written straight to each connection.

What a server sends is neither masked nor, here, compressed (server.py), so the bytes of a frame are the same for all. By the way
of ASGI each send made its own frame and cost 30 µs; beside it those who may write frames find the connection in the scope.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from starlette.types import Scope
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

EXTENSION = "orpheus.frames"
_TEXT = 0x81
"""A text frame that is a message of its own."""


def text_frame(text: bytes) -> bytes:
    """Return the frame of a message (RFC 6455, section 5.2)."""
    size = len(text)
    if size < 126:
        return bytes((_TEXT, size)) + text
    if size < 1 << 16:
        return bytes((_TEXT, 126)) + size.to_bytes(2, "big") + text
    return bytes((_TEXT, 127)) + size.to_bytes(8, "big") + text


class FrameWriter(WebSocketsSansIOProtocol):
    """uvicorn's protocol, which also writes frames that are made already."""

    writable: asyncio.Event

    async def run_asgi(self) -> None:
        cast("dict[str, Any]", self.scope["extensions"])[EXTENSION] = self
        await super().run_asgi()

    def write(self, frames: bytes) -> bool:
        """Write whole frames; False, and nothing is written, while the other side takes nothing or is gone."""
        if self.disconnected or self.close_sent or not self.handshake_complete or not self.writable.is_set():
            return False
        self.transport.write(frames)
        return True

    @property
    def gone(self) -> bool:
        return self.disconnected or self.close_sent


def writer_of(scope: Scope) -> FrameWriter | None:
    """Return the connection, if it is one that takes frames."""
    found = scope.get("extensions", {}).get(EXTENSION)
    return found if isinstance(found, FrameWriter) else None
