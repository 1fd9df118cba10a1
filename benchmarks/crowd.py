"""What do those cost who only look on, or wait? `python benchmarks/crowd.py [--watchers 1000] [--workers 50]` (part of `make bench-scale`)

Watchers: the same jobs run without them and with a thousand WebSockets open, once with a job of its own for each, once with all of
them on every job. Jobs per second, and the server's CPU time for a job. Idle workers: the server's share of a core while they are
connected and nothing happens. Prints one JSON line per finding; nothing is asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from deployment import cpu_s, say, serving, working

from orpheus.client import Client

JOBS = 6000
IDLE_S = 20.0


def throughput(client: Client, pid: int, watched: list[str] | None = None) -> dict[str, float]:
    """Submit and complete jobs; return the rate and the server's CPU microseconds per job."""
    begin, spent = time.monotonic(), cpu_s(pid)
    jobs = client.submit_many({"workflow": "single", "params": {"value": n}} for n in range(JOBS))
    client.wait_states((job.job_id for job in jobs), timeout_s=300)
    return {
        "jobs_per_s": JOBS / (time.monotonic() - begin),
        "server_us_per_job": 1e6 * (cpu_s(pid) - spent) / JOBS,
    }


@contextmanager
def watching(client: Client, count: int, topic: str) -> Iterator[None]:
    """WebSockets in a process of their own, which reads them and looks at nothing; ready when all have subscribed."""
    command = [sys.executable, __file__, "--watch", client.url, "--watchers", str(count), "--topic", topic]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n", "a watcher was not let in"
    try:
        yield
    finally:
        process.terminate()
        process.wait()


class Watcher(asyncio.Protocol):
    """One WebSocket as bytes: the handshake, one subscription, and then whatever comes."""

    def __init__(self, ready: asyncio.Semaphore, host: str, topic: str) -> None:
        self._ready = ready
        self._host = host
        self._topic = topic
        self._head: bytes | None = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /ws HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        if self._head is None:
            ping = data.find(b"\x89\x04")  # nowhere else in frames of ASCII
            if ping >= 0:
                self._transport.write(b"\x8a\x84\0\0\0\0" + data[ping + 2 : ping + 6])
            return
        self._head += data
        if b"\r\n\r\n" in self._head:
            assert self._head.startswith(b"HTTP/1.1 101"), self._head
            self._head = None
            said = f'{{"subscribe": ["{self._topic}"]}}'.encode()
            self._transport.write(bytes((0x81, 0x80 | len(said))) + b"\0\0\0\0" + said)  # masked with nothing
            self._ready.release()

    def connection_lost(self, exc: Exception | None) -> None:
        print("lost", file=sys.stderr, flush=True)


async def watch(url: str, count: int, topic: str) -> None:
    where = urlsplit(url)
    ready = asyncio.Semaphore(0)
    for number in range(count):
        mine = topic.replace("{}", f"{number:036d}")
        await asyncio.get_running_loop().create_connection(
            lambda mine=mine: Watcher(ready, where.netloc, mine), where.hostname, where.port
        )
    for _ in range(count):
        await ready.acquire()
    await asyncio.sleep(1.0)
    print("ready", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--watchers", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--watch", help="(the process of the watchers)")
    parser.add_argument("--topic", default="jobs")
    options = parser.parse_args()
    if options.watch:
        asyncio.run(watch(options.watch, options.watchers, options.topic))
        return
    with tempfile.TemporaryDirectory() as scratch, serving(Path(scratch)) as (client, pid, _took):
        with working(client, Path(scratch)):
            throughput(client, pid)
            for _ in range(options.rounds):
                say(watchers=0, **throughput(client, pid))
                for topic in ("job:{}", "jobs"):
                    with watching(client, options.watchers, topic):
                        say(watchers=options.watchers, topic=topic, **throughput(client, pid))
        if options.workers:
            idle(client, pid, Path(scratch), options.workers)


def idle(client: Client, pid: int, folder: Path, workers: int) -> None:
    for count in (0, workers):
        with working(client, folder, workers=count, concurrency=2):
            time.sleep(5.0)
            begin, spent = time.monotonic(), cpu_s(pid)
            time.sleep(IDLE_S)
            say(idle_workers=count, percent_of_a_core=100 * (cpu_s(pid) - spent) / (time.monotonic() - begin))


if __name__ == "__main__":
    main()
