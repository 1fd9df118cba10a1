"""The examples of the design, section 4, as a user would write them. Accepted by mypy and pyright in strict mode."""

from __future__ import annotations

from dataclasses import dataclass

from orpheus import (
    Context,
    File,
    Resource,
    Retry,
    all_of,
    approval,
    child,
    first_of,
    task,
    workflow,
)


@dataclass
class Transcript:
    text: str


@dataclass
class Segment:
    start_s: float
    end_s: float


@dataclass
class Plan:
    segments: list[Segment]


@dataclass
class Meta:
    kind: str
    has_audio: bool


@dataclass
class Summary:
    text: str


@dataclass
class Scene:
    id: str
    prompt: str = ""


class Whisper:
    def read(self, path: str) -> str:
        return path


def load_whisper() -> Whisper:
    return Whisper()


@task(
    queue="gpu",
    resources={"gpu": 1},
    version=2,
    retry=Retry(max_retries=3, initial_s=1, factor=2, max_s=60, jitter=0.2),
    start_to_close_s=600,
)
async def transcribe(
    ctx: Context, audio: File, language: str = "en", *, model: Whisper = Resource(load_whisper)
) -> Transcript:
    ctx.progress(0.5, "reading")
    return Transcript(model.read(str(ctx.path(audio))) + language)


@task
def wordcount(text: str) -> int:
    return len(text.split())


@task
def inspect_file(source: File) -> Meta:
    return Meta(kind=source.content_type, has_audio=True)


@task
def label(source: File) -> list[str]:
    return [source.name]


@task
def summarise(found: list[str] | Transcript) -> Summary:
    return Summary(str(found))


@task
def render(ctx: Context, scene: Scene, style: str) -> File:
    return ctx.save(f"scenes/{scene.id}.txt", style.encode())


@task
def stitch(ctx: Context, parts: list[File]) -> File:
    return ctx.save("whole.txt", b"".join(ctx.path(part).read_bytes() for part in parts))


@task
def plan_cuts(words: Transcript) -> Plan:
    return Plan([Segment(0.0, float(len(words.text)))])


@task
def cut(ctx: Context, source: File, plan: Plan) -> File:
    return ctx.save("cut.txt", str(plan.segments[0].end_s).encode())


@task
def publish(page: File) -> str:
    return page.name


@task
def unpublish(page: str) -> None:
    del page


@task
def notify(page: str) -> None:
    del page


@workflow
def count(text: str) -> int:
    return wordcount(text)


@workflow(version=3)
def media(source: File) -> Summary:
    meta = inspect_file(source)
    labels = label.using(when=meta.kind == "image")(source)
    words = transcribe.using(when=all_of(meta.kind == "video", meta.has_audio))(source)
    return summarise(first_of(labels, words))


@workflow
def board(scenes: list[Scene], style: str = "calm") -> File:
    return stitch(render.using(max_concurrency=4, stagger_s=1.0).map(scenes, style=style))


@workflow
def talk(source: File) -> File:
    plan = approval("Review the cuts", plan_cuts(transcribe(source)), editable=True, timeout_s=86_400)
    return cut(source, plan)


@workflow
def release(source: File) -> None:
    page = publish.using(undo=unpublish)(child(talk, source))
    notify(page)
