"""A report every night, by a schedule on a server:

orpheus up --import examples/nightly.py
orpheus schedules create nightly report -p place=Bremen --cron "0 3 * * *" --timezone Europe/Berlin
orpheus schedules run nightly        # now, too
"""

from orpheus import Context, task, workflow


@task
def measure(place: str) -> float:
    return 20.0 + len(place) / 10


@task
def write(ctx: Context, place: str, degrees: float) -> str:
    text = f"{place}: {degrees:.1f} degrees"
    ctx.save("report.txt", text.encode())
    return text


@workflow
def report(place: str) -> str:
    return write(place, measure(place))
