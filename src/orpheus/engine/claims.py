"""Who gets which task? From a poll that waits to a grant that is on disk.

1. `match` looks through the polls that wait, the longest wait first, and asks the dispatcher for what each can take. What
   is picked is reserved in memory: its limits are taken, nobody else can pick it.
2. `Claim`s are queued for them. In the transaction the core decides for each pick whether it really runs
   (`TaskClaimed`): it may have been cancelled meanwhile, or its arguments cannot be made (`binding_failed`).
3. Then what runs becomes a grant with its lease, which goes out with the session's poll after the commit; what does not gives its
   limits back, and the session is matched again.

A crash between the commit and the answer leaves a running row whose worker never heard of it; it comes back by R8 or by its lease.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from operator import attrgetter
from random import Random
from typing import TYPE_CHECKING

from orpheus.core.dispatch import Needs, Offer, ReadyRef, Source
from orpheus.core.errors import OrpheusError
from orpheus.core.facts import TaskClaimed
from orpheus.core.graph import Graph
from orpheus.core.ids import RANDOM_BITS_OF_MANY, uuid7s
from orpheus.engine.base import Grant
from orpheus.engine.usual_runs import Began, Begun, Completed, Granted, begin
from orpheus.engine.work import Change, Created, MemoryOnly, Operation, Work

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orpheus.core.task import Task
    from orpheus.engine.limits import Feed
    from orpheus.engine.sessions import Session, Sessions

Path = tuple[str | int, ...]

_key = attrgetter("key")

MOST_PER_ANSWER = 256
"""Tasks picked for one poll at a time; a worker with more slots polls again at once."""
MOST_PER_CLAIM = 32
"""Tasks claimed by one operation, some 1 ms, 3 where none is usual, so that a batch can end about when it should."""


class RunTokens:
    """The token of a run: derived, not stored, so a claim writes nothing for it and a restart keeps it valid."""

    def __init__(self, secret: bytes) -> None:
        # HMAC-SHA256 (RFC 2104) with what depends on the key alone done once: half of what `hmac.digest` takes.
        key = secret.ljust(64, b"\0")
        assert len(key) == 64, "longer keys would have to be hashed first"
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key))

    def make(self, run_id: str) -> str:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(run_id.encode())
        outer.update(inner.digest())
        return outer.hexdigest()

    def callback(self, run_id: str) -> str:
        """Return the token with which another system may bring the run's result (R22). Workers derive it in the same way
        from the run's token, which it does not give away."""
        proof = hmac.digest(self.make(run_id).encode(), b"callback", "sha256").hex()
        return f"{run_id}.{proof}"

    def run_of_callback(self, token: str) -> str | None:
        """Return the run that a callback token was made for; None when it was never made."""
        run_id, _, _proof = token.rpartition(".")
        return run_id if hmac.compare_digest(self.callback(run_id).encode(), token.encode()) else None

    def fits(self, run_id: str, token: str) -> bool:
        return hmac.compare_digest(self.make(run_id).encode(), token.encode())


class Claims:
    """Matches polls that wait with tasks that are ready."""

    def __init__(
        self,
        feed: Feed,
        sessions: Sessions,
        *,
        rng: Random,
        tokens: RunTokens,
        queue: Callable[[Operation], None],
        granted: Callable[[Granted], None],
    ) -> None:
        self.feed = feed
        self._sessions = sessions
        self._rng = rng
        self.tokens = tokens
        self._queue = queue
        self._granted = granted

    def match(self, mono: float) -> None:
        """Pick for every poll that waits. Costs one look per kind of worker when there is nothing to give."""
        if not self.feed.stirred:
            return
        self.feed.stirred = False
        empty: set[tuple[object, ...]] = set()
        for session in self._sessions.waiting():
            kind = (session.handlers, session.queues, tuple(sorted(session.resources_room().items())))
            if kind in empty:
                continue
            if self.match_one(session, mono) == 0 and session.room() > 0:
                empty.add(kind)

    def match_one(self, session: Session, mono: float) -> int:
        """Pick for one poll; return how many tasks."""
        room = min(session.room(), MOST_PER_ANSWER)
        if room <= 0 or not session.handlers:
            return 0
        offer = Offer(
            handlers=session.offer_handlers,
            queues=session.offer_queues,
            free=room,
            resources_free=session.resources_room(),
        )
        picks = self.feed.dispatcher.pick(offer, mono)
        if not picks:
            return 0
        session.picked(picks)
        self.feed.picked(picks)
        for start in range(0, len(picks), MOST_PER_CLAIM):
            self._queue(Claim(self, session, picks[start : start + MOST_PER_CLAIM]))
        return len(picks)

    def ahead(self, work: Work) -> list[Claim]:
        """Return the claims of tasks that this very transaction has made ready, for polls that wait: when nothing else of their kind
        is ready, they need not be committed as ready first.

        On an idle system that is every task, so a job costs two commits instead of three and each step of a chain one instead
        of two. As after any pick the limits are taken, and given back if the claim comes to nothing.
        """
        waiting = [session for session in self._sessions.waiting() if session.room() > 0]
        if not waiting:
            return []
        released: list[tuple[Task, Graph]] = []
        for effect in work.effects:
            if isinstance(effect, Change):
                if not effect.decision.job.paused:
                    released += [(task, effect.graph) for task in effect.applied.released]
            elif isinstance(effect, Completed):
                released += [(task, graph) for job, task, graph in effect.opened if not job.paused]
            elif isinstance(effect, Created):
                released += [(task, effect.graph) for task in effect.released]
        if not 0 < len(released) <= sum(session.room() for session in waiting):
            return []
        known = {handler: self.feed.dispatcher.knows_any(handler) for handler in {task.handler for task, _ in released}}
        picks: dict[str, tuple[Session, list[ReadyRef]]] = {}
        for task, graph in released:
            ref = self.feed.ref(task, graph)
            if known[task.handler] or ref.needs.resources:
                continue
            session = next((one for one in waiting if one.room() > 0 and one.takes(ref.source)), None)
            if session is not None and self.feed.dispatcher.take(ref, work.mono):
                session.picked([ref])
                self.feed.picked([ref])
                picks.setdefault(session.session_id, (session, []))[1].append(ref)
        return [
            Claim(self, session, refs[start : start + MOST_PER_CLAIM])
            for session, refs in picks.values()
            for start in range(0, len(refs), MOST_PER_CLAIM)
        ]

    def new_run_ids(self, now: float, count: int) -> list[str]:
        return uuid7s(now, self._rng.getrandbits(RANDOM_BITS_OF_MANY * count), count)

    def refuse(self, session: Session, pick: ReadyRef) -> None:
        """The pick is not to be had any more: look again for its poll."""
        session.unpicked([pick])
        self.feed.settled([pick])
        self.feed.dispatcher.unbegun(pick.key)
        self.feed.stirred = True

    def grant(self, granted: Granted) -> None:
        """The claims are decided: the reservations become runs. Their worker hears of them after the commit."""
        picks, dispatcher = granted.picks, self.feed.dispatcher
        granted.session.unpicked(picks)
        self.feed.settled(picks)
        if dispatcher.gates.counts_any:
            dispatcher.began(*[pick.key for pick in picks], now=granted.at)
        self._granted(granted)

    def give_back(self, session: Session, picks: list[ReadyRef]) -> None:
        """The transaction was dropped: the rows are as they were."""
        session.unpicked(picks)
        self.feed.settled(picks)
        for pick in picks:
            self.feed.dispatcher.give_back(pick)
        self.feed.stirred = True


