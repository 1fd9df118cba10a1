"""Which definitions do child jobs run, and how are children written? Carries out `StartChild` and `TellParent`.

A job keeps, from its submission on, the definition of every workflow that its children and theirs run (R11, R24): a version
deployed meanwhile changes nothing. Workflows that would run themselves through each other are refused, so that the tree of a
job's children is as deep as its definitions say and no deeper.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from orpheus.core.children import definition_key
from orpheus.core.decider import submit
from orpheus.core.decision import StartChild, TellParent
from orpheus.core.errors import InvalidGraph, OrpheusError, TaskError, UnknownWorkflow
from orpheus.core.facts import ChildEnded
from orpheus.core.graph import Graph
from orpheus.core.job import Job, JobState
from orpheus.core.schema import with_defaults
from orpheus.core.submission import child_job
from orpheus.core.values import operator_of
from orpheus.engine.params import holds_file

if TYPE_CHECKING:
    from orpheus.core.decision import Decision
    from orpheus.engine.work import Work
    from orpheus.store.transaction import Transaction

MOST_LEVELS = 32
"""Jobs below each other. Deeper is a mistake, or made to harm."""


def definitions_of(tx: Transaction, graph: Graph) -> dict[str, str]:
    """Return the definition of every workflow that children of the graph run, theirs too, by `definition_key`.

    Raises:
        UnknownWorkflow: one of them is not published.
        InvalidGraph: they run each other in a circle, or too many levels deep.
    """
    found: dict[str, str] = {}
    if graph.children:
        _collect(partial(_published, tx), graph, (graph,), found, strict=True)
    return found


def check_circle(tx: Transaction, graph: Graph) -> None:
    """Refuse to publish a workflow that runs itself through others, as far as those are published yet.

    Raises:
        InvalidGraph: the message has the path.
    """

    def find(name: str, version: int | None) -> Graph | None:
        known = _published(tx, name, version)
        means_it = name == graph.name and (
            version == graph.version or (version is None and (known is None or known.version <= graph.version))
        )
        return graph if means_it else known

    if graph.children:
        _collect(find, graph, (graph,), {}, strict=False)


def _published(tx: Transaction, name: str, version: int | None) -> Graph | None:
    definition_id = tx.definition_by_name(name, version)
    return None if definition_id is None else tx.graph(definition_id)


def _collect(
    find: Callable[[str, int | None], Graph | None],
    graph: Graph,
    above: tuple[Graph, ...],
    found: dict[str, str],
    *,
    strict: bool,
) -> None:
    """Add what the children of a graph run, depth first. `above` are the graphs down to this one."""
    for node in graph.children:
        inner = find(node.workflow, node.workflow_version)
        key = definition_key(node.workflow, node.workflow_version)
        if inner is None:
            if not strict:
                continue
            raise UnknownWorkflow(
                f"workflow {graph.name!r}, node {node.name!r} runs {key!r} as a child job, which is not published",
                hint="a worker publishes workflows when it starts; import the module that has it",
            )
        if any(inner.definition_id == one.definition_id for one in above):
            raise InvalidGraph(
                f"workflow {graph.name!r}, node {node.name!r}: workflows run each other in a circle: "
                + _path((*above, inner)),
                hint="remove one of these child nodes: child jobs form no circle",
            )
        if len(above) >= MOST_LEVELS:
            raise InvalidGraph(
                f"child jobs are nested more than {MOST_LEVELS} levels deep: {_path(above)}",
                hint="let tasks call each other's functions, or map over a list",
            )
        if key not in found:
            found[key] = inner.definition_id
            _collect(find, inner, (*above, inner), found, strict=strict)


def _path(graphs: tuple[Graph, ...]) -> str:
    return " → ".join(f"{graph.name}@{graph.version}" for graph in graphs)


def begin_child(work: Work, parent: Job, command: StartChild) -> tuple[Decision, Graph]:
    """Decide a child's first state.

    Raises:
        OrpheusError: its params do not fit; there will be no such job.
    """
    graph = work.tx.graph(command.definition_id)
    if _holds_spill(command.params):
        # What lies in the object store cannot be looked at here: the child's tasks decode it by their annotations.
        params: Mapping[str, Any] = with_defaults(graph.params_schema, command.params)
    else:
        params = work.checker.check(graph, command.params)
    return submit(child_job(parent, command, params, has_files=holds_file(params)), graph, work.now, work.draws), graph


def refused(command: StartChild, error: OrpheusError) -> ChildEnded:
    """Return what the parent hears of a child that could not be created."""
    return ChildEnded(
        node=command.node,
        index=command.index,
        generation=command.generation,
        child_job=command.job_id,
        state="refused",
        error=TaskError(code=error.code, message=error.message, hint=error.hint),
    )


def ended(tx: Transaction, child: Job, command: TellParent) -> ChildEnded:
    """Return what the parent hears of a child's end: its result comes along."""
    return ChildEnded(
        node=command.node,
        index=command.index,
        generation=command.generation,
        child_job=child.job_id,
        state=command.state,
        result=tx.job_result(child.job_id) if command.state == JobState.COMPLETED else None,
        error=command.error,
    )


def _holds_spill(value: Any) -> bool:
    if operator_of(value) == "$spill":
        return True
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_holds_spill(each) for each in inner)
