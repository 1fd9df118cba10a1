"""The two transition tables, exhaustively: what they allow, and what no path through them can do."""

from itertools import product

import pytest

from orpheus.core import job, task
from orpheus.core.errors import InvalidTransition
from orpheus.core.job import JobState
from orpheus.core.task import TaskState


@pytest.mark.parametrize(("source", "target"), list(product(JobState, JobState)))
def test_job_table_is_the_only_authority(source: JobState, target: JobState) -> None:
    """Every pair is either allowed or refused with `invalid_transition`, and `may` and `check` agree."""
    if job.may(source, target):
        job.check(source, target)
    else:
        with pytest.raises(InvalidTransition, match=f"{source} job cannot become {target}"):
            job.check(source, target)


@pytest.mark.parametrize(("source", "target"), list(product(TaskState, TaskState)))
def test_task_table_is_the_only_authority(source: TaskState, target: TaskState) -> None:
    """Every pair is either allowed or refused with `invalid_transition`, and `may` and `check` agree."""
    if task.may(source, target):
        task.check(source, target)
    else:
        with pytest.raises(InvalidTransition, match=f"{source} task cannot become {target}"):
            task.check(source, target)


def test_settled_tasks_never_move() -> None:
    """A row that is settled stays as it is: only a new generation has a new row (R20)."""
    assert {state for state in TaskState if not task.TRANSITIONS[state]} == set(task.SETTLED)
    assert set(task.IDLE) | {TaskState.RUNNING} | set(task.SETTLED) == set(TaskState)


def test_terminal_jobs_move_only_into_a_new_generation() -> None:
    """From an end there is one way on, a retry; and nothing else leads back to `queued` but `pending`."""
    for state in job.TERMINAL:
        assert job.TRANSITIONS[state] == (JobState.QUEUED,)
    assert {s for s in JobState if job.may(s, JobState.QUEUED)} == {JobState.PENDING, *job.TERMINAL}


def test_nothing_is_its_own_successor() -> None:
    """A transition changes something: a command already in effect is answered without one."""
    assert not any(job.may(state, state) for state in JobState)
    assert not any(task.may(state, state) for state in TaskState)


@pytest.mark.parametrize("state", list(JobState))
def test_every_job_state_is_reachable_and_can_end(state: JobState) -> None:
    """No state is an orphan, and none is a trap."""
    assert state in _closure(job.TRANSITIONS, JobState.PENDING)
    assert set(job.TERMINAL) & _closure(job.TRANSITIONS, state)


@pytest.mark.parametrize("state", list(TaskState))
def test_every_task_state_is_reachable_and_can_settle(state: TaskState) -> None:
    """No state is an orphan, and none is a trap."""
    assert state in _closure(task.TRANSITIONS, TaskState.BLOCKED)
    assert set(task.SETTLED) & _closure(task.TRANSITIONS, state)


def _closure(table, start):
    seen, todo = {start}, [start]
    while todo:
        for target in table[todo.pop()]:
            if target not in seen:
                seen.add(target)
                todo.append(target)
    return seen
