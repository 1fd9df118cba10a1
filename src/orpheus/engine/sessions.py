"""Who is working, what was handed to whom, and what is still to be said? The conversations with workers (R8).

The life of one poll:

1. It arrives with a number. The session's current number again joins the answer being made, or gets the one already
   given; a lower one is told that it was superseded; a higher one begins a new round and supersedes a poll that waits.
2. A new round first compares `held` with what earlier answers carried. A run that was carried and is not held never
   arrived: it is to be returned. A held run that is not current is told as unknown.
3. While there is nothing to say, the poll waits (`Waiter`). Grants, cancellations and unknown runs end the wait, or its
   time does.
4. The answer is kept until the next round. Only then are its grants known to have arrived.

Grants committed while no poll waits stay with the session and go out with the next answer, so a grant is never lost
between two rounds. Nothing of this is stored: after a restart a worker is told `unknown_session`, says hello with what it
holds, and goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import msgspec

from orpheus.core.dispatch import ReadyRef, Source
from orpheus.core.errors import OrpheusError
from orpheus.engine.base import CancelOrder, Grant, PollAnswer, UnknownSession, WorkerHello
from orpheus.engine.leases import Run

_session_id = attrgetter("session_id")

Answer = Callable[[PollAnswer | OrpheusError], None]


class Waiter(msgspec.Struct):
    """A poll that has not been answered. `until` is an instant of the monotonic clock."""

    seq: int
    free: int
    resources_free: Mapping[str, int]
    until: float
    answer: Answer


@dataclass(slots=True)
class Session:
    """One start of one worker process."""

    hello: WorkerHello
    handlers: frozenset[str]
    queues: frozenset[str]
    """Empty is all."""
    last_contact: float
    """Monotonic seconds."""
    last_contact_at: float
    """Seconds since the epoch, to be shown."""
    seq: int | None = None
    """Number of the current round."""
    given: PollAnswer | None = None
    """The answer of the current round, once it was given."""
    waiter: Waiter | None = None
    runs: dict[str, int | None] = field(default_factory=dict)
    """Current runs of this session, with the round whose answer carried them (None: not carried yet)."""
    grants: list[Grant] = field(default_factory=list)
    """Committed, not yet carried by an answer."""
    cancels: dict[str, CancelOrder] = field(default_factory=dict)
    """To be told with the next answer."""
    abandoned: dict[str, None] = field(default_factory=dict)
    """Runs that ended under the worker's hands, to be told as unknown."""
    reported: dict[str, None] = field(default_factory=dict)
    """Runs whose end it reported, while it may not have heard that this was accepted: it still holds them, rightly."""
    claiming: int = 0
    """Claims picked for this session and not yet committed."""
    claiming_resources: dict[str, int] = field(default_factory=dict)
    made_with: dict[str, str] = field(default_factory=dict)
    """By `name@version`, where it matters (R23)."""
    memory_bytes: int = 0

    @property
    def offer_handlers(self) -> tuple[str, ...]:
        """Sorted, so that like workers make one pool of the dispatcher's."""
        return tuple(sorted(self.handlers))

    @property
    def offer_queues(self) -> tuple[str, ...]:
        return tuple(sorted(self.queues))

    @property
    def session_id(self) -> str:
        return self.hello.session_id

    def has_news(self) -> bool:
        return bool(self.grants or self.cancels or self.abandoned)

    def room(self) -> int:
        """Return how many more tasks may be picked for the poll that waits."""
        if self.waiter is None:
            return 0
        return self.waiter.free - self.claiming - len(self.grants)

    def takes(self, source: Source) -> bool:
        """Tell whether it offers this handler for this queue."""
        return source.handler in self.handlers and (not self.queues or source.queue in self.queues)

    def resources_room(self) -> dict[str, int]:
        """Return what is free of each resource, less what is on its way."""
        if self.waiter is None:
            return {}
        room = dict(self.waiter.resources_free)
        for name, count in self.claiming_resources.items():
            room[name] = room.get(name, 0) - count
        for grant in self.grants:
            for name, count in grant.resources.items():
                room[name] = room.get(name, 0) - count
        return room

    def picked(self, picks: Sequence[ReadyRef]) -> None:
        self.claiming += len(picks)
        for pick in picks:
            for name, count in pick.needs.resources:
                self.claiming_resources[name] = self.claiming_resources.get(name, 0) + count

    def unpicked(self, picks: Sequence[ReadyRef]) -> None:
        self.claiming -= len(picks)
        assert self.claiming >= 0, "a claim was counted back twice"
        for pick in picks:
            for name, count in pick.needs.resources:
                self.claiming_resources[name] -= count

    def granted(self, grants: Sequence[Grant]) -> None:
        """These are its runs now; the next answer carries them."""
        self.runs.update(dict.fromkeys([grant.run_id for grant in grants]))
        self.grants += grants

    def tell_cancel(self, run: Run) -> None:
        """Have the worker told to stop a run. A grant that has not gone out yet carries the order right behind it."""
        self.cancels[run.run_id] = CancelOrder(run.run_id, run.cancel_reason or "", run.grace_s)

    def run_over(self, run: Run) -> None:
        """The run is over: nothing more is to be said of it, but the worker may have to be told that it is."""
        run_id = run.run_id
        carried = self.runs.pop(run_id, None)
        if self.cancels:
            self.cancels.pop(run_id, None)
        if carried is None and self.grants:
            self.grants = [grant for grant in self.grants if grant.run_id != run_id]
        if run.reported:
            self.reported[run_id] = None
        elif carried is not None and not run.never_arrived:
            self.abandoned[run_id] = None

    def all_reported(self, runs: Sequence[Run]) -> None:
        """Do as `run_over` for runs that the worker has reported."""
        if self.cancels or self.grants:
            for run in runs:
                run.reported = True
                self.run_over(run)
            return
        current, reported = self.runs, self.reported
        for run in runs:
            run_id = run.run_id
            current.pop(run_id, None)
            reported[run_id] = None


