"""What is typed: params, targets, files, folders. And how the command line answers when it is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orpheus.cli.errors import CommandError
from orpheus.cli.files import file_param_of, results_folder
from orpheus.cli.params import parse_labels, parse_params
from orpheus.cli.show import span
from orpheus.cli.targets import parse_target
from orpheus.core.errors import OrpheusError

FLOWS = """
from orpheus import task, workflow

@task
def shout(text: str, times: int = 1) -> str:
    return text.upper() * times

@workflow
def talk(text: str, times: int = 1) -> str:
    return shout(text, times)
"""


@pytest.fixture
def flows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "words_flows.py"
    file.write_text(FLOWS)
    return file


def orpheus(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orpheus.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "NO_COLOR": "1", **env},
    )


def test_params_are_json_files_or_text(tmp_path: Path) -> None:
    """JSON is parsed, @ names a file, := keeps text as it is, dots go inside."""
    file = tmp_path / "a.bin"
    file.write_bytes(b"x")
    given = ["n=3", "ok=true", "text=hello world", "list=[1,2]", f"source=@{file}", "id:=007", "o.a=1", "o.b=x=y", "e="]
    assert parse_params(given) == {
        "n": 3,
        "ok": True,
        "text": "hello world",
        "list": [1, 2],
        "source": file,
        "id": "007",
        "o": {"a": 1, "b": "x=y"},
        "e": "",
    }
    assert parse_labels(["team=x", "a=b=c"]) == {"team": "x", "a": "b=c"}


@pytest.mark.parametrize("given", [["novalue"], ["=x"], ["a=1", "a=2"], ["a=1", "a.b=2"], ["f=@/nowhere/at/all"]])
def test_params_that_make_no_sense_are_refused(given: list[str]) -> None:
    """Each names its culprit."""
    with pytest.raises(CommandError):
        parse_params(given)


def test_targets(flows: Path, tmp_path: Path) -> None:
    """A file, a workflow of one's own, a published name; own workflows bring their module along."""
    photo = tmp_path / "holiday.jpg"
    photo.write_bytes(b"x")
    assert parse_target(str(photo), None).workflow == "media"
    assert parse_target(str(photo), "thumbs").workflow == "thumbs"
    own = parse_target("words_flows.py:talk", None)
    assert (own.workflow, own.imports) == ("talk@1", ("words_flows.py",))
    assert parse_target("wordcount", None).workflow == "wordcount"
    with_file = parse_target(str(photo), "words_flows.py:talk")
    assert (with_file.workflow, with_file.file) == ("talk@1", photo)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("words_flows.py:tolk", "tolk"),
        ("words_flows.py:shout", "not a @workflow"),
        ("nowhere.py:talk", "nowhere.py"),
        ("no_such_module:talk", "no_such_module"),
        ("missing.mp4", "no file missing.mp4"),
        ("./missing", "no file"),
        (".", "folder"),
    ],
)
def test_targets_that_are_not_there(flows: Path, text: str, says: str) -> None:
    """The message names what was looked for."""
    with pytest.raises((CommandError, OrpheusError), match=says):
        parse_target(text, None)


def test_a_module_that_breaks_is_told_with_its_line(flows: Path, tmp_path: Path) -> None:
    """No traceback, but file, line and error."""
    (tmp_path / "broken_flows.py").write_text("import os\n\nos.nothing\n")
    with pytest.raises(CommandError, match=r"broken_flows\.py:3: AttributeError"):
        parse_target("broken_flows.py:talk", None)


def test_the_file_param_is_found_by_the_schema() -> None:
    """The one marked as a file; optional ones count when no required one does; several need a name."""
    mark: dict[str, Any] = {"x-orpheus": "file"}
    assert file_param_of({"properties": {"a": {"type": "string"}, "b": mark}}, "w") == "b"
    two = {"properties": {"a": mark, "b": {"anyOf": [mark, {"type": "null"}]}}}
    assert file_param_of({**two, "required": ["a"]}, "w") == "a"
    with pytest.raises(CommandError, match="several files: a, b"):
        file_param_of(two, "w")
    with pytest.raises(CommandError, match="takes no file"):
        file_param_of({"properties": {"text": {}}}, "w")
    referred = {"properties": {"a": {"$ref": "#/$defs/File"}}, "$defs": {"File": mark}}
    assert file_param_of(referred, "w") == "a"


def test_results_get_a_folder_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run does not mix with the first; a named folder is taken as it is, a file is refused."""
    monkeypatch.chdir(tmp_path)
    first = results_folder(None, "a.jpg")
    first.mkdir(parents=True)
    assert results_folder(None, "a.jpg") == Path("orpheus-out/a.jpg-2")
    assert results_folder(tmp_path, "a.jpg") == tmp_path
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError):
        results_folder(tmp_path / "file", "x")


def test_spans_read_well() -> None:
    """Short ones exactly, long ones roughly."""
    assert [span(one) for one in (0.4123, 42.3, 185, 7800)] == ["0.41 s", "42 s", "3 min 5 s", "2 h 10 min"]


def test_inline_runs_here(flows: Path) -> None:
    """`run --inline` needs no server; its JSON is all there is on stdout; wrong params exit with 2."""
    done = orpheus("run", "--inline", "words_flows.py:talk", "-p", "text=hi", "-p", "times=2", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"] == "HIHI"
    wrong = orpheus("run", "--inline", "words_flows.py:talk", "-p", "txt=hi", "--json")
    assert wrong.returncode == 2
    assert json.loads(wrong.stdout)["error"]["code"] == "invalid_params"
    assert "Traceback" not in wrong.stderr


def test_no_server_exits_with_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cannot connect: status 3, an error in JSON, a hint for people."""
    monkeypatch.chdir(tmp_path)
    done = orpheus("jobs", "list", "--json", "--server", "http://127.0.0.1:9")
    assert done.returncode == 3
    error = json.loads(done.stdout)["error"]
    assert (error["code"], error["retryable"]) == ("connection_lost", True)
    assert "orpheus up" in done.stderr
    assert "Traceback" not in done.stderr


def test_usage_errors_exit_with_2() -> None:
    """Unknown commands, unknown flags, unusable settings."""
    assert orpheus("versoin").returncode == 2
    assert orpheus("jobs", "list", "--nonsense").returncode == 2
    bad = orpheus("config", "show", ORPHEUS_PROT="1")
    assert bad.returncode == 2
    assert "ORPHEUS_PORT" in bad.stderr


def test_config_show_tells_origins() -> None:
    """Every setting with value and origin, also as JSON."""
    done = orpheus("config", "show", "--json", ORPHEUS_PORT="1234", ORPHEUS_API_KEY="s3cret")
    found = json.loads(done.stdout)["settings"]
    assert found["port"]["value"] == 1234
    assert found["port"]["origin"] == "ORPHEUS_PORT"
    assert "s3cret" not in done.stdout


def test_help_is_there_for_every_command() -> None:
    """Each command loads and explains itself."""
    for command in ("up", "run", "submit", "jobs", "workflows", "worker", "doctor", "config", "version"):
        done = orpheus(command, "--help")
        assert done.returncode == 0, done.stderr
        assert "Usage" in done.stdout


def test_the_root_help_loads_nothing_heavy() -> None:
    """`orpheus --help` stays quick: no server, client or codec is imported for it."""
    code = (
        "import sys; from orpheus.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('aiohttp', 'urllib3', 'msgspec', 'fastapi', 'uvicorn', 'asyncio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"
