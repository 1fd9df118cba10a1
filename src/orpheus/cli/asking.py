"""Ask the person at the terminal what a job that runs inline asks: on stderr, so that stdout stays the result's."""

from __future__ import annotations

from typing import Any

import msgspec
import typer

from orpheus.testing.answers import NO_ANSWER
from orpheus.testing.kit.questions import Question


def ask_person(question: Question) -> Any:
    """Return True, False or a value as `run_job` takes them; `NO_ANSWER` when the person gives none."""
    typer.echo(f"\n{question}", err=True)
    if question.kind in ("approval", "job"):
        return _approval(question)
    return _json("its payload in JSON (empty: none)" if question.kind == "event" else "its result in JSON", None)


def _approval(question: Question) -> Any:
    if question.kind == "approval":
        typer.echo(msgspec.json.format(msgspec.json.encode(question.value), indent=2).decode(), err=True)
    choices = "approve, reject, edit or leave" if question.editable else "approve, reject or leave"
    while True:
        answer = typer.prompt(choices, err=True).strip().lower()
        if answer and "approve".startswith(answer):
            return True
        if answer and "reject".startswith(answer):
            return False
        if answer and question.editable and "edit".startswith(answer):
            return _json("the value in JSON", question.value)
        if answer and "leave".startswith(answer):
            return NO_ANSWER


def _json(what: str, empty: Any) -> Any:
    while True:
        text = typer.prompt(what, default="", show_default=False, err=True)
        if not text.strip():
            return empty
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            typer.echo(f"this is not JSON: {error}", err=True)