class Round(NamedTuple):
    """What a new poll tells about the runs of its session."""

    missing: tuple[str, ...]
    """Carried by an earlier answer and not held: they go back to `ready` at once."""
    unknown: tuple[str, ...]
    """Held and not current."""


class Sessions:
    """Every session by id, and the polls that wait, oldest first."""

    def __init__(self, say: Callable[[Callable[[], None]], None] = lambda saying: saying()) -> None:
        """`say` gets what tells a worker its answer, and calls it when all that it may be about is on the disk."""
        self._say = say
        self._sessions: dict[str, Session] = {}
        self._waiting: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def all(self) -> list[Session]:
        return list(self._sessions.values())

    def find(self, session_id: str) -> Session | None:
        return self._sessions.get(session_id)

    def all_reported(self, runs: Iterable[Run]) -> None:
        """Runs are over of which their workers said so."""
        for session_id, some in groupby(runs, _session_id):
            session = self._sessions.get(session_id)
            if session is not None:
                session.all_reported(list(some))

    def get(self, session_id: str) -> Session:
        """Return the session.

        Raises:
            UnknownSession: the worker has to say hello again.
        """
        session = self._sessions.get(session_id)
        if session is None:
            raise UnknownSession(
                f"session {session_id[:80]!r} is not known",
                hint="Say hello again, with the runs you still hold in `held`.",
            )
        return session

    def register(self, hello: WorkerHello, *, now: float, wall: float) -> Session:
        """Begin a session, or bring what a known one offers up to date; its rounds go on counting."""
        session = self._sessions.get(hello.session_id)
        if session is None:
            session = Session(hello, frozenset(), frozenset(), now, wall)
            self._sessions[hello.session_id] = session
        session.hello = hello
        session.handlers = frozenset(hello.handlers)
        session.queues = frozenset(hello.queues)
        session.made_with = {
            f"{spec['name']}@{spec.get('version', 1)}": spec["made_with"]
            for spec in hello.task_specs
            if spec.get("made_with")
        }
        self.heard(session, now=now, wall=wall)
        return session

    def heard(self, session: Session, *, now: float, wall: float) -> None:
        session.last_contact = now
        session.last_contact_at = wall

    def begin_round(self, session: Session, seq: int) -> PollAnswer | None:
        """Decide what a poll's number means.

        Returns:
            The answer to give at once, or None when the poll takes part in the round `seq`, new or current.
        """
        if session.seq is not None and seq < session.seq:
            return PollAnswer(seq, superseded=True)
        if session.seq == seq:
            if session.given is not None:
                return session.given
            self._supersede(session)  # the same poll sent again: the first connection is given up
            return None
        self._supersede(session)
        session.seq = seq
        session.given = None
        return None

    def compare(self, session: Session, held: Sequence[str], *, current: Callable[[str], bool]) -> Round:
        """Compare what the worker holds with what it was given, before the round's answer is made."""
        runs, holds = session.runs, set(held)
        missing: list[str] = []
        if not runs.keys() <= holds:
            missing = [
                run_id
                for run_id, carried in runs.items()
                if carried is not None and carried != session.seq and run_id not in holds
            ]
        reported = session.reported
        if reported:
            ended = reported.keys() & holds
            session.reported = reported = {run_id: None for run_id in reported if run_id in ended} if ended else {}
        unknown: list[str] = []
        if not holds <= runs.keys():
            unknown = [
                run_id for run_id in held if run_id not in runs and run_id not in reported and not current(run_id)
            ]
        return Round(tuple(missing), tuple(unknown))

    def wait(self, session: Session, waiter: Waiter) -> None:
        session.waiter = waiter
        self._waiting[session.session_id] = None

    def waiting(self) -> list[Session]:
        """Return the sessions whose poll waits, the longest wait first."""
        return [self._sessions[session_id] for session_id in self._waiting]

    def answer(self, session: Session) -> None:
        """Answer the poll that waits with everything there is to say, and keep the answer for a repeat."""
        waiter = session.waiter
        assert waiter is not None and session.seq == waiter.seq
        for grant in session.grants:
            session.runs[grant.run_id] = waiter.seq
        given = PollAnswer(
            waiter.seq,
            grants=tuple(session.grants),
            cancel=tuple(session.cancels.values()),
            unknown=tuple(session.abandoned),
        )
        session.grants = []
        session.cancels = {}
        session.abandoned = {}
        session.given = given
        self._stop_waiting(session)
        self._say(partial(waiter.answer, given))

    def over(self, now: float) -> list[Session]:
        """Return the sessions whose poll has waited long enough."""
        return [session for session in self.waiting() if session.waiter is not None and session.waiter.until <= now]

    def next_due(self) -> float | None:
        return min((s.waiter.until for s in self.waiting() if s.waiter is not None and not s.claiming), default=None)

    def hang_up(self, session_id: str, seq: int, answer: Answer) -> None:
        """The connection of a waiting poll is gone: nothing may be granted to it any more."""
        session = self._sessions.get(session_id)
        if session is not None and session.waiter is not None and session.waiter.answer is answer:
            assert session.waiter.seq == seq
            self._stop_waiting(session)

    def remove(self, session_id: str) -> Session | None:
        session = self._sessions.pop(session_id, None)
        if session is not None:
            self._supersede(session)
        return session

    def idle(self, now: float, *, idle_s: float) -> Iterable[Session]:
        """Return the sessions that hold nothing and were silent for `idle_s`."""
        return [
            session
            for session in self._sessions.values()
            if session.waiter is None
            and not session.runs
            and not session.claiming
            and now - session.last_contact > idle_s
        ]

    def _supersede(self, session: Session) -> None:
        waiter = session.waiter
        if waiter is not None:
            self._stop_waiting(session)
            self._say(partial(waiter.answer, PollAnswer(waiter.seq, superseded=True)))

    def _stop_waiting(self, session: Session) -> None:
        session.waiter = None
        self._waiting.pop(session.session_id, None)
