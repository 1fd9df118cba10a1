"""How does a page hear what happens? Asyncio readers of the stream, each at its own pace (R2).

A reader has only its place in the stream; events come from the ring, or from the file for one that is further behind. So
nothing piles up for a slow one, and none misses an event. One that falls too far behind is disconnected.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from orpheus.engine.base import LiveMessage, PublishedEvent, SlowReader
from orpheus.engine.options import EngineOptions
from orpheus.engine.reads import EmbeddedReads
from orpheus.engine.stream import Stream, foreign
from orpheus.engine.wanted import EVERYTHING, Wanted

PAGE = 500


class Subscribers:
    """Makes iterators over the stream, and ends them when the server stops."""

    def __init__(self, stream: Stream, reads: EmbeddedReads, options: EngineOptions) -> None:
        self._stream = stream
        self._reads = reads
        self._options = options
        self._news: set[asyncio.Event] = set()
        self._stopping = False

    def stop(self) -> None:
        """End every iterator; those to come end at once."""
        self._stopping = True
        for news in self._news:
            news.set()

    async def events(self, place: int) -> AsyncIterator[PublishedEvent | None]:
        """Yield every event after the place, in commit order; None when nothing happened for a while."""
        async with contextlib.aclosing(self.pages(place)) as pages:
            async for page in pages:
                if not page:
                    yield None
                for event in page:
                    yield event

    async def pages(self, place: int) -> AsyncGenerator[Sequence[PublishedEvent], None]:
        """Yield every event after the place, as many at a time as have come; an empty page when nothing happened for a
        while. Raises what `wanted` does."""
        async with contextlib.aclosing(self.wanted(place, EVERYTHING)) as pages:
            async for _cursor, page in pages:
                yield page

    async def wanted(self, place: int, wanted: Wanted) -> AsyncGenerator[tuple[str, Sequence[PublishedEvent]], None]:
        """Yield the wanted events after the place, as many at a time as have come, with the cursor up to which they are
        complete; an empty page when there were none for a while.

        Raises:
            CursorReset: events after the place were pruned.
            SlowReader: it had caught up once, and fell too far behind.
        """
        stream = self._stream
        loop = asyncio.get_running_loop()
        news = asyncio.Event()
        stop = stream.listen(news.set)
        self._news.add(news)
        caught_up = False
        tick_at = loop.time() + self._options.idle_tick_s
        try:
            while not self._stopping:
                news.clear()
                caught_up = caught_up or place >= stream.head
                if caught_up and stream.head - place > self._options.subscriber_lag_events:
                    raise SlowReader("the subscriber fell too far behind", hint="Go on from the last cursor.")
                read = stream.ring_after(place, PAGE, wanted)
                if read is None:
                    if place < stream.floor:
                        raise foreign(stream.cursor(place))
                    read = await self._from_file(place, wanted)
                    if place < stream.floor:
                        raise foreign(stream.cursor(place))
                before, (place, page) = place, read
                if page or loop.time() >= tick_at:
                    yield stream.cursor(place), page
                    tick_at = loop.time() + self._options.idle_tick_s
                elif place in (before, stream.head):
                    await self._hear(news, tick_at)
        finally:
            self._news.discard(news)
            stop()

    async def live(self, job_id: str | None) -> AsyncIterator[LiveMessage]:
        """Yield progress and log messages from now on. The oldest are dropped for a reader that is busy."""
        kept: deque[LiveMessage] = deque(maxlen=self._options.live_messages)
        news = asyncio.Event()

        def heard(message: LiveMessage) -> None:
            kept.append(message)
            news.set()

        stop = self._stream.listen_live(heard, job_id)
        self._news.add(news)
        try:
            while not self._stopping:
                while kept:
                    yield kept.popleft()
                news.clear()
                if not kept and not self._stopping:
                    await news.wait()
        finally:
            self._news.discard(news)
            stop()

    async def _hear(self, news: asyncio.Event, until: float) -> None:
        """Wait for news, but no longer than to an instant of the loop's clock."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await news.wait()

    async def _from_file(self, place: int, wanted: Wanted) -> tuple[int, list[PublishedEvent]]:
        """Read a page of the stream that the ring does not hold any more; return how far it goes and what is wanted of
        it."""
        found = await self._reads.events_after(place, PAGE)
        return (found[-1][0] if found else place), [
            PublishedEvent(event, job_id, tenant, correlation_id, self._stream.epoch, number)
            for number, job_id, tenant, correlation_id, event in found
            if wanted.has(event.type, job_id, tenant)
        ]
