"""What does this worker offer? Tasks and workflows, collected from the modules it is told to load."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from orpheus.authoring.definition import TaskDefinition, WorkflowDefinition
from orpheus.authoring.errors import DefinitionError
from orpheus.authoring.task import Task
from orpheus.authoring.workflow import Workflow
from orpheus.core.errors import DefinitionConflict
from orpheus.core.suggest import did_you_mean

logger = logging.getLogger("orpheus.worker")

__all__ = ["Registry", "TaskDefinition", "WorkflowDefinition", "collect", "load", "load_module"]


@dataclass(slots=True)
class Registry:
    """Definitions by (name, version)."""

    tasks: dict[tuple[str, int], TaskDefinition] = field(default_factory=dict)
    workflows: dict[tuple[str, int], WorkflowDefinition] = field(default_factory=dict)

    def add(self, found: Any) -> None:
        """Add a task or workflow, and everything that its graph runs.

        Raises:
            DefinitionConflict: its name and version stand for another content (R24).
            InvalidGraph: a workflow cannot be traced.
        """
        todo = [found]
        while todo:
            one = todo.pop()
            if isinstance(one, Task):
                one = one.definition
            if isinstance(one, TaskDefinition):
                _put(self.tasks, one, "task")
                if one.options.get("undo") is not None:
                    undo = one.options["undo"].definition
                    if (undo.name, undo.version) not in self.tasks:
                        todo.append(undo)
            elif isinstance(one, Workflow):
                definition = one.definition
                if _put(self.workflows, definition, "workflow"):
                    todo.extend(reversed(definition.uses))

    def add_if_free(self, found: Any) -> None:
        """Add a definition and what it uses, or none of it where its name is taken already; then say so.

        A workflow yields to any version of another of its name: by name alone the newest version is meant, and that would be
        the one nobody asked for.
        """
        tasks, workflows = dict(self.tasks), dict(self.workflows)
        try:
            if isinstance(found, Workflow):
                for (name, _), known in self.workflows.items():
                    if name == found.name and known is not found.definition:
                        raise DefinitionConflict(f"workflow {name!r} is defined at {known.source}")
            self.add(found)
        except DefinitionConflict as taken:
            self.tasks, self.workflows = tasks, workflows
            logger.warning("%r, which comes with Orpheus, is not offered: %s", found, taken.message)

    def task(self, name: str, version: int) -> TaskDefinition | None:
        """Return a task, or None."""
        return self.tasks.get((name, version))

    def workflow(self, name: str, version: int | None = None) -> WorkflowDefinition | None:
        """Return a workflow, its newest version when none is named."""
        versions = [known for known in self.workflows if known[0] == name and version in (None, known[1])]
        return self.workflows[max(versions)] if versions else None

    @property
    def handlers(self) -> tuple[str, ...]:
        """`name@version` of every task."""
        return tuple(definition.handler for definition in self.tasks.values())

    def __iter__(self) -> Iterator[TaskDefinition | WorkflowDefinition]:
        yield from self.tasks.values()
        yield from self.workflows.values()


def _put(table: dict[tuple[str, int], Any], found: Any, what: str) -> bool:
    """Put a definition in its table; tell whether it is new."""
    key = (found.name, found.version)
    known = table.get(key)
    if known is None:
        table[key] = found
        return True
    if known is found:
        return False
    same_place = known.source == found.source and getattr(known, "qualname", None) == getattr(found, "qualname", None)
    if known.content != found.content or (isinstance(found, TaskDefinition) and not same_place):
        raise DefinitionConflict(
            f"{what} {found.name}@{found.version} is defined twice: at {known.source} and at {found.source}",
            hint="Rename one of them, or give it another version.",
        )
    return False


def load(modules: Iterable[str]) -> Registry:
    """Import modules and collect what they define, and what they import from others.

    Args:
        modules: `package.module`, `path/file.py`, or either with `:name` for one definition (and what it runs).

    Raises:
        DefinitionError: a module or name is not there, or nothing is defined in it.
        DefinitionConflict: a name and version are defined twice with another content (R24).
        InvalidGraph: a workflow cannot be traced.
        Exception: whatever a module raises while it is imported.
    """
    registry = Registry()
    # What comes with Orpheus yields to what users define: the next release may bring a workflow called like one of theirs.
    ordered = sorted(modules, key=lambda spec: spec.startswith("orpheus."))
    for spec in ordered:
        before = len(registry.tasks) + len(registry.workflows)
        where, name = _split(spec)
        module = load_module(where)
        if name:
            registry.add(_named(module, name, where))
            continue
        count = 0
        for found in collect(module):
            if spec.startswith("orpheus."):
                registry.add_if_free(found)
            else:
                registry.add(found)
            count += 1
        if not count and len(registry.tasks) + len(registry.workflows) == before:
            raise DefinitionError(
                f"{where} defines no task and no workflow", hint="Write @task or @workflow above a function."
            )
    return registry


def _split(spec: str) -> tuple[str, str]:
    head, colon, tail = spec.rpartition(":")
    if colon and tail.isidentifier() and not (len(head) == 1 and head.isalpha()):  # C:\flows.py has a colon too
        return head, tail
    return spec, ""


def load_module(where: str) -> ModuleType:
    """Import `package.module` or `path/file.py`.

    A file in a package (next to an `__init__.py`) is imported as a part of it; any other under its own name, with its
    folder on `sys.path`, so that it finds its neighbours.

    Raises:
        DefinitionError: it is not there.
    """
    if where.endswith(".py") or "/" in where or "\\" in where:
        return _load_file(Path(where))
    try:
        if "" not in sys.path and str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        return importlib.import_module(where)
    except ModuleNotFoundError as error:
        if error.name and (where == error.name or where.startswith(f"{error.name}.")):
            raise DefinitionError(
                f"there is no module {where!r}", hint="Write package.module, or the path of a file: flows.py."
            ) from None
        raise


def _load_file(path: Path) -> ModuleType:
    resolved = path.resolve()
    if not resolved.is_file():
        raise DefinitionError(
            f"there is no file {str(path)!r}", hint="Write a path relative to where you are, or package.module."
        )
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) == str(resolved) and module.__name__ != "__main__":
            return module
    root = resolved.parent
    parts = [resolved.stem]
    while (root / "__init__.py").is_file():
        parts.insert(0, root.name)
        root = root.parent
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    taken = sys.modules.get(name)
    if taken is None and all(part.isidentifier() for part in parts):
        found = importlib.util.find_spec(name)
        if found is not None and found.origin is not None and Path(found.origin).resolve() == resolved:
            return importlib.import_module(name)
    return _load_apart(resolved, name)


def _load_apart(path: Path, name: str) -> ModuleType:
    """Import a file whose natural name is taken by another module."""
    chosen = f"_orpheus_{abs(hash(str(path))):x}_{name.replace('.', '_')}"
    spec = importlib.util.spec_from_file_location(chosen, path)
    if spec is None or spec.loader is None:
        raise DefinitionError(f"{str(path)!r} is not a Python file", hint="Its name should end in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[chosen] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[chosen]
        raise
    return module


def _named(module: ModuleType, name: str, where: str) -> Any:
    found = getattr(module, name, None)
    if isinstance(found, Task | Workflow):
        return found
    for one in collect(module):
        if isinstance(one, Workflow) and one.name == name:
            return one
    known = [known for known, value in vars(module).items() if isinstance(value, Task | Workflow)]
    raise DefinitionError(f"{where} has no task or workflow {name!r}", hint=did_you_mean(name, known))


def collect(module: ModuleType) -> Iterator[Any]:
    """Yield the tasks and workflows among a module's names, and those of the submodules its package has imported."""
    seen = {id(module)}
    todo = [module]
    while todo:
        current = todo.pop(0)
        for value in list(vars(current).values()):
            if isinstance(value, Task | Workflow):
                yield value
            elif isinstance(value, ModuleType) and id(value) not in seen:
                seen.add(id(value))
                if value.__name__.startswith(f"{module.__name__}."):
                    todo.append(value)
