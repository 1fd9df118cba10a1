"""The next batch is decided while the one before is written: nobody outside may notice (ADR 0035)."""

from __future__ import annotations

import pytest

from orpheus.core.facts import CancelRequested
from orpheus.engine.base import PollAnswer, RunReport, Submission
from orpheus.engine.machine import Machine
from orpheus.engine.submissions import Submit, prepare
from orpheus.engine.work import Operation, may_go_ahead
from orpheus.store import Store
from orpheus.store.cache import MAX_JOBS, RowCache
from orpheus.testing.simulation.later_writer import LaterWriter

from .conftest import Box, Cluster

WORKER = "worker-" + "x" * 16


class Ahead(Cluster):
    """A machine whose transactions go to a writer that waits for our word."""

    most_jobs = MAX_JOBS
    """That are remembered."""

    def open(self) -> None:
        self.store = Store.open(
            self.path,
            now=self.clock.now(),
            epoch="e1",
            writer=LaterWriter(self.path, least_rows=1),
            remembered=RowCache(max_jobs=self.most_jobs),
        )
        self.machine = Machine(self.store, clock=self.clock, rng=self.rng, run_key=b"r", options=self.options)
        self.machine.recover()

    def hand_over(self) -> None:
        """Decide one batch."""
        assert self.machine.may_run
        batch = self.machine.run_batch()
        assert batch is not None
        self.machine.hand_over(batch)

    def answer(self) -> None:
        """The oldest batch on its way is on the disk."""
        self.store.take_answer()
        self.machine.finish_answered()

    def submitted(self, *names: str, **options) -> Box:
        box = Box()
        machine = self.machine
        wanted = prepare([Submission(workflow=name, **options) for name in names])
        submit = Submit(
            wanted, checker=machine.checker, rng=machine.rng, params_max_bytes=1 << 20, tenants=machine.tenants
        )
        machine.queue(submit, box)
        return box

    def polled(self, seq: int, *, held=(), free: int = 10, reports=()) -> tuple[Box, Box]:
        box, reported = Box(), Box()
        self.machine.workers.poll(
            WORKER, seq, held=held, free=free, resources_free={}, wait_s=20.0, answer=box,
            reports=reports, reported=reported,
        )  # fmt: skip
        return box, reported


@pytest.fixture
def ahead(tmp_path, flow):
    cluster = Ahead(tmp_path / "orpheus.db", batches_ahead=3)
    cluster.publish(flow("one", {"name": "a"}))
    cluster.publish(flow("two", {"name": "a"}, {"name": "b", "after": ["a"]}))
    cluster.worker("step@1", name="worker")
    cluster.machine.call("names", lambda work: [work.tx.definition_by_name(name) for name in ("one", "two")])
    cluster.settle()  # names are known from here on: no batch has to ask the file
    yield cluster
    cluster.store.close()


def completed(run_id: str) -> RunReport:
    return RunReport(run_id=run_id, kind="completed", result=None)


def test_a_submission_is_answered_when_it_is_on_the_disk(ahead):
    first, second = ahead.submitted("one"), ahead.submitted("one", idempotency_key="k")
    ahead.hand_over()
    again = ahead.submitted("one", idempotency_key="k")
    ahead.hand_over()
    assert not first.done and not second.done and not again.done
    ahead.answer()
    [submitted] = second.get()
    assert first.done
    [known] = again.get()  # which had nothing to write
    assert not known.created and known.job.job_id == submitted.job.job_id


def test_a_poll_is_answered_when_its_claims_are_on_the_disk(ahead):
    """And the end of the run may have been decided by then, had the worker known."""
    ahead.submitted("one")
    ahead.hand_over()
    box, _ = ahead.polled(1)
    ahead.hand_over()
    assert not box.done
    ahead.answer()
    assert not box.done
    ahead.answer()
    answer = box.get()
    assert isinstance(answer, PollAnswer) and len(answer.grants) == 1


def test_the_same_poll_again_gets_its_answer_no_sooner(ahead):
    ahead.submitted("one")
    ahead.hand_over()
    first, _ = ahead.polled(1)
    ahead.hand_over()
    again, _ = ahead.polled(1)
    assert not again.done
    ahead.answer()
    ahead.answer()
    assert again.get() == first.get()
    assert len(again.get().grants) == 1


def test_a_step_follows_upon_a_step_while_both_are_written(ahead):
    ahead.submitted("two")
    ahead.hand_over()
    box, _ = ahead.polled(1)
    ahead.hand_over()
    ahead.answer()
    ahead.answer()
    [grant] = box.get().grants
    box, reported = ahead.polled(2, held=[grant.run_id], reports=[completed(grant.run_id)])
    ahead.hand_over()
    assert not box.done and not reported.done
    other = ahead.submitted("one")
    ahead.hand_over()
    ahead.answer()
    assert reported.get() == [None]
    [step] = box.get().grants
    assert step.task.node == "b" and not other.done
    ahead.answer()
    assert other.done


def test_a_report_that_comes_twice_is_refused_no_sooner_than_the_first_is_on_the_disk(ahead):
    """A worker that hears so forgets the run."""
    ahead.submitted("one")
    ahead.hand_over()
    box, _ = ahead.polled(1)
    ahead.hand_over()
    ahead.answer()
    ahead.answer()
    [grant] = box.get().grants
    first, second = Box(), Box()
    ahead.machine.workers.report(WORKER, [completed(grant.run_id)], first)
    ahead.hand_over()
    ahead.machine.workers.report(WORKER, [completed(grant.run_id)], second)
    assert not second.done
    ahead.answer()
    assert first.get() == [None]
    [error] = second.get()
    assert error.code == "stale_run"


