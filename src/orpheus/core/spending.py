"""May it still be spent? A job's budget, and what its attempts have cost.

An attempt's price is held from its start to its end: then it is spent (completed) or given back (anything else). A task begins only if
what is spent, what is held and its own price stay within the budget together, so the budget is never passed, however many run at a
time. What an attempt says it has really cost (`ctx.spend`) counts in place of its price, also when it failed; that may pass the budget,
and then nothing more begins. Cached tasks begin nothing and cost nothing. All generations of a job share its budget (R20).

`job.extra`: `budget`, `cost` (spent), `held`. `task.extra`: `price`, of the attempt that runs or was completed; `told`, while it waits
for its callback and has said that this is what it has cost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orpheus.core.errors import BudgetExceeded, TaskError
from orpheus.core.job import Job
from orpheus.core.price import Price, total
from orpheus.core.task import Task, TaskState

if TYPE_CHECKING:
    from orpheus.core.draft import Draft


def over_budget(job: Job, amount: float) -> bool:
    budget = job.extra.get("budget")
    spent = total(job.extra.get("cost", 0.0), job.extra.get("held", 0.0), amount)
    return budget is not None and spent > budget


def hold(draft: Draft, task: Task, price: Price, args: Any) -> TaskError | None:
    """Hold the price of an attempt that is about to begin; return why it may not begin, or None."""
    job = draft.job
    amount = price.of(args)
    if over_budget(job, amount):
        return TaskError(
            code="budget_exceeded",
            message=f"task {task.node!r} costs {amount:g}; of the budget of {job.extra['budget']:g}, "
            f"{job.extra.get('cost', 0.0):g} is spent and {job.extra.get('held', 0.0):g} held by what runs",
            hint="retry the job with a larger budget; what is finished is kept",
            task=task.node,
        )
    job.extra = {**job.extra, "held": total(job.extra.get("held", 0.0), amount)}
    task.extra = {**task.extra, "price": amount}
    return None


def tell(job: Job, task: Task, amount: float) -> None:
    """Hold what an attempt says it has cost when it hands its work over, in place of its price: it is spent however the wait ends."""
    job.extra = {**job.extra, "held": total(job.extra.get("held", 0.0), amount, -task.extra.get("price", 0.0))}
    task.extra = {**task.extra, "price": amount, "told": True}


def release(job: Job, task: Task, state: TaskState) -> None:
    """Give back what an attempt held: it neither runs nor waits for its callback any more. What it told is lost unless it completed."""
    extra = dict(task.extra)
    amount = extra.pop("price")
    job.extra = {**job.extra, "held": total(job.extra.get("held", 0.0), -amount)}
    if extra.pop("told", False) and state is not TaskState.COMPLETED:
        lose(job, amount)
    task.extra = extra


def spend(job: Job, task: Task, amount: float) -> dict[str, float]:
    """Count a completed attempt's price as spent; return what its event tells of it."""
    task.extra = {**task.extra, "price": amount}
    job.extra = {**job.extra, "cost": total(job.extra.get("cost", 0.0), amount)}
    return {"price": amount}


def lose(job: Job, amount: float) -> None:
    """Count what a failed attempt says it has cost: whoever was paid keeps it."""
    job.extra = {**job.extra, "cost": total(job.extra.get("cost", 0.0), amount)}


def set_budget(job: Job, budget: float | None) -> dict[str, float]:
    """Take a new budget; return what the order's event tells of it.

    Raises:
        BudgetExceeded: more than that is spent already.
    """
    if budget is None:
        return {}
    gone = total(job.extra.get("cost", 0.0), job.extra.get("held", 0.0))
    if gone > budget:
        raise BudgetExceeded(
            f"job {job.job_id} has spent {gone:g} already; its budget cannot be {budget:g}",
            hint="name a larger one",
            details=[{"path": "/budget", "message": f"{gone:g} is spent"}],
        )
    job.extra = {**job.extra, "budget": budget}
    return {"budget": budget}
