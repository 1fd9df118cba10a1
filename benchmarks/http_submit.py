"""How many jobs can be created by single `POST /jobs`, each answered once it is on disk?

    .venv/bin/python benchmarks/http_submit.py [--connections 64] [--seconds 10]

A server with its ordinary settings is started; this process keeps each connection busy with one request after the other,
over plain sockets, so that little of the measured time is its own. Both share the machine, as in a real deployment.
TMPDIR has to lie on a real disk.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GRAPH = {
    "format": 1,
    "name": "one",
    "version": 1,
    "params": {"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False},
    "nodes": [{"name": "a", "kind": "task", "task": "noop", "version": 1, "args": {"value": {"$param": "n"}}}],
    "output": {"$ref": "a"},
}
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Connection:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(answer)
        content = await self._reader.readexactly(int(length[1])) if length else b""
        return int(answer[9:12]), content

    def close(self) -> None:
        self._writer.close()


async def connect(port: int) -> Connection:
    deadline = time.monotonic() + 60
    while True:
        try:
            return Connection(*await asyncio.open_connection("127.0.0.1", port))
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)


async def measure(port: int, connections: int, seconds: float) -> dict[str, float]:
    first = await connect(port)
    status, answer = await first.post("/workflows", json.dumps(GRAPH).encode())
    assert status in (200, 201), answer
    first.close()
    lengths: list[float] = []

    async def keep_busy(number: int, until: float) -> None:
        connection = await connect(port)
        count = 0
        while time.monotonic() < until:
            body = b'{"workflow": "one", "params": {"n": %d}, "tenant": "t%d"}' % (count, number % 2)
            began = time.monotonic()
            status, answer = await connection.post("/jobs", body)
            lengths.append(time.monotonic() - began)
            assert status == 201, answer
            count += 1
        connection.close()

    async def round_of(length_s: float) -> float:
        began = time.monotonic()
        await asyncio.gather(*(keep_busy(number, began + length_s) for number in range(connections)))
        return time.monotonic() - began

    await round_of(1.0)
    lengths.clear()
    took = await round_of(seconds)
    lengths.sort()
    return {
        "connections": connections,
        "jobs": len(lengths),
        "jobs_per_s": round(len(lengths) / took, 1),
        "p50_ms": round(lengths[len(lengths) // 2] * 1e3, 2),
        "p95_ms": round(lengths[len(lengths) * 95 // 100] * 1e3, 2),
        "p99_ms": round(lengths[len(lengths) * 99 // 100] * 1e3, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--port", type=int, default=8797)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="http-submit-") as folder:
        command = [sys.executable, "-m", "orpheus.cli", "server", "--port", str(asked.port), "--log-level", "warning"]
        server = subprocess.Popen([*command, "--data", str(Path(folder) / "data")])
        try:
            print(json.dumps(asyncio.run(measure(asked.port, asked.connections, asked.seconds))))
        finally:
            server.terminate()
            server.wait(30)


if __name__ == "__main__":
    main()
