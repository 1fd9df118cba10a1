"""A person decides, and may edit what was proposed, before anything costly happens.

orpheus run --inline examples/approval.py:talk -p minutes=12 --approve "Review the cuts"

On a server, `orpheus up --import examples/approval.py`, `orpheus submit talk -p minutes=12`, and then approve it on the page or with
`orpheus jobs approve JOB --task cuts`.
"""

from dataclasses import dataclass

from orpheus import approval, task, workflow


@dataclass
class Cut:
    start_s: float
    end_s: float


@dataclass
class Plan:
    cuts: list[Cut]
    note: str = ""


@task
def plan_cuts(minutes: int) -> Plan:
    """Propose to cut the first and the last ten seconds."""
    return Plan([Cut(0.0, 10.0), Cut(minutes * 60 - 10.0, minutes * 60.0)])


@task
def cut(minutes: int, plan: Plan) -> str:
    left_s = minutes * 60 - sum(one.end_s - one.start_s for one in plan.cuts)
    return f"{len(plan.cuts)} cuts, {left_s:g} s left"


@workflow
def talk(minutes: int = 12) -> str:
    plan = approval("Review the cuts", plan_cuts(minutes), editable=True, timeout_s=86_400, name="cuts")
    return cut(minutes, plan)