class Claim(Operation):
    """Begin the attempts of one session's picks."""

    name = "claim"

    def __init__(self, claims: Claims, session: Session, picks: list[ReadyRef]) -> None:
        self._claims = claims
        self._session = session
        self._picks = picks

    def run(self, work: Work) -> None:
        claims, session, effects = self._claims, self._session, work.effects
        picks, made_with = self._picks, session.made_with
        work.tx.foresee(map(_key, picks))
        began: Began | None = None
        source: Source | None = None
        needs: Needs | None = None
        graph: Graph | None = None
        of_node = ""
        for pick, run_id in zip(picks, claims.new_run_ids(work.now, len(picks)), strict=True):
            key = pick.key
            if pick.source != source or pick.needs is not needs:
                source, needs = pick.source, pick.needs
                made = made_with.get(source.handler, "")
                rated = claims.feed.dispatcher.gates.rates_of(source, needs)
            begun = begin(work, key, run_id, made, session)
            if begun is None:
                # What it brings may cancel a run begun before it (when it fails its job): it follows on that one's grant.
                began = None
                begun = self._tell(work, pick, run_id, made)
                if begun is None:
                    continue
            if begun.graph is not graph or key[1] != of_node:
                graph, of_node = begun.graph, key[1]
                terms, limits = _terms(graph, of_node), graph.all_nodes[of_node].timeouts
            if rated:
                claims.feed.write_start(work, rated, run_id)
            grant = Grant(run_id, claims.tokens.make(run_id), begun.task, begun.job, begun.args, *terms)
            if begun.told is None:
                alone = Granted(session, work.mono, [pick], [grant], [limits])
                effects.append(MemoryOnly(claims.grant, alone))
                continue
            if began is None:
                began = Began(session, work.mono)
                effects.append(began)
            began.picks.append(pick)
            began.grants.append(grant)
            began.limits.append(limits)
            began.told.append(begun.told)

    def _tell(self, work: Work, pick: ReadyRef, run_id: str, made_with: str) -> Begun | None:
        """Bring the claim as a fact; None when it comes to nothing."""
        session = self._session
        job_id, node, index, generation = pick.key
        fact = TaskClaimed(
            node=node,
            index=index,
            run_id=run_id,
            worker=session.session_id,
            worker_name=session.hello.worker,
            made_with=made_with,
            actor="worker",
            generation=generation,
        )
        try:
            decision, graph = work.tell_in_graph(job_id, fact)
        except OrpheusError:  # cancelled, paused, rewound since
            decision = None
        if decision is None or decision.assignment is None:  # it cannot begin
            work.effects.append(MemoryOnly(self._claims.refuse, session, pick))
            return None
        task = next(task for task in decision.tasks if task.key == pick.key)
        return Begun(decision.job, task, decision.assignment["args"], graph)

    def failed(self, error: BaseException) -> None:
        self._claims.give_back(self._session, self._picks)


def _terms(graph: Graph, name: str) -> tuple[int, float | None, float | None, Mapping[str, int], tuple[Path, ...]]:
    """Return what the grants of a node have in common: their last five fields."""
    node = graph.all_nodes[name]
    timeouts = node.timeouts
    return (
        node.retry.max_retries,
        timeouts.start_to_close_s,
        timeouts.heartbeat_s,
        node.resources,
        graph.needed_paths.get(name, ()),
    )
