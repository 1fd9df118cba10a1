"""`orpheus run --inline`: breakpoints work, and errors begin at the author's own line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FLOWS = """
from orpheus import Retry, task, workflow

@task
def stop(n: int) -> int:
    found = n + 1
    breakpoint()
    return found

@task(retry=Retry(max_retries=0))
def divide(n: int) -> int:
    return n // 0

@workflow
def stops(n: int) -> int:
    return stop(n)

@workflow
def fails(n: int) -> int:
    return divide(n)
"""


def inline(folder: Path, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    (folder / "flows.py").write_text(FLOWS)
    return subprocess.run(
        [sys.executable, "-m", "orpheus.cli", "run", "--inline", *args],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_breakpoint_has_the_terminal(tmp_path: Path) -> None:
    """The debugger reads our stdin, shows the task's variables and changes them; the job goes on."""
    done = inline(tmp_path, "flows.py:stops", "-p", "n=1", stdin="p found\nfound = 41\nc\n")
    assert done.returncode == 0, done.stderr
    assert "(Pdb) 2" in done.stdout and done.stdout.rstrip().endswith("41")


def test_leaving_the_debugger_ends_the_job(tmp_path: Path) -> None:
    """`quit` is no failure of the task: nothing is retried."""
    done = inline(tmp_path, "flows.py:stops", "-p", "n=1", stdin="q\n")
    assert done.returncode == 130
    assert done.stdout.count("-> return found") == 1


def test_a_failure_begins_at_the_authors_line(tmp_path: Path) -> None:
    done = inline(tmp_path, "flows.py:fails", "-p", "n=1")
    assert done.returncode == 1
    frames = [line for line in done.stderr.splitlines() if line.lstrip().startswith("File ")]
    assert len(frames) == 1 and "flows.py" in frames[0] and "in divide" in frames[0]
    assert "task 'divide': integer division or modulo by zero" in done.stderr


@pytest.mark.parametrize("name", ["Kit", "run_job", "JobFailed", "Stuck"])
def test_the_menu_is_there(name: str) -> None:
    import orpheus.testing

    assert getattr(orpheus.testing, name)
    assert name in orpheus.testing.__all__


QUESTIONS = """
from orpheus import approval, task, wait_for, workflow

@task
def join(plan: list[int], name: str) -> str:
    return f"{plan} {name}"

@workflow
def asks() -> str:
    plan = approval("Is it right?", [1, 2], editable=True, timeout_s=60, name="plan")
    return join(plan, wait_for("name", str, timeout_s=60))
"""


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--approve-all", "--signal", 'name="Ada"'], '"[1, 2] Ada"'),
        (["--approve", "plan=[3]", "--signal", 'name="Ada"'], '"[3] Ada"'),
        (["--approve", "Is it right?", "--signal", 'name="Ada"'], '"[1, 2] Ada"'),
    ],
)
def test_questions_are_answered_on_the_command_line(tmp_path: Path, flags: list[str], told: str) -> None:
    (tmp_path / "questions.py").write_text(QUESTIONS)
    done = inline(tmp_path, "questions.py:asks", *flags)
    assert (done.returncode, done.stdout.strip()) == (0, told), done.stderr


def test_a_question_nobody_answers(tmp_path: Path) -> None:
    """Without a terminal it is an error that says how to answer; a rejection fails the job."""
    (tmp_path / "questions.py").write_text(QUESTIONS)
    stuck = inline(tmp_path, "questions.py:asks")
    assert stuck.returncode == 1 and "answer approval 'Is it right?' (plan)" in stuck.stderr
    rejected = inline(tmp_path, "questions.py:asks", "--reject", "plan")
    assert rejected.returncode == 1 and "rejected" in rejected.stderr
    garbled = inline(tmp_path, "questions.py:asks", "--approve", "plan=[")
    assert garbled.returncode == 2 and "not JSON" in garbled.stderr