def test_events_and_ends_are_told_of_what_is_on_the_disk(ahead):
    told: list[int] = []
    ahead.machine.stream.listen(lambda: told.append(ahead.machine.stream.head))
    before = ahead.machine.stream.head
    submitted = ahead.submitted("one")
    ahead.hand_over()
    assert told == [] and ahead.machine.stream.head == before
    ahead.answer()
    [job] = submitted.get()
    ended = Box()
    ahead.machine.when_ended(job.job.job_id, ended)
    box, _ = ahead.polled(1)
    ahead.hand_over()
    ahead.answer()
    ahead.machine.workers.report(WORKER, [completed(box.get().grants[0].run_id)], Box())
    ahead.hand_over()
    late = Box()
    ahead.machine.when_ended(job.job.job_id, late)
    assert not ended.done
    ahead.answer()
    assert ended.get().job.state == "completed"
    assert late.get().job.state == "completed", "whoever looked at the file meanwhile saw it running"


def test_what_only_asks_is_answered_behind_what_it_saw(ahead):
    box = Box()
    submitted = ahead.submitted("one")
    ahead.hand_over()
    ahead.machine.call("look", lambda work: work.tx.knows_dependencies, box)
    ahead.hand_over()
    assert ahead.store.handed_over == ahead.store.answered + 1
    assert not box.done
    ahead.answer()
    assert submitted.done and box.get() is False


def test_a_fault_in_the_next_leaves_the_one_before(ahead):
    class Faulty(Operation):
        def run(self, work):
            raise AssertionError("a fault of ours")

    submitted = ahead.submitted("one")
    ahead.hand_over()
    box, other = Box(), ahead.submitted("one")
    ahead.machine.queue(Faulty(), box)
    assert ahead.machine.run_batch() is None
    assert ahead.store.answered == ahead.store.handed_over, "the memory of rows is made anew from the file"
    ahead.machine.finish_answered()  # which no answer will call for
    assert submitted.done
    while ahead.machine.has_work():
        ahead.settle()
    assert box.given[0].code == "internal_error"
    assert other.done


def test_what_only_asks_forgets_no_row_that_is_on_its_way(tmp_path, flow, monkeypatch):
    """The file does not know yet that the job has ended: a dependent would wait for ever."""
    monkeypatch.setattr(Ahead, "most_jobs", 1)
    cluster = Ahead(tmp_path / "orpheus.db", batches_ahead=3)
    cluster.publish(flow("one", {"name": "a"}))
    cluster.worker("step@1", name="worker")
    cluster.settle()
    over, first = cluster.submitted("one"), cluster.submitted("one")
    box, _ = cluster.polled(1, free=2)
    cluster.settle()
    runs = [grant.run_id for grant in box.get().grants]
    [[before], [job]] = [submitted.get() for submitted in (over, first)]
    cluster.machine.workers.report(WORKER, [completed(runs[0])], Box())
    cluster.settle()
    cluster.machine.workers.report(WORKER, [completed(runs[1])], Box())
    cluster.hand_over()
    refused = Box()
    cluster.machine.tell(before.job.job_id, CancelRequested(actor="api"), tenant=None, reply=refused)
    batch = cluster.machine.run_batch()
    assert batch is not None and not batch.wrote
    cluster.machine.hand_over(batch)
    dependent = cluster.submitted("one", depends_on=((job.job.job_id, "success"),))
    cluster.hand_over()
    while cluster.store.answered < cluster.store.handed_over:
        cluster.answer()
    [submitted] = dependent.get()
    assert cluster.job(submitted.job.job_id).state == "queued"
    cluster.store.close()


def test_not_more_than_so_many_are_on_their_way(ahead):
    for _ in range(3):
        ahead.submitted("one")
        ahead.hand_over()
    ahead.submitted("one")
    assert not ahead.machine.may_run
    ahead.answer()
    assert ahead.machine.may_run


def test_nothing_is_decided_behind_what_may_be_seen_outside(ahead):
    done: list[str] = []

    def change(work):
        work.tx.put_meta("k", "v")
        work.after_commit(lambda: done.append("seen"))

    ahead.submitted("one")
    ahead.hand_over()
    ahead.machine.call("change", change)
    ahead.hand_over()
    assert done == [] and not ahead.machine.may_run
    ahead.answer()
    assert done == [] and not ahead.machine.may_run
    ahead.answer()
    assert done == ["seen"] and ahead.machine.may_run
    assert not may_go_ahead([lambda: None])


def test_a_killed_server_has_said_nothing_that_is_not_there(ahead):
    submitted = ahead.submitted("one")
    ahead.hand_over()
    ahead.answer()
    [job] = submitted.get()
    cancelled = Box()
    ahead.machine.tell(job.job.job_id, CancelRequested(actor="api"), tenant=None, reply=cancelled)
    ahead.hand_over()
    lost = ahead.submitted("one")
    ahead.hand_over()
    ahead.store.writer._waiting.clear()  # it had come to none of them
    ahead.store.writer._over = True
    ahead.restart()
    assert not cancelled.done and not lost.done
    assert ahead.job(job.job.job_id).state == "queued"
