"""What comes with Orpheus yields to what users define: a release must not break whoever has a workflow called `talk`."""

from pathlib import Path

import pytest

from orpheus.authoring.registry import load

FLOWS = """
from orpheus import task, workflow

@task
def transcribe(text: str) -> str:
    return text

@workflow
def talk(text: str) -> str:
    return transcribe(text)
"""


def test_the_users_own_come_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also what uses a shipped task of the same name is left out: it would be given another one."""
    path = tmp_path / "flows.py"
    path.write_text(FLOWS)
    registry = load(["orpheus.media", str(path)])
    talk = registry.workflow("talk")
    assert talk is not None and [node["task"] for node in talk.json["nodes"]] == ["transcribe"]
    assert registry.workflow("media") is None
    assert registry.workflow("pdf") is not None
    assert "media" in caplog.text and "defined twice" in caplog.text
