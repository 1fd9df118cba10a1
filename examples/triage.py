"""Branches, a join, and a task that may fail: long texts are shortened, short ones pass, and a doubtful service is asked.

orpheus run examples/triage.py:triage -p text="First point. Second point. Third point. Fourth point." -p limit=5
"""

from dataclasses import dataclass

from orpheus import Permanent, Retry, first_of, not_, optional, task, workflow


@dataclass
class Measured:
    words: int
    is_long: bool


@dataclass
class Report:
    text: str
    words: int
    mood: str | None


@task
def measure(text: str, limit: int) -> Measured:
    if not text.strip():
        raise Permanent("the text is empty", hint="Send at least one word.")
    words = len(text.split())
    return Measured(words=words, is_long=words > limit)


@task
def shorten(text: str, limit: int) -> str:
    """Keep whole sentences until the limit is reached; always the first."""
    kept: list[str] = []
    for sentence in text.replace("\n", " ").split(". "):
        if kept and sum(len(one.split()) for one in kept) + len(sentence.split()) > limit:
            break
        kept.append(sentence.rstrip("."))
    return ". ".join(kept) + "."


@task
def keep(text: str) -> str:
    return text


@task(retry=Retry(max_retries=2, initial_s=0.2), on_failure="skip")
def guess_mood(text: str) -> str:
    """Stands for a service that may be down: its failure is no reason to lose the rest."""
    if "?" in text:
        raise ConnectionError("the mood service does not take questions")
    return "lively" if "!" in text else "calm"


@task
def report(text: str, measured: Measured, mood: str | None) -> Report:
    return Report(text=text, words=measured.words, mood=mood)


@workflow
def triage(text: str, limit: int = 100) -> Report:
    measured = measure(text, limit)
    short = shorten.using(when=measured.is_long)(text, limit)
    whole = keep.using(when=not_(measured.is_long))(text)
    mood = guess_mood(text)
    return report(first_of(short, whole), measured, optional(mood))
