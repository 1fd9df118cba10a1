"""Does a short way of the decider say what is said at length, and change no more than it may? (core/usual.py)"""

from __future__ import annotations

from typing import Any

import msgspec

from orpheus.core.decision import Decision, ForgetRun, TellDependents, View
from orpheus.core.usual import JOB_CHANGES, TASK_CHANGES
from orpheus.testing.simulation.invariants import Broken

MAY_HOLD = (
    "tasks",
    "results",
    "result_text",
    "job_result",
    "sets_job_result",
    "events",
    "commands",
    "assignment",
    "usual",
)
"""What a usual decision may hold beside the job's row; the store does not look for anything else (store/transaction.py)."""


def check_usual(view: View, decision: Decision, at_length: Decision) -> None:
    """Compare two decisions about the same fact, before either was applied to the view.

    Raises:
        Broken: they differ, or a usual one changes a column or holds something that the store would not write.
    """
    if msgspec.structs.replace(decision, usual=False, result_text=None) != at_length:
        raise Broken(f"decided in short and at length is not the same: {decision} {at_length}")
    if not decision.usual:
        return
    held = msgspec.structs.replace(decision, **dict.fromkeys(MAY_HOLD))
    if held != msgspec.structs.replace(Decision(decision.job), **dict.fromkeys(MAY_HOLD)):
        raise Broken(f"a usual decision holds more than {MAY_HOLD}: {decision}")
    if decision.result_text is not None:
        _check_text(decision)
    told = [command for command in decision.commands if not isinstance(command, ForgetRun)]
    if told != ([TellDependents("completed")] if decision.sets_job_result else []) or not decision.events:
        raise Broken(f"a usual decision wants more done than is done for it: {decision}")  # engine/work.py
    _check(view.job(), decision.job, JOB_CHANGES)
    for task in decision.tasks:
        _check(view.task(task.node, task.index), task, TASK_CHANGES)


def _check(before: Any, after: Any, may_change: tuple[str, ...]) -> None:
    for name in after.__struct_fields__:
        if name not in may_change and getattr(before, name) != getattr(after, name):
            raise Broken(f"a usual decision changes {name} of {before}")


def _check_text(decision: Decision) -> None:
    """The text stands for each result the decision has."""
    results = [*decision.results.values(), *([decision.job_result] if decision.job_result is not None else [])]
    meant = msgspec.json.decode(decision.result_text or "")
    if len(decision.results) != 1 or any(result != meant for result in results):
        raise Broken(f"{decision.result_text} is not the JSON of {results}")
