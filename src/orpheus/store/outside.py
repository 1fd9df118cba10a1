"""What came from outside for a job and has to be kept: signals, and callbacks for runs (R22)."""

from __future__ import annotations

from orpheus.core.decision import Callback, Decision, Signal
from orpheus.core.task import Task, TaskState
from orpheus.store import rows
from orpheus.store.unit import Unit

_MAY_BE_CALLED_BACK = (TaskState.RUNNING, TaskState.WAITING)


class Outside:
    """Signals and callbacks of one job, within one transaction."""

    __slots__ = ("_job_no", "_unit")

    def __init__(self, unit: Unit, job_no: int) -> None:
        self._unit = unit
        self._job_no = job_no

    def next_signal(self, name: str, after: int) -> Signal | None:
        """Return the oldest signal of that name that nobody has taken, of those numbered above `after`."""
        row = self._unit.execute("next_signal", (self._job_no, name, after)).fetchone()
        if row is None:
            return None
        number, signal_id, payload = row
        return Signal(number=number, name=name, payload=rows.from_json(payload), signal_id=signal_id)

    def has_signal(self, name: str, signal_id: str) -> bool:
        return self._unit.execute("signal_by_id", (self._job_no, name, signal_id)).fetchone() is not None

    def callback(self, run_id: str) -> Callback | None:
        """Return what was brought for a run of this job."""
        row = self._unit.ask("callback_of_run", (run_id,), of="insert_callback").fetchone()
        if row is None:
            return None
        result, error = row
        return Callback(
            run_id=run_id,
            result=None if result is None else rows.from_json(result),
            error=None if error is None else rows.read_error(error),
        )

    def write(self, decision: Decision) -> None:
        """Write what a decision received and took."""
        now = decision.job.updated_at
        for signal in decision.signals:
            self._unit.insert(
                "insert_signal",
                (self._job_no, signal.number, signal.name, signal.signal_id, rows.to_json(signal.payload), now),
            )
        for signal in decision.signals_taken:
            self._unit.execute("take_signal", (now, self._job_no, signal.number))
        callback = decision.callback
        if callback is not None:
            result = None if callback.error is not None else rows.to_json(callback.result)
            error = None if callback.error is None else rows.to_json(callback.error)
            (task,) = [task for task in decision.tasks if task.run_id == callback.run_id]
            self._unit.insert(
                "insert_callback", (callback.run_id, self._job_no, task.node, task.index, now, result, error)
            )


def run_of_callback(unit: Unit, run_id: str, held: Task | None) -> tuple[str, str, int, float | None] | None:
    """Find the task of a run that may be called back (running or waiting), or was called back before.

    Args:
        held: the task of the run as memory knows it, if a worker has it. Its row may have changed since.

    Returns:
        `(job_id, node, index, received_at)`; `received_at` is None while no callback has come.
    """
    row = unit.execute("callback_by_run", (run_id,)).fetchone()
    if row is not None:
        return (row[0], row[1], row[2], row[3])
    if held is None:
        row = unit.execute("waiting_task_of_run", (run_id,)).fetchone()
        return None if row is None else (row[0], row[1], row[2], None)
    job = unit.job(held.job_id)
    entry = None if job is None else unit.task(job, held.node, held.index)
    if entry is None or entry.task.run_id != run_id or entry.task.state not in _MAY_BE_CALLED_BACK:
        return None
    return (held.job_id, held.node, held.index, None)
