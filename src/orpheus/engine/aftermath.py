"""What does the memory do with a batch's decisions? Everything that follows from them, in the order in which they were made.

    follow          for each effect of the batch: a `Change` is followed here, and so are `Created`, `Began` and `Completed`;
                    anything else is called. The memory that decisions look at
    tell_who_waits  the effects that tell somebody, and who waits for a job's end
    tell            for all changes together: what was counted, the stream

The tellings come after the commit; `follow` too, or before it when the next batch is to be decided meanwhile (ADR 0035).

This runs for every decision there is, so nothing is asked here that most decisions can be seen not to need.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, NamedTuple

from orpheus.core.decision import CancelRun, Decision, Finalise, ForgetRun, PublishArtifacts
from orpheus.core.job import TERMINAL
from orpheus.core.task import TaskState
from orpheus.engine.usual_runs import Began, Completed
from orpheus.engine.work import Change, Created, Telling

if TYPE_CHECKING:
    from orpheus.core.decision import Command
    from orpheus.core.job import Job
    from orpheus.engine.leases import Run
    from orpheus.engine.machine import Machine
    from orpheus.engine.stream import Told
    from orpheus.engine.work import Effect

_READY = TaskState.READY
_events, _task = itemgetter(1), attrgetter("task")


class Untold(NamedTuple):
    """What of a batch is for those outside, once it is on the disk."""

    tellings: list[Telling]
    told: list[Told]
    """What the stream is told."""
    changes: list[Change | Completed]
    """What may have ended jobs, in its order."""


class Aftermath:
    """The only place where a decision changes the memory."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def follow(self, effects: Sequence[Effect | Change | Created | Began | Completed]) -> Untold:
        """Carry out a batch's effects but for what tells somebody, which is returned."""
        machine = self._machine
        untold = Untold([], [], [])
        over: list[str] = []
        told = untold.told
        for effect in effects:
            if isinstance(effect, Change):
                applied = effect.applied
                untold.changes.append(effect)
                if applied.events:
                    told.append((applied.cursor, applied.events, applied.job))
                if applied.started and effect.decision.usual:
                    machine.feed.withdrawn(applied.withdrawn)  # attempts began, which is all that a claim comes to
                else:
                    self._changed(effect, over)
            elif isinstance(effect, Created):
                told += _told(effect)
                machine.feed.created(effect.released, effect.graph)
            elif isinstance(effect, Began):
                told += effect.told
                machine.meter.began(effect.told, map(_task, effect.grants))
                machine.feed.withdrawn([pick.key for pick in effect.picks])
                machine.claims.grant(effect)
            elif isinstance(effect, Completed):
                told += effect.told
                untold.changes.append(effect)
                self._completed(effect, over)
            elif isinstance(effect, Telling):
                untold.tellings.append(effect)
            else:
                effect()
        if over:
            machine.progress.forget(over)
            machine.logs.forget(over)
        return untold

    def tell_who_waits(self, untold: Untold) -> None:
        """The batch is on the disk: do what was left of its effects, and tell who waits for the end of a job."""
        for telling in untold.tellings:
            telling()
        ended = self._machine.ended
        if not ended:
            return
        ends: list[Decision] = []
        for change in untold.changes:
            if isinstance(change, Change):
                ends.append(change.decision)
                continue
            for (_place, _events, job), output in zip(change.told, change.outputs, strict=True):
                if job.job_id in ended:
                    ends.append(Decision(job, job_result=output, sets_job_result=True, usual=True))
        for decision in ends:
            job = decision.job
            if job.job_id in ended and job.state in TERMINAL:
                for heard in list(ended.pop(job.job_id)):
                    heard(decision)

    def tell(self, untold: Untold) -> bool:
        """The batch is on the disk: tell the stream and the meters; tells whether there were events in it."""
        machine = self._machine
        machine.meter.changed([change.applied for change in untold.changes if isinstance(change, Change)])
        told = untold.told
        if told:
            machine.meter.told(map(_events, told))
            machine.stream.publish(told)
        return bool(told)

    def _changed(self, change: Change, over: list[str]) -> None:
        """Follow one decision; runs that it ended are added to `over`."""
        machine, applied = self._machine, change.applied
        job = applied.job
        if change.decision.usual:
            # Attempts completed: they are forgotten, and no row wants to be claimed or woken but those that became ready.
            for run_id, task in applied.ended_runs:
                over.append(run_id)
                run = machine.runs.forget(run_id)
                if run is not None:
                    machine.meter.attempt_ended(run.task, task, job.updated_at)
                    self._release(run)
            tasks = applied.released
        else:
            self._obey(change, over)
            decision = change.decision
            tasks = [*decision.tasks, *decision.new_tasks] if decision.tasks else decision.new_tasks
        for task in tasks:
            if task.wake_at is not None:
                machine.timers.note(task.wake_at)
            if task.state is _READY and not job.paused:
                machine.feed.ready(task, change.graph)
        if applied.withdrawn and not job.paused:
            machine.feed.withdrawn(applied.withdrawn)

    def _completed(self, completed: Completed, over: list[str]) -> None:
        """Follow runs that their worker has completed, all of them usual."""
        machine, runs, took = self._machine, completed.runs, completed.took()
        run_ids = [run.run_id for run in runs]
        over += run_ids
        machine.runs.all_forgotten(run_ids)
        machine.meter.completed(completed.told, took)
        for (handler, input_bytes), lengths in took.items():
            machine.durations.note(handler, input_bytes, lengths)
        machine.feed.all_released([run.task.key for run in runs])
        machine.sessions.all_reported(runs)
        for job, task, graph in completed.opened:
            if task.wake_at is not None:
                machine.timers.note(task.wake_at)
            if not job.paused:
                machine.feed.ready(task, graph)

    def _obey(self, change: Change, over: list[str]) -> None:
        """Do what an unusual decision wants of the memory, but for its tasks."""
        machine, decision, applied = self._machine, change.decision, change.applied
        job = decision.job
        for run_id, task in applied.ended_runs:
            run = machine.runs.get(run_id)
            if run is not None:
                machine.meter.attempt_ended(run.task, task, job.updated_at)
        for command in decision.commands:
            if isinstance(command, ForgetRun):
                over.append(command.run_id)
                run = machine.runs.forget(command.run_id)
                if run is not None:
                    self._release(run)
            else:
                self._carry_out(job, command)
        if decision.is_new and job.has_files and job.closing is None:
            machine.outbox.wanted(job.job_id)  # the manifest stands from the creation on (design, section 6)
        if applied.held:
            machine.feed.held(job)
        elif change.resumes:
            machine.feed.resumed(change.resumes)
        if job.wake_at is not None:
            machine.timers.note(job.wake_at)

    def _carry_out(self, job: Job, command: Command) -> None:
        """Do what a command wants of the memory; the others were carried out in the transaction."""
        if isinstance(command, CancelRun):
            self._cancel_run(command)
        elif isinstance(command, PublishArtifacts):
            self._machine.outbox.wanted(job.job_id)
        elif isinstance(command, Finalise):
            self._machine.outbox.wanted(job.job_id, finalise=(command.outcome, command.generation))

    def _release(self, run: Run) -> None:
        """The run is over, and no longer in the table: what it held is free, and its session has less to say."""
        machine = self._machine
        machine.feed.released(run.task)
        session = machine.sessions.find(run.session_id)
        if session is not None:
            session.run_over(run)

    def _cancel_run(self, command: CancelRun) -> None:
        machine = self._machine
        now = machine.clock.monotonic()
        grace_s = machine.options.grace_s
        if not machine.runs.stop_by(command.run_id, reason=command.reason, grace_s=grace_s, now=now):
            return
        run = machine.runs.get(command.run_id)
        assert run is not None
        session = machine.sessions.find(run.session_id)
        if session is not None:
            session.tell_cancel(run)


def _told(created: Created) -> Iterable[Told]:
    """Return what the stream is told of each of the jobs."""
    jobs, events = created.jobs, created.events
    each = len(events)
    cursors = range(created.cursor - each * (len(jobs) - 1), created.cursor + 1, each)
    return zip(cursors, repeat(events), jobs, strict=False)
