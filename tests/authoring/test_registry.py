"""Loading modules: what is collected, what is refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orpheus import DefinitionError
from orpheus.authoring import Registry, load
from orpheus.core.errors import DefinitionConflict

TASKS = """
from orpheus import task

@task
def hidden(n: int) -> int:
    return n

@task(version=2)
def shown(n: int) -> int:
    return n

@task
def take_back(n: int) -> None: ...
"""
FLOWS = """
from orpheus import workflow, child
import flow_tasks_xyz as tasks
from flow_tasks_xyz import shown

@workflow
def inner(n: int) -> int:
    return tasks.hidden.using(undo=tasks.take_back)(n)

@workflow(name="outer", version=4)
def flow(n: int) -> int:
    return shown(child(inner, n))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "flow_tasks_xyz.py").write_text(TASKS)
    (tmp_path / "flows_xyz.py").write_text(FLOWS)
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def shown(registry: Registry) -> tuple[list[str], list[str]]:
    workflows = [f"{definition.name}@{definition.version}" for definition in registry.workflows.values()]
    return sorted(registry.handlers), sorted(workflows)


def test_a_file_and_what_it_uses(folder: Path) -> None:
    """Tasks that a workflow reaches through another module are collected too, and so is what undoes them."""
    registry = load([str(folder / "flows_xyz.py")])
    assert shown(registry) == (["hidden@1", "shown@2", "take_back@1"], ["inner@1", "outer@4"])
    assert registry.workflow("outer") is registry.workflow("outer", 4)
    assert registry.workflow("outer", 5) is None
    task = registry.task("shown", 2)
    assert task is not None and task.module == "flow_tasks_xyz"


def test_a_module_and_one_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`module`, `module:name` and `file.py:name` work; the name is the function's or the workflow's."""
    monkeypatch.chdir(folder)
    assert shown(load(["flow_tasks_xyz"]))[0] == ["hidden@1", "shown@2", "take_back@1"]
    assert shown(load(["flows_xyz.py:inner"])) == (["hidden@1", "take_back@1"], ["inner@1"])
    assert shown(load(["flows_xyz:outer"]))[1] == ["inner@1", "outer@4"]
    assert shown(load(["flows_xyz.py", "flows_xyz", "flow_tasks_xyz"]))[1] == ["inner@1", "outer@4"]


def test_in_a_package(folder: Path) -> None:
    """A file in a package is imported as a part of it, so its relative imports work."""
    package = folder / "pack_xyz"
    package.mkdir()
    (package / "__init__.py").write_text("from pack_xyz import flows\n")
    (package / "work.py").write_text(TASKS)
    (package / "flows.py").write_text(
        "from .work import shown\nfrom orpheus import workflow\n\n@workflow\ndef f(n: int) -> int:\n    return shown(n)\n"
    )
    assert shown(load([str(package / "flows.py")])) == (["shown@2"], ["f@1"])
    # A package brings what its imported submodules define.
    assert shown(load(["pack_xyz"])) == (["hidden@1", "shown@2", "take_back@1"], ["f@1"])


def test_a_name_that_is_taken(folder: Path) -> None:
    """A file named like a module that exists is loaded under another name."""
    (folder / "json.py").write_text(TASKS)
    assert "shown@2" in load([str(folder / "json.py")]).handlers
    assert json.loads("1") == 1


def test_faults(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not there is named; a module's own error comes through."""
    monkeypatch.chdir(folder)
    for spec, message in [
        ("nowhere_xyz", "no module 'nowhere_xyz'"),
        ("nowhere_xyz.deep", "no module"),
        ("nowhere.py", "no file"),
        ("flows_xyz:innr", "no task or workflow 'innr'"),
    ]:
        with pytest.raises(DefinitionError, match=message):
            load([spec])
    (folder / "empty_xyz.py").write_text("x = 1\n")
    with pytest.raises(DefinitionError, match="defines no task"):
        load(["empty_xyz"])
    (folder / "broken_xyz.py").write_text("import surely_not_there\n")
    with pytest.raises(ModuleNotFoundError, match="surely_not_there"):
        load(["broken_xyz"])


def test_defined_twice(folder: Path) -> None:
    """One name and version for two contents is refused (R24)."""
    (folder / "twice_xyz.py").write_text(TASKS + "\n@task(name='hidden')\ndef other(n: str) -> int:\n    return 1\n")
    with pytest.raises(DefinitionConflict, match="hidden@1 is defined twice"):
        load([str(folder / "twice_xyz.py")])
