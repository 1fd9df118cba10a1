"""Workflows as a user would have them, for the tests of the kit."""

from __future__ import annotations

from dataclasses import dataclass

from orpheus import Context, File, Permanent, Resource, Retry, sleep, task, workflow


@dataclass
class Transcript:
    text: str
    seconds: float


class Model:
    def hear(self, content: bytes) -> str:
        raise RuntimeError("no model on this machine")


def load_model() -> Model:
    raise RuntimeError("no model on this machine")


STEADY = Retry(max_retries=3, initial_s=100, factor=2, jitter=0)


@task(retry=STEADY, start_to_close_s=600)
def transcribe(ctx: Context, audio: File, *, model: Model = Resource(load_model)) -> Transcript:
    with ctx.open(audio) as stream:
        return Transcript(model.hear(stream.read()), 1.0)


@task(retry=STEADY)
async def cut(ctx: Context, source: File, plan: Transcript) -> File:
    ctx.log.info("cutting %s", source.name)
    ctx.progress(0.5, "cutting")
    return ctx.save("renders/cut.txt", plan.text.encode())


@task(retry=STEADY, heartbeat_s=60)
def render(ctx: Context, n: int) -> int:
    done = (ctx.last_heartbeat or {}).get("frames", 0)
    ctx.heartbeat({"frames": done + 10})
    return done


@task(queue="gpu", resources={"gpu": 1}, retry=STEADY)
def on_gpu(ctx: Context, n: int) -> list[int]:
    return list(ctx.devices)


@task
def refuse(n: int) -> int:
    raise Permanent("nothing to see", hint="Send a picture.")


@task
def add(numbers: list[int]) -> int:
    return sum(numbers)


@workflow
def talk(source: File) -> File:
    return cut(source, transcribe(source))


@workflow
def patient(n: int) -> int:
    night = sleep(86_400, name="night")
    return add.using(after=night)(render.map([n, n]))


@workflow
def rendering(n: int) -> int:
    return render(n)


@workflow
def gpus(numbers: list[int]) -> list[list[int]]:
    return on_gpu.map(numbers)


@workflow
def refused(n: int) -> int:
    return refuse(n)
