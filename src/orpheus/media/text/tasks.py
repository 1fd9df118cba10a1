"""The tasks that sum up: a document's sentences that matter, a talk's, and its chapters. They leave `summary.json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from orpheus import Context, File, Resource, task
from orpheus.media import made_with
from orpheus.media.documents.tasks import Text
from orpheus.media.providers import configured, openai
from orpheus.media.running import PATIENT, verdicts
from orpheus.media.speech.tasks import Transcribed, read_transcript
from orpheus.media.speech.transcript import Transcript, ends_sentence
from orpheus.media.text.chapters import Chapter, Timed, chapters
from orpheus.media.text.embedder import Embedder
from orpheus.media.text.extract import Extract, extract
from orpheus.media.text.sentences import sentences


@dataclass(frozen=True, slots=True)
class Digest:
    """What a text or a talk comes to."""

    file: File
    summary: str
    method: str
    chapters: list[Chapter] = field(default_factory=list)


class Encoder:
    """The embedder of a process, loaded by the first attempt that needs it."""

    def __init__(self) -> None:
        self._embedder: Embedder | None = None

    def embed(self, texts: Sequence[str]) -> Any:
        """Return one row per text (`Embedder.embed`)."""
        if self._embedder is None:
            self._embedder = Embedder()
        return self._embedder.embed(texts)


def load_encoder() -> Encoder:
    return Encoder()


@task(
    name="orpheus.summarise_document",
    executor="process",
    retry=PATIENT,
    start_to_close_s=600,
    weight=2,
    cache=True,
    made_with=made_with.summing_up,
)
def summarise_document(
    ctx: Context, text: Text, count: int = 3, *, embedder: Encoder = Resource(load_encoder, scope="process")
) -> Digest:
    """Choose the sentences of a document that say the most."""
    found = sentences(ctx.path(text.document).read_text(encoding="utf-8"))
    ctx.progress(0.1, f"{len(found)} sentences")
    with verdicts(""):
        return _saved(ctx, summed_up(found, embedder, count=count, spend=ctx.spend), [])


@task(
    name="orpheus.summarise_speech",
    executor="process",
    retry=PATIENT,
    start_to_close_s=600,
    weight=2,
    cache=True,
    made_with=made_with.summing_up,
)
def summarise_speech(
    ctx: Context, words: Transcribed, count: int = 3, *, embedder: Encoder = Resource(load_encoder, scope="process")
) -> Digest:
    """Choose the sentences of a recording that say the most, and mark its chapters."""
    said = read_transcript(ctx, words.transcript)
    spoken = timed_sentences(said)
    texts = [one.text for one in spoken]
    with verdicts(""):
        made = summed_up(texts, embedder, count=count, spend=ctx.spend)
        ctx.progress(0.6, "chapters")
        return _saved(ctx, made, chapters(spoken, embedder.embed(texts), duration_s=said.duration_s))


def summed_up(found: list[str], embedder: Encoder, *, count: int, spend: openai.Spend) -> Extract:
    """Sum up by the chat service where one is configured, else by choosing sentences."""
    service = configured.chat()
    if service is None or not found:
        return extract(found, embedder.embed, count=count)
    told = openai.chat(service, f"{_ASKED.format(count=count)}\n\n{_shortened(found)}", spend=spend)
    return Extract(told, sentences(told), f"chat/{service.model}")


_ASKED = "Sum up the following in at most {count} sentences, in its own language. Say only what it says. Answer with the summary alone."
_SENT_CHARACTERS = 40_000


def _shortened(found: list[str]) -> str:
    """Return the text, thinned evenly to what a model reads."""
    step = max(1, -(-sum(len(one) + 1 for one in found) // _SENT_CHARACTERS))
    return "\n".join(found[::step])[:_SENT_CHARACTERS]


def timed_sentences(said: Transcript) -> list[Timed]:
    """Return a transcript's sentences with the time at which each begins."""
    spoken: list[Timed] = []
    taken: list[str] = []
    start_s = 0.0
    for word in (word for segment in said.segments for word in segment.words):
        if not taken:
            start_s = word.start_s
        taken.append(word.word)
        if ends_sentence(word):
            spoken.append(Timed(start_s, " ".join(taken)))
            taken = []
    if taken:
        spoken.append(Timed(start_s, " ".join(taken)))
    return spoken


def _saved(ctx: Context, made: Extract, marks: list[Chapter]) -> Digest:
    value = asdict(made) | ({"chapters": [asdict(mark) for mark in marks]} if marks else {})
    return Digest(ctx.save_json("summary.json", value), made.summary, made.method, marks)
