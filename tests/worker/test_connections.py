"""The worker's own connections: how long an answer may take, and when one is used again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orpheus.protocol.http import Endpoint
from orpheus.worker.connections import Connections

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_an_answer_may_take_so_long_and_no_longer(run_async: Any) -> None:
    """A connection on which it did not come is closed; one on which it did is used again, and nothing is left that would ring."""

    async def body() -> None:
        silent = asyncio.Event()
        accepted = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal accepted
            accepted += 1
            while await reader.readline():
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(2)
                if not silent.is_set():
                    writer.write(ANSWER)
            writer.close()

        loop = asyncio.get_running_loop()
        timers: list[asyncio.TimerHandle] = []
        really = loop.call_at

        def noted(*args: Any, **options: Any) -> asyncio.TimerHandle:
            timers.append(really(*args, **options))
            return timers[-1]

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            connections = Connections(Endpoint(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", {}))
            loop.call_at = noted  # type: ignore[method-assign]
            for _ in range(2):
                assert await connections.ask("/x", b"{}", 30.0) == (200, b"ok")
            assert accepted == 1
            silent.set()
            with pytest.raises(TimeoutError):
                await connections.ask("/x", b"{}", 0.05)
            silent.clear()
            assert await connections.ask("/x", b"{}", 30.0) == (200, b"ok")
            assert accepted == 2
            assert all(timer.cancelled() or timer.when() < loop.time() for timer in timers)
            connections.close()

    run_async(body)
