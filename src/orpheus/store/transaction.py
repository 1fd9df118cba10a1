"""One transaction: load what a decision needs, write what it decided, ask what comes next.

    transaction = store.begin()
    view = transaction.view(job_id)                  # raises UnknownJob
    decision = decide(view, fact, now, draws)        # may raise: nothing was written
    applied = transaction.apply(decision)            # rows, payloads, events …
    transaction.flush()                              # everything is in SQLite's hands
    store.commit()                                   # the fsync; may be another thread's

Later decisions of the same transaction see what earlier ones wrote. Nothing outside sees any of it before the commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from orpheus.core.cache_key import owner_of, stored_parts
from orpheus.core.decision import Decision
from orpheus.core.dispatch import Source
from orpheus.core.errors import TaskError, UnknownJob
from orpheus.core.fingerprint import fingerprint, normalised
from orpheus.core.graph import Graph
from orpheus.core.job import TERMINAL, Job, JobState
from orpheus.core.task import Task, TaskState
from orpheus.core.usual_jobs import Beginning
from orpheus.store import rows
from orpheus.store.access import Access
from orpheus.store.applied import Applied, job_result_text
from orpheus.store.cache import JobEntry, PayloadCache, TaskKey, TaskPlace
from orpheus.store.definitions import Definitions, GraphCache
from orpheus.store.known_results import FoundResult, KnownResults
from orpheus.store.likenesses import note_likeness
from orpheus.store.limits import LimitRecords
from orpheus.store.outside import Outside, run_of_callback
from orpheus.store.payloads import Payloads
from orpheus.store.pruning import Pruning
from orpheus.store.ready import Ready, ReadyRow
from orpheus.store.records import Records, artifact_record
from orpheus.store.rows import ABSENT
from orpheus.store.schedules import Schedules
from orpheus.store.unit import Unit
from orpheus.store.usual_changes import AttemptRows, apply_usual, begin, begin_alike
from orpheus.store.view import StoreView
from orpheus.store.webhooks import WebhookRows

_TIMEOUT = "timeout_"
_PARTS: Mapping[str, Callable[[Unit], object]] = {
    "ready": Ready,
    "records": Records,
    "known_results": KnownResults,
    "pruning": Pruning,
    "schedules": Schedules,
    "limits": LimitRecords,
    "access": Access,
    "webhooks": WebhookRows,
}


class Transaction:
    """One SQLite transaction. Made by `Store.begin`, ended by `Store.commit` or `Store.rollback`."""

    ready: Ready
    records: Records
    known_results: KnownResults
    pruning: Pruning
    schedules: Schedules
    limits: LimitRecords
    access: Access
    webhooks: WebhookRows

    def __init__(self, unit: Unit, *, payloads: PayloadCache, graphs: GraphCache) -> None:
        self._unit = unit
        self._payloads = Payloads(unit, payloads)
        self._graphs: dict[str, Graph] = {}
        """Of the jobs seen in this transaction: most are of a few graphs, and their ids need no second look."""
        self.definitions = Definitions(unit, graphs)

    def __getattr__(self, name: str) -> Any:
        """Make the part of that name, when it is first asked for: most transactions need none of them."""
        kind = _PARTS.get(name)
        if kind is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        part = kind(self._unit)
        setattr(self, name, part)
        return part

    # One job

    def view(self, job_id: str, *, tenant: str | None = None) -> StoreView:
        """Return the job as the decider sees it.

        Args:
            tenant: whose job it must be; None sees all.

        Raises:
            UnknownJob: there is none, or it is another tenant's.
        """
        entry = self._unit.jobs.get(job_id) or self._entry(job_id)
        if tenant is not None and entry.job.tenant != tenant:
            raise UnknownJob(f"there is no job {job_id}")
        return StoreView(self._unit, self._payloads, entry, self._graph_of(entry))

    def attempt_rows(self, job_id: str, node: str, index: int) -> AttemptRows | None:
        """Return the job as seen from one of its tasks; None when there is no such task. Of attempts that begin or complete the
        usual way these are all the rows that are looked up."""
        unit = self._unit
        entry = unit.jobs.get(job_id) or unit.job(job_id)
        if entry is None:
            return None
        row = unit.current.get((job_id, node, index))
        if row is None or row.task.superseded:
            row = unit.task(entry, node, index)
            if row is None:
                return None
        graph = self._graphs.get(entry.job.definition_id) or self._graph_of(entry)
        return AttemptRows(unit, self._payloads, entry, graph, row)

    def _graph_of(self, entry: JobEntry) -> Graph:
        definition_id = entry.job.definition_id
        graph = self._graphs.get(definition_id)
        if graph is None:
            graph = self._graphs[definition_id] = self.definitions.graph(definition_id)
        return graph

    def foresee(self, keys: Iterable[TaskPlace | TaskKey]) -> None:
        """Load together what views of these tasks' jobs will ask for: a job from deep in a backlog is not remembered."""
        jobs = self._unit.load_jobs(keys)
        if jobs:
            self._payloads.load_params(jobs)

    def job(self, job_id: str) -> Job | None:
        """Return a copy of the job's row."""
        entry = self._unit.job(job_id)
        return None if entry is None else entry.job.copy()

    def params(self, job_id: str) -> Any:
        return self._payloads.params(self._entry(job_id))

    def job_result(self, job_id: str) -> Any:
        """Return the job's result; None when it has none."""
        entry = self._entry(job_id)
        if entry.new_result is not None:
            return rows.from_json(entry.new_result) if isinstance(entry.new_result, str) else None
        row = self._unit.execute("job_result", (entry.job_no,)).fetchone()
        return None if row is None or row[0] is None else rows.from_json(row[0])

    def task(self, job_id: str, node: str, index: int = -1) -> Task | None:
        """Return a copy of the task's current row."""
        job = self._unit.job(job_id)
        entry = None if job is None else self._unit.task(job, node, index)
        return None if entry is None else entry.task.copy()

    def idempotent(self, tenant: str, key: str) -> tuple[str, str | None] | None:
        """Return `(job_id, fingerprint)` of the job submitted with this key before (R21)."""
        return self._unit.idempotent(tenant, key)

    def any_idempotent(self, tenant: str, keys: Sequence[str]) -> bool:
        """Tell whether a job was submitted with one of these keys before."""
        return self._unit.any_idempotent(tenant, keys)

    def dependency_state(self, job_id: str) -> tuple[str, JobState] | None:
        """Return `(tenant, state)` of a job that another wants to depend on."""
        entry = self._unit.job(job_id)
        return None if entry is None else (entry.job.tenant, entry.job.state)

    @property
    def knows_dependencies(self) -> bool:
        """Tell whether any job waits, or has waited, for another."""
        return self._unit.knows_dependencies

    def dependents(self, job_id: str) -> list[tuple[str, str]]:
        """Return `(job_id, on)` of the jobs that wait for this one, in the order in which they came."""
        if not self._unit.knows_dependencies:
            return []
        entry = self._entry(job_id)
        found = self._unit.ask("dependents_of_job", (entry.job_no,), of="insert_dependency")
        return [(row[0], row[1]) for row in found]

    def artifacts(self, job_id: str) -> list[dict[str, Any]]:
        """Return the accepted artifacts of the job, in order of acceptance."""
        return [artifact_record(row) for row in self._unit.execute("artifacts_of_job", (job_id,))]

    def unpublished_artifacts(self, job_id: str) -> list[dict[str, Any]]:
        """Return those that do not yet stand under their stable names."""
        return [artifact_record(row) for row in self._unit.execute("unpublished_artifacts", (job_id,))]

    def _entry(self, job_id: str) -> JobEntry:
        entry = self._unit.job(job_id)
        if entry is None:
            raise UnknownJob(f"there is no job {job_id}")
        return entry

    # Writing a decision

    def apply(self, decision: Decision) -> Applied:
        """Write a decision. Its rows belong to the store from here on: don't change them.

        Gives `ready_seq` to tasks that become ready and a cursor to every event, marks a paused job's ready tasks as
        held, keeps the history of attempts, and takes a rewound task's artifacts out of the manifest.
        """
        if decision.usual:
            return apply_usual(self._unit, self._payloads, decision)
        if decision.is_new and (begun := begin(self._unit, self._payloads, decision)) is not None:
            return begun
        job = decision.job
        entry, was, paused_before = self._job_row(decision)
        applied = Applied(job=job, job_no=entry.job_no, was=was)
        if (job.state is JobState.FAILED) is not (was is JobState.FAILED):
            self._note_failure(entry)
        for task in decision.tasks:
            self._changed_task(applied, entry, task)
        for task in decision.new_tasks:
            if task.state is TaskState.READY:
                task.ready_seq = self._unit.next_ready_seq()
                applied.released.append(task)
            self._unit.new_task(entry.job_no, task)
        if decision.params is not None:
            self._params_row(entry, decision)
        if decision.results or decision.items:
            self._payload_rows(entry, decision)
        if decision.signals or decision.signals_taken or decision.callback is not None:
            Outside(self._unit, entry.job_no).write(decision)
        if decision.events:
            applied.events = decision.events
            applied.cursor = self._unit.events(entry.job_no, decision.events)
        if decision.known_result is not None:
            self.known_results.put(decision.known_result, now=job.updated_at)
        if decision.artifacts:
            self._artifact_rows(entry, decision)
        for name in decision.published:
            self._unit.execute("publish_artifact", (job.updated_at, entry.job_no, name))
        if paused_before is not None and paused_before != job.paused:
            self.ready.hold(entry, job.paused)
            applied.held = job.paused
        return applied

    def begin_alike(self, alike: Sequence[Beginning]) -> tuple[list[Task], int] | None:
        """Write new jobs that begin like the same earlier one, of which `apply` has written what was decided; as it would them.

        Returns:
            Their ready tasks, in the order of their places, and the cursor of the last one's last event. None, and nothing is done,
            where `apply` has to be asked.
        """
        return begin_alike(self._unit, self._payloads, alike)

    def _job_row(self, decision: Decision) -> tuple[JobEntry, JobState | None, bool | None]:
        job = decision.job
        if decision.is_new:
            entry = self._unit.new_job(job)
            for on_job_id, on in decision.dependencies:
                self._unit.knows_dependencies = True
                self._unit.insert("insert_dependency", (self._entry(on_job_id).job_no, entry.job_no, on))
            if decision.sets_job_result:
                entry.new_result = rows.to_json(decision.job_result)
            if "parent" in job.extra:
                parent = job.extra["parent"]
                self._unit.insert("insert_child", (entry.job_no, self._entry(parent["job"]).job_no))
            return entry, None, None
        entry = self._entry(job.job_id)
        was, paused = entry.job.state, entry.job.paused
        assert job.last_seq == entry.job.last_seq + len(decision.events), f"{job.job_id}: events are not gapless"
        if decision.events or decision.tasks or decision.new_tasks or decision.sets_job_result or job != entry.job:
            entry.usual = False
            self._unit.change_job(entry, job)
            if decision.sets_job_result:
                entry.new_result = job_result_text(decision)
        return entry, was, paused

    def _note_failure(self, entry: JobEntry) -> None:
        """Keep what groups failed jobs, for as long as the job is failed."""
        job = entry.job
        if job.state is not JobState.FAILED:
            self._unit.execute("forget_failure", (entry.job_no,))
            return
        error = job.error or TaskError(code="task_failed", message="")
        message = normalised(error.message)
        where = {"workflow": job.workflow, "task": error.task or "", "code": error.code, "kind": error.type or ""}
        failure = fingerprint(**where, message=message)
        row = (entry.job_no, job.tenant, failure, *where.values(), message, job.finished_at or job.updated_at)
        self._unit.insert("put_failure", row)

    def _params_row(self, entry: JobEntry, decision: Decision) -> None:
        params, is_new = decision.params, decision.is_new
        text = rows.to_json(params)
        if is_new:
            self._unit.insert("insert_params", (entry.job_no, text))
        else:
            self._unit.execute("update_params", (text, entry.job_no))
        self._payloads.remember_params(entry, params, len(text))
        if entry.job.has_files or not is_new:
            self.known_results.need(entry, stored_parts(params))

    def _payload_rows(self, entry: JobEntry, decision: Decision) -> None:
        ended = entry.job.state in TERMINAL
        for key, result in decision.results.items():
            task = self._unit.task_by_key(entry, key)
            assert task.dirty, f"{key} got a result but is not listed as changed"
            task.new_result = decision.result_text or rows.to_json(result)
            if not ended:  # else nobody is about to ask
                self._payloads.remember_result(task.task, result, len(task.new_result))
        for key, item in decision.items.items():
            text = rows.to_json(item)
            self._unit.insert("insert_item", (entry.job_no, *key[1:], text))
            self._payloads.remember_item(key, item, len(text))

    def _artifact_rows(self, entry: JobEntry, decision: Decision) -> None:
        for task, ref in decision.artifacts:
            run_id = task.run_id if task.run_id is not None else owner_of(ref.key)
            assert run_id is not None, f"{task.key} has artifacts of no run"
            self._unit.insert(
                "insert_artifact",
                (
                    *(entry.job_no, ref.name, task.node, task.index, task.generation, run_id, ref.key, ref.sha256),
                    *(
                        ref.size_bytes,
                        ref.content_type,
                        rows.to_json(ref.metadata) if ref.metadata else ABSENT,
                        decision.job.updated_at,
                    ),
                ),
            )
            if ref.metadata:
                note_likeness(self._unit, entry, ref)

    def _changed_task(self, applied: Applied, job: JobEntry, task: Task) -> None:
        entry = self._unit.task_by_key(job, task.key)
        before = entry.task
        assert not before.superseded, f"{task.key} belongs to an older generation and never changes"
        if task.state is TaskState.READY:
            if before.state is not TaskState.READY:
                task.ready_seq = self._unit.next_ready_seq()
                applied.released.append(task)
            elif task.ready_seq is None:
                task.ready_seq = before.ready_seq
        elif before.state is TaskState.READY:
            applied.withdrawn.append(task.key)
        if before.state in (TaskState.RUNNING, TaskState.WAITING) and before.run_id is not None:
            self._attempt_ended(applied, job, before, task)
        elif task.state is TaskState.RUNNING and task.run_id is not None:
            applied.started.append(task)
        entry.usual = False
        self._unit.change_task(entry, task)
        if task.superseded and job.job.has_files:
            place = (job.job_no, task.node, task.index, task.generation)
            self._unit.execute("supersede_artifacts", place)

    def _attempt_ended(self, applied: Applied, job: JobEntry, before: Task, task: Task) -> None:
        """Write the history row of an attempt that is over and was not completed; the row of the task has the rest."""
        if task.state in (TaskState.RUNNING, TaskState.WAITING) and task.run_id == before.run_id:
            return
        assert before.run_id is not None
        applied.ended_runs.append((before.run_id, task))
        if task.state is TaskState.COMPLETED:
            return
        outcome, error = attempt_outcome(before, task)
        finished_at = applied.job.updated_at
        self._unit.insert(
            "insert_attempt",
            rows.attempt_insert(job.job_no, before, outcome=outcome, error=error, finished_at=finished_at),
        )

    # Definitions

    def graph(self, definition_id: str) -> Graph:
        """Return the graph; raises KeyError for an unknown id."""
        return self.definitions.graph(definition_id)

    def definition_by_name(self, name: str, version: int | None = None) -> str | None:
        return self.definitions.by_name(name, version)

    def definition_names(self, limit: int) -> list[tuple[str, int]]:
        return self.definitions.names(limit)

    def check_definition(self, definition: Mapping[str, Any], graph: Graph) -> None:
        """Refuse a definition whose name and version are published with another content; see `Definitions.check`."""
        self.definitions.check(definition, graph)

    def put_definition(
        self, definition: Mapping[str, Any], graph: Graph, now: float, *, published: bool = True
    ) -> bool:
        """Store a definition (see `Definitions.put`); `published=False` for a graph sent inline with a job."""
        return self.definitions.put(definition, graph, now, published=published)

    def put_task_spec(self, spec: Mapping[str, Any], now: float) -> bool:
        return self.definitions.put_task_spec(spec, now)

    # Known results: see `KnownResults`

    def use_known_result(self, job_id: str, key: str, found: FoundResult, *, now: float) -> None:
        """Note that a job's task completes with this result."""
        self.known_results.used(key, found, self._entry(job_id), now=now)

    # Claims, timers, start-up: see `Ready`

    def lanes(self) -> list[tuple[Source, int]]:
        return self.ready.lanes()

    def lanes_of_job(self, job_id: str) -> list[tuple[Source, int]]:
        """Return the sources whose windows a resume of this job reopens; their rows keep their old `ready_seq`."""
        return self.ready.lanes_of_job(self._entry(job_id))

    def ready_window(self, source: Source, after_seq: int, limit: int) -> list[ReadyRow]:
        return self.ready.window(source, after_seq, limit)

    def run_of_callback(self, run_id: str, held: Task | None) -> tuple[str, str, int, float | None] | None:
        """Return `(job_id, node, index, received_at)` of a run that may be called back, or was; see `outside.py`."""
        return run_of_callback(self._unit, run_id, held)

    def due_jobs(self, now: float, limit: int) -> list[str]:
        return self.ready.due_jobs(now, limit)

    def due_tasks(self, now: float, limit: int) -> list[tuple[str, str, int]]:
        return self.ready.due_tasks(now, limit)

    def next_wake(self) -> float | None:
        return self.ready.next_wake()

    def running(self) -> list[Task]:
        return self.ready.running()

    def jobs_to_finalise(self) -> list[tuple[str, str, int]]:
        return self.ready.jobs_to_finalise()

    def jobs_to_publish(self) -> list[str]:
        return self.ready.jobs_to_publish()

    # Logs, files, queues, workers: see `Records`

    def add_logs(self, task: Task, lines: Iterable[Mapping[str, Any]]) -> list[int]:
        """Append lines to the log of the task's current attempt; return the numbers of those kept."""
        assert task.run_id is not None
        job = self._entry(task.job_id)
        return self.records.add_logs(
            job, node=task.node, index=task.index, attempt=task.attempt, run_id=task.run_id, lines=lines
        )

    def add_file(self, record: Mapping[str, Any]) -> None:
        self.records.add_file(record)

    def file(self, file_id: str) -> dict[str, Any] | None:
        return self.records.file(file_id)

    def put_queue_settings(self, name: str, settings: Mapping[str, Any], now: float) -> None:
        self.records.put_queue_settings(name, settings, now)

    def queue_settings(self) -> dict[str, dict[str, Any]]:
        return self.records.queue_settings()

    def record_worker(self, session_id: str, worker: str, hello: Mapping[str, Any], now: float) -> None:
        self.records.record_worker(session_id, worker, hello, now)

    def end_worker(self, session_id: str, now: float) -> None:
        self.records.end_worker(session_id, now)

    # Meta: small texts that are kept with the file

    def meta(self, key: str) -> str | None:
        row = self._unit.execute("meta", (key,)).fetchone()
        return None if row is None else str(row[0])

    def put_meta(self, key: str, value: str) -> None:
        self._unit.insert("put_meta", (key, value))

    # Ending

    @property
    def wrote(self) -> bool:
        """Tell whether there is anything to commit; asked after `flush`."""
        return self._unit.wrote

    def flush(self) -> None:
        """Hand everything gathered to SQLite: what is left of the commit is its fsync.

        Raises:
            GuardFailed: a row was not as it had been read; roll back.
        """
        self._unit.finish()

    @property
    def written_apart(self) -> bool:
        """Tell whether the commit is left to the process beside, and so takes a while without this one."""
        return self._unit.apart is not None


def attempt_outcome(before: Task, task: Task) -> tuple[str, TaskError | None]:
    """Name how an attempt ended, from its task's row before and after."""
    if task.state is TaskState.READY:
        return "returned", None
    error = task.error if task.error is not before.error else None
    code = error.code if error is not None else ""
    if code == "worker_lost":
        return "lost", error
    if code.startswith(_TIMEOUT):
        return "timed_out", error
    return ("cancelled" if task.state is TaskState.CANCELLED else "failed"), error
