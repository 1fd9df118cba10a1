"""Compensation: what was published is taken back when the job fails afterwards.

orpheus run examples/undo.py:release -p name=trailer -p audience=everybody
orpheus run examples/undo.py:release -p name=trailer -p audience=nobody      # fails, and is undone
"""

from orpheus import Context, Permanent, task, workflow


@task
def withdraw(ctx: Context, page: str) -> None:
    """Get what `publish` returned, and take it back."""
    ctx.log.info("withdrawing %s", page)


@task(undo=withdraw)
def publish(ctx: Context, name: str) -> str:
    ctx.log.info("publishing %s", name)
    return f"https://example.org/{name}"


@task
def announce(page: str, audience: str) -> str:
    if audience == "nobody":
        raise Permanent("there is nobody to tell")
    return f"{page} told to {audience}"


@workflow
def release(name: str, audience: str) -> str:
    return announce(publish(name), audience)
