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
    """A workflow of theirs called like a shipped one is theirs; the rest of what is shipped stays."""
    path = tmp_path / "flows.py"
    path.write_text(FLOWS)
    registry = load(["orpheus.media", str(path)])
    talk = registry.workflow("talk")
    assert talk is not None and [node["task"] for node in talk.json["nodes"]] == ["transcribe"]
    assert registry.workflow("talk", 2) is None
    assert registry.workflow("media") is not None and registry.workflow("pdf") is not None
    assert "talk" in caplog.text and "is defined at" in caplog.text


def test_a_users_task_of_a_shipped_ones_name_is_another_task(tmp_path: Path) -> None:
    """Their `transcribe` and ours live side by side; nodes are called without our prefix."""
    path = tmp_path / "flows.py"
    path.write_text(FLOWS.replace("def talk", "def mine"))
    registry = load(["orpheus.media", str(path)])
    media = registry.workflow("media")
    assert media is not None and registry.workflow("talk") is not None and registry.workflow("mine") is not None
    nodes = {node["name"]: node["task"] for node in media.json["nodes"]}
    assert nodes["transcribe"] == "orpheus.transcribe" and nodes["validate_file"] == "orpheus.validate_file"
    assert {"transcribe", "orpheus.transcribe"} <= {name for name, _ in registry.tasks}
