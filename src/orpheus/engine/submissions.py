"""How does a job come in? Checks that need no state, then one transaction for the whole batch.

`prepare` looks at each submission alone and parses inline graphs: pure, so it may run anywhere. `Submit` does the rest in
the transaction: resolves names, answers idempotency keys, checks params and dependencies, and lets the core make the first
rows. Everything of every job is decided before the first row is written, so that a batch is created whole or not at all
(R21).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from operator import attrgetter
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from orpheus.core.cache_key import stored_parts
from orpheus.core.decider import NewJob, submit
from orpheus.core.decision import Decision
from orpheus.core.errors import (
    IdempotencyConflict,
    InvalidParams,
    OrpheusError,
    UnknownJob,
    UnknownWorkflow,
)
from orpheus.core.fetching import url_params, with_fetches
from orpheus.core.graph import Graph
from orpheus.core.ids import RANDOM_BITS_OF_MANY, uuid7s
from orpheus.core.job import TERMINAL, JobState
from orpheus.core.submission import begins_alike
from orpheus.core.suggest import did_you_mean, quoted
from orpheus.core.usual_jobs import Beginning, begin_beside
from orpheus.core.validate import parse_graph
from orpheus.engine.base import Submission, Submitted
from orpheus.engine.children import definitions_of
from orpheus.engine.estimates import prices_of
from orpheus.engine.params import Form, ParamsChecker, holds_file
from orpheus.engine.submission_checks import check_fields, check_key, check_labels
from orpheus.engine.tenants import Quota, Tenants, check_open_jobs
from orpheus.engine.work import Operation, Work

if TYPE_CHECKING:
    from orpheus.engine.durations import Durations
    from orpheus.store.transaction import Transaction

NAMES_FOR_HINTS = 500


_WORDS = (
    *("workflow", "tenant", "priority", "correlation_id", "traceparent", "webhook_url", "actor"),
    *("run_at", "delay_s", "depends_on", "requires_approval", "timeout_s", "budget", "schedule"),
)
_words = attrgetter(*_WORDS)
_NAMED = _WORDS.index("run_at")
_NOTHING_UNUSUAL = (None, None, (), None, None, None, None)

Kind = tuple[Any, ...]
"""What a submission says beside its params, labels and key, if it is nothing unusual: jobs of one kind begin alike."""


class Prepared(msgspec.Struct, frozen=True, gc=False):
    """A submission that is sound in itself."""

    submission: Submission
    graph: Graph | None
    """Of an inline workflow, with its JSON in the submission."""
    fingerprint: str | None
    kind: Kind | None


def prepare(submissions: Sequence[Submission]) -> list[Prepared]:
    """Check what can be checked without the store.

    Raises:
        OrpheusError: the first fault; in a batch its `details` say in which item.
    """
    prepared: list[Prepared] = []
    checked: set[Kind] = set()
    for place, submission in enumerate(submissions):
        try:
            prepared.append(_prepare(submission, checked))
        except OrpheusError as error:
            raise _at(error, place, len(submissions)) from None
    return prepared


def _prepare(submission: Submission, checked: set[Kind]) -> Prepared:
    """Check one. What `checked` has of its kind need not be checked again."""
    graph = None
    key, fingerprint = submission.idempotency_key, submission.fingerprint
    kind = _kind(submission)
    if kind is not None and kind in checked:
        if key is not None:
            check_key(key)
        if submission.labels:
            check_labels(submission.labels)
    else:
        check_fields(submission)
        if kind is not None:
            checked.add(kind)
        elif not isinstance(submission.workflow, str):
            graph = parse_graph(dict(submission.workflow))
    if key is not None and fingerprint is None:
        fingerprint = _fingerprint(submission)
    return Prepared(submission, graph, fingerprint, kind)


def _kind(asked: Submission) -> Kind | None:
    """Return the kind of a submission, None where it says anything unusual."""
    words = _words(asked)
    if words[_NAMED:] != _NOTHING_UNUSUAL or type(asked.priority) is not int or type(asked.workflow) is not str:
        return None
    return words


def _fingerprint(submission: Submission) -> str:
    """Return the hash of what the caller asked for, whatever the order of its keys (R21)."""
    body = {
        "workflow": submission.workflow,
        "params": submission.params,
        "priority": submission.priority,
        "run_at": submission.run_at,
        "delay_s": submission.delay_s,
        "depends_on": submission.depends_on,
        "requires_approval": bool(submission.requires_approval),  # None too: keys from before keep their answers
        "timeout_s": submission.timeout_s,
        "labels": submission.labels,
        "webhook_url": submission.webhook_url,
        "budget": submission.budget,
    }
    return hashlib.sha256(msgspec.json.encode(body, order="deterministic")).hexdigest()


def _at(error: OrpheusError, place: int, count: int) -> OrpheusError:
    """Say in which item of a batch the fault is."""
    if count > 1:
        error.details = [{**detail, "path": f"/jobs/{place}{detail.get('path', '')}"} for detail in error.details] or [
            {"path": f"/jobs/{place}", "message": error.message}
        ]
        error.message = f"job {place} of the batch: {error.message}"
    return error


class _New(msgspec.Struct, frozen=True):
    """A job that is decided and not yet written."""

    decision: Decision
    graph: Graph
    inline: Mapping[str, Any] | None = None
    """Its definition, where that came with the submission."""
    derived: Mapping[str, Any] | None = None
    """Its own definition, where files have to be fetched first (core/fetching.py)."""


_Entry = _New | Beginning | Submitted | int
"""What becomes of a submission: a new job; one that begins like an earlier one of the batch; a job that was there before; the job
of an earlier place."""


class _First(NamedTuple):
    """The first job of its kind in a batch, and what else is the same for those that come after it."""

    decision: Decision
    graph: Graph
    form: Form
    quota: Quota | None


class _Batch:
    """What is known of a batch while its jobs are decided, one after the other."""

    __slots__ = ("firsts", "ids", "keys", "keys_are_new", "new_jobs")

    def __init__(self, ids: Sequence[str], *, keys_are_new: bool) -> None:
        self.ids = ids
        self.keys_are_new = keys_are_new
        """Each key comes once in the batch and never came before."""
        self.keys: dict[tuple[str, str], tuple[int, str | None]] = {}
        """Place and fingerprint by tenant and key."""
        self.new_jobs: dict[str, int] = {}
        """By tenant, of those with a quota."""
        self.firsts: dict[Kind | None, _First] = {}


class Submit(Operation):
    """Create all jobs of a request, or none."""

    name = "submit"

    def __init__(
        self,
        prepared: Sequence[Prepared],
        *,
        checker: ParamsChecker,
        rng: Random,
        params_max_bytes: int,
        tenants: Tenants | None = None,
        durations: Durations | None = None,
    ) -> None:
        self._prepared = prepared
        self._checker = checker
        self._rng = rng
        self._params_max_bytes = params_max_bytes
        self._tenants = tenants
        self._durations = durations

    def run(self, work: Work) -> list[Submitted]:
        answers: list[Submitted] = []
        graphs: dict[str, Graph] = {}
        alike: list[Beginning] = []
        for entry in self.decide(work):
            if isinstance(entry, Beginning):
                if alike and alike[-1].like is not entry.like:
                    _create_alike(work, alike, graphs)
                alike.append(entry)
                answers.append(Submitted(entry.job, True, entry.like.job))
                continue
            if alike:
                _create_alike(work, alike, graphs)
            if isinstance(entry, _New):
                if entry.derived is not None:
                    work.tx.definitions.put_derived(entry.derived, entry.graph, work.now)
                elif entry.inline is not None:
                    work.tx.put_definition(entry.inline, entry.graph, work.now, published=False)
                graphs[entry.decision.job.job_id] = entry.graph
                work.create(entry.decision, entry.graph)
                answers.append(Submitted(entry.decision.job, True))
            elif isinstance(entry, Submitted):
                answers.append(entry)
            else:
                answers.append(Submitted(answers[entry].job, created=False))
        if alike:
            _create_alike(work, alike, graphs)
        return answers

    def decide(self, work: Work) -> list[_Entry]:
        """Decide on every job without writing anything; also a trial of whether they could be created.

        Raises:
            OrpheusError: one cannot.
        """
        decided: list[_Entry] = []
        count = len(self._prepared)
        ids = uuid7s(work.now, self._rng.getrandbits(RANDOM_BITS_OF_MANY * count), count)
        batch = _Batch(ids, keys_are_new=count > 1 and _keys_are_new(work.tx, self._prepared))
        for place, prepared in enumerate(self._prepared):
            try:
                entry: _Entry | None = None
                if not batch.keys_are_new and prepared.submission.idempotency_key is not None:
                    entry = _known(work, prepared, place, batch)
                if entry is None and (first := batch.firsts.get(prepared.kind)) is not None:
                    entry = self._decide_alike(work, prepared, first, ids[place], batch)
                if entry is None:
                    entry = self._decide(work, prepared, place, batch)
                decided.append(entry)
            except OrpheusError as error:
                raise _at(error, place, count) from None
        return decided

    def _decide_alike(
        self, work: Work, prepared: Prepared, first: _First, job_id: str, batch: _Batch
    ) -> Beginning | None:
        """Return a new job that begins like the first of its kind; None where it may not, without having done anything."""
        asked = prepared.submission
        fitting = first.form.fit(asked.params, self._params_max_bytes)
        if fitting is None:
            return None
        if first.quota is not None:
            check_open_jobs(work, asked.tenant, first.quota, batch.new_jobs)
        params, params_text = fitting
        return begin_beside(
            first.decision,
            job_id,
            params,
            params_text,
            correlation_id=asked.correlation_id or job_id,
            labels=asked.labels,
            idempotency_key=asked.idempotency_key,
            fingerprint=prepared.fingerprint,
        )

    def _decide(self, work: Work, prepared: Prepared, place: int, batch: _Batch) -> _New:
        """Return a new job, whatever it is like."""
        asked = prepared.submission
        quota = None if self._tenants is None else self._tenants.quota(asked.tenant)
        if quota is not None:
            check_open_jobs(work, asked.tenant, quota, batch.new_jobs)
        graph, params, has_files, derived = self._read(work, prepared)
        unsettled, failed = _dependencies(work.tx, asked)
        extra = _extra(asked)
        held = graph.requires_approval if asked.requires_approval is None else asked.requires_approval
        if has_files or held or asked.budget is not None:
            durations = self._durations if held else None
            extra |= prices_of(work, asked, graph, params, durations, has_files=has_files)
        job_id = batch.ids[place]
        new = NewJob(
            job_id=job_id,
            tenant=asked.tenant,
            correlation_id=asked.correlation_id or job_id,
            params=params,
            priority=asked.priority,
            max_priority=1 if quota is None else quota.max_priority,
            run_at=_begin_at(asked, work.now),
            dependencies=unsettled,
            failed_dependency=failed,
            requires_approval=held,
            timeout_s=asked.timeout_s,
            labels=asked.labels,
            idempotency_key=asked.idempotency_key,
            fingerprint=prepared.fingerprint,
            webhook_url=asked.webhook_url,
            traceparent=asked.traceparent,
            has_files=has_files,
            definitions=definitions_of(work.tx, graph),
            actor=asked.actor,
            extra=extra,
        )
        decision = submit(new, graph, work.now, work.draws)
        if prepared.kind is not None and not has_files and begins_alike(new, graph):
            batch.firsts[prepared.kind] = _First(decision, graph, self._checker.form(graph), quota)
        return _New(decision, graph, None if isinstance(asked.workflow, str) else asked.workflow, derived)

    def read(self, work: Work) -> tuple[Graph, dict[str, Any]]:
        """Return the graph and the checked params of the first job, without deciding on it.

        Raises:
            OrpheusError: it could not be created.
        """
        graph, params, _has_files, _derived = self._read(work, self._prepared[0])
        return graph, params

    def _read(self, work: Work, prepared: Prepared) -> tuple[Graph, dict[str, Any], bool, Mapping[str, Any] | None]:
        """Return graph and params, whether files are among them, and the definition that was made for those to be fetched."""
        asked = prepared.submission
        if prepared.graph is None:
            graph = resolve_workflow(work.tx, str(asked.workflow))
        else:
            graph = prepared.graph
            assert not isinstance(asked.workflow, str)
            work.tx.check_definition(asked.workflow, graph)
        params = self._checker.check(graph, asked.params)
        self._check_size(graph, params)
        has_files = holds_file(params)
        if has_files:
            _check_objects(work.tx, params)
        derived: Mapping[str, Any] | None = None
        if has_files and (names := url_params(params)):
            derived, graph = with_fetches(graph, names)
        return graph, params, has_files, derived

    def _check_size(self, graph: Graph, params: dict[str, Any]) -> None:
        size = len(msgspec.json.encode(params))
        if size > self._params_max_bytes:
            message = f"they have {size} bytes; at most {self._params_max_bytes} can be kept"
            raise InvalidParams(
                f"params of workflow {graph.name!r}: {message}",
                hint="Upload large content as a file (POST /files) and pass its file_id.",
                details=[{"path": "", "message": message}],
            )


def _create_alike(work: Work, alike: list[Beginning], graphs: Mapping[str, Graph]) -> None:
    """Write jobs that begin like the same earlier one, and empty the list."""
    work.create_alike(alike, graphs[alike[0].like.job.job_id])
    alike.clear()


def _keys_are_new(tx: Transaction, batch: Sequence[Prepared]) -> bool:
    """Tell by one look whether no job of the batch can be answered by another, an earlier one or one of its own."""
    by_tenant: dict[str, list[str]] = {}
    for prepared in batch:
        asked = prepared.submission
        if asked.idempotency_key is not None:
            by_tenant.setdefault(asked.tenant, []).append(asked.idempotency_key)
    return all(
        len(set(keys)) == len(keys) and not tx.any_idempotent(tenant, keys) for tenant, keys in by_tenant.items()
    )


def _known(work: Work, prepared: Prepared, place: int, batch: _Batch) -> Submitted | int | None:
    """Return the job that was made for the key before, or the place of its twin; None for a new key."""
    asked = prepared.submission
    assert asked.idempotency_key is not None
    known = work.tx.idempotent(asked.tenant, asked.idempotency_key)
    if known is not None:
        job_id, fingerprint = known
        _check_same_body(asked, fingerprint, prepared.fingerprint)
        job = work.tx.job(job_id)
        assert job is not None, "a key lives as long as its job"
        return Submitted(job, created=False)
    twin = batch.keys.setdefault((asked.tenant, asked.idempotency_key), (place, prepared.fingerprint))
    if twin[0] == place:
        return None
    _check_same_body(asked, twin[1], prepared.fingerprint)
    return twin[0]


def _check_objects(tx: Transaction, params: dict[str, Any]) -> None:
    """Refuse files that were pruned since the request was read; from the commit on the job keeps them (R23)."""
    for key, _sha256, _size in stored_parts(params):
        if not tx.pruning.is_there(key):
            raise InvalidParams(
                "a file of the params was pruned meanwhile",
                hint="Upload it again.",
                details=[{"path": "/params", "message": f"there is no object {key[:200]!r}"}],
            )


def _check_same_body(asked: Submission, before: str | None, now: str | None) -> None:
    if before != now:
        raise IdempotencyConflict(
            f"idempotency key {quoted(asked.idempotency_key)} was used for another request",
            hint="Use a new key for a new request; the same key answers only the same body.",
            details=[{"path": "/idempotency_key", "message": "used for another request"}],
        )


def _extra(asked: Submission) -> dict[str, Any]:
    if asked.schedule is None:
        return {}
    return {"schedule": asked.schedule, "scheduled_for": asked.scheduled_for}


def _begin_at(asked: Submission, now: float) -> float | None:
    if asked.delay_s is not None:
        return now + asked.delay_s if asked.delay_s > 0 else None
    return asked.run_at


def resolve_workflow(tx: Transaction, wanted: str) -> Graph:
    """Return the graph that `name` (its newest version) or `name@version` means now.

    Raises:
        UnknownWorkflow: there is none; the hint holds the nearest name.
    """
    name, at, version_text = wanted.partition("@")
    version = int(version_text) if re.fullmatch(r"[0-9]{1,9}", version_text) else None
    if not at or version is not None:
        definition_id = tx.definition_by_name(name, version)
        if definition_id is not None:
            return tx.graph(definition_id)
    known = tx.definition_names(NAMES_FOR_HINTS)
    names = list(dict.fromkeys(known_name for known_name, _ in known))
    versions = [known_version for known_name, known_version in known if known_name == name]
    if versions:
        hint = f"{name!r} has version {', '.join(str(v) for v in versions[-10:])}."
    else:
        hint = did_you_mean(name, names, otherwise="A worker publishes workflows when it starts; see GET /workflows.")
    raise UnknownWorkflow(
        f"there is no workflow {quoted(wanted)}", hint=hint, details=[{"path": "/workflow", "message": "not known"}]
    )


def _dependencies(tx: Transaction, asked: Submission) -> tuple[tuple[tuple[str, str], ...], str | None]:
    """Return the dependencies still to settle, and the first that can no longer be met.

    A job of another tenant is as unknown as one that does not exist (R16). Ids are made here, so a job can neither depend
    on itself nor on one that comes after it: there are no cycles.
    """
    if not asked.depends_on:
        return (), None
    unsettled: dict[str, str] = {}
    failed: str | None = None
    for place, (job_id, on) in enumerate(asked.depends_on):
        found = tx.dependency_state(job_id)
        if found is None or found[0] != asked.tenant:
            raise UnknownJob(
                f"depends_on: there is no job {quoted(job_id)}",
                hint="Name jobs of the same tenant that exist already.",
                details=[{"path": f"/depends_on/{place}", "message": "unknown job", "job_id": job_id[:80]}],
            )
        state = found[1]
        if state not in TERMINAL:
            stricter = unsettled.get(job_id) == "success"
            unsettled[job_id] = "success" if stricter else on
        elif state is not JobState.COMPLETED and on == "success" and failed is None:
            failed = job_id
    return tuple(unsettled.items()), failed
