"""Who answers when a job that runs inline asks somebody outside? What was given beforehand, or a person at the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from orpheus.testing.kit.jobs import KitJob
from orpheus.testing.kit.kit import Kit
from orpheus.testing.kit.questions import Question

Ask = Callable[[Question], Any]
"""Given a question, returns its answer, or `NO_ANSWER`."""
NO_ANSWER: Any = object()

_HOW = {"approval": "approvals", "job": "approvals", "event": "signals", "callback": "callbacks"}


class Answers:
    """Answers by kind and name.

    Args:
        approvals: True, False or an edited value, by prompt or node; "auto" approves everything.
        signals: payloads by name.
        callbacks: results by node.
        ask: for the rest.
    """

    def __init__(
        self,
        approvals: Mapping[str, Any] | Literal["auto"] | None,
        signals: Mapping[str, Any] | None,
        callbacks: Mapping[str, Any] | None,
        ask: Ask | None,
    ) -> None:
        self._auto = approvals == "auto"
        given = {} if approvals is None or isinstance(approvals, str) else approvals
        self._given: dict[str, Mapping[str, Any]] = {
            "approvals": given,
            "signals": signals or {},
            "callbacks": callbacks or {},
        }
        self._ask = ask

    def give_one(self, kit: Kit) -> bool:
        """Answer one question of any job there is; False when nobody has an answer."""
        for job, question in _questions(kit):
            answer = self._find(question)
            if answer is not NO_ANSWER:
                _give(job, question, answer)
                return True
        return False

    def missing(self, kit: Kit) -> str:
        """Say how the questions that are left could be answered."""
        lines = []
        for _job, question in _questions(kit):
            name = question.text if question.kind != "callback" else question.task
            lines.append(f"  answer {question} with {_HOW[question.kind]}={{{name!r}: …}}")
        return "\n".join(lines)

    def _find(self, question: Question) -> Any:
        given = self._given[_HOW[question.kind]]
        for name in (question.text, question.task):
            if name in given:
                return given[name]
        if self._auto and question.kind in ("approval", "job"):
            return True
        return NO_ANSWER if self._ask is None else self._ask(question)


def _questions(kit: Kit) -> list[tuple[KitJob[Any], Question]]:
    return [(job, question) for job in kit.jobs if not job.ended for question in job.questions]


def _give(job: KitJob[Any], question: Question, answer: Any) -> None:
    if question.kind == "event":
        job.signal(question.text, answer)
    elif question.kind == "callback":
        job.call_back(question.task, index=question.index, result=answer)
    else:
        name = question.task or None
        if answer is False:
            job.reject(name, reason="rejected inline")
        elif answer is True:
            job.approve(name)
        else:
            job.approve(name, value=answer)
