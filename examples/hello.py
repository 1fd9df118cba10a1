"""The smallest workflow: one task. Try it:

orpheus run examples/hello.py:hello -p name=you
"""

from orpheus import task, workflow


@task
def greet(name: str) -> str:
    return f"Hello, {name}!"


@workflow
def hello(name: str = "world") -> str:
    return greet(name)
