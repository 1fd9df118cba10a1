"""A handler's unit test needs nothing but a LocalContext."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from orpheus import Cancelled, Context, DefinitionError, File, LocalContext, ProcessFailed, task, workflow


def test_saves_and_reads(tmp_path: Path) -> None:
    """What is saved can be opened; its fingerprint is right."""
    context = LocalContext(folder=tmp_path)
    file = context.save("a/b.txt", b"abc", metadata={"x": 1})
    assert (file.name, file.size_bytes, file.content_type) == ("a/b.txt", 3, "text/plain")
    assert file.sha256 == File.from_path(context.path(file)).sha256
    assert context.open(file).read() == b"abc"
    assert context.saved == {"a/b.txt": file}
    assert context.metadata["a/b.txt"] == {"x": 1}
    assert pickle.loads(pickle.dumps(file)) == file
    with pytest.raises(AttributeError):
        file.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../../x", "a\\b", "a\0b"])
def test_names_stay_inside(tmp_path: Path, name: str) -> None:
    """A name that leaves the job's folder is refused."""
    with pytest.raises(ValueError, match="not the name"):
        LocalContext(folder=tmp_path).save(name, b"")


def test_cancel() -> None:
    """After a cancel the next call raises, past `except Exception`."""
    context = LocalContext()
    context.progress(0.5, "half")
    context.heartbeat({"at": 3})
    assert context.told == [(0.5, "half")] and context.heartbeats == [{"at": 3}]
    context.cancel()
    assert context.is_cancelled
    with pytest.raises(Cancelled):
        context.progress(0.6)
    assert not issubclass(Cancelled, Exception)


def test_processes() -> None:
    """Lines come, failures and time limits raise with what was written."""
    context = LocalContext()
    lines: list[str] = []
    assert context.run_process(["sh", "-c", "echo a; echo b"], on_line=lines.append).returncode == 0
    assert lines == ["a", "b"]
    with pytest.raises(ProcessFailed, match="status 3: oh") as caught:
        context.run_process(["sh", "-c", "echo oh >&2; exit 3"])
    assert caught.value.result.returncode == 3
    assert pickle.loads(pickle.dumps(caught.value)).result == caught.value.result
    with pytest.raises(ProcessFailed, match="time limit"):
        context.run_process(["sleep", "20"], timeout_s=0.1)
    assert context.run_process(["sh", "-c", "exit 3"], check=False).returncode == 3


def test_a_task_called_plainly() -> None:
    """Outside a workflow a task is its function; `fn` is the function itself, untouched."""

    @task
    def greet(ctx: Context, name: str = "you") -> str:
        """Greet."""
        return f"{ctx.task} {name}"

    assert greet("me") == "greet me"
    assert greet.fn(LocalContext(task="other"), "me") == "other me"
    assert greet.definition.description == "Greet."
    assert greet.definition.executor == "thread"
    with pytest.raises(DefinitionError, match="stands on"):
        task(len)
    with pytest.raises(DefinitionError, match="stands on"):
        workflow(len)
