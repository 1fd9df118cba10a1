"""Ctrl-C during `orpheus run` cancels the job whenever it comes, also before the first word about it is out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from orpheus.cli import run


class Submitted:
    def __init__(self) -> None:
        self.cancelled: list[str] = []

    def submit(self, _workflow: str, _params: dict[str, Any]) -> Any:
        return SimpleNamespace(job_id="j1")

    def cancel(self, job_id: str, *, reason: str) -> None:
        self.cancelled.append(job_id)

    def wait(self, job_id: str, *, timeout_s: float) -> None:
        assert job_id == "j1" and timeout_s > 0


def test_an_interrupt_before_the_first_word_cancels(monkeypatch: Any) -> None:
    client, said = Submitted(), []

    def note(text: str) -> None:
        said.append(text)
        if len(said) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(run, "note", note)
    backstage: Any = SimpleNamespace(client=client)
    with pytest.raises(KeyboardInterrupt):
        run._run(backstage, "slow", {}, quiet=False)
    assert client.cancelled == ["j1"]
    assert said[-1] == "j1 cancelled"
