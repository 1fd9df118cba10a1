"""The decider's short ways say what it says at length: for submissions, claims and completions of all kinds of jobs (`core/usual.py`)."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from orpheus.core import facts as f
from orpheus.core import usual
from orpheus.core.decider import NewJob, decide, decide_at_length, submit
from orpheus.core.errors import OrpheusError
from orpheus.core.submission import submit_at_length
from orpheus.core.task import TaskState
from orpheus.core.usual_jobs import is_usual
from orpheus.core.validate import parse_graph
from orpheus.testing.memory_view import MemoryView
from orpheus.testing.simulation.short_ways import check_usual


class Draws:
    def uniform(self) -> float:
        return 0.5


VALUES = st.sampled_from([1, "text", None, [1, 2, 3], {"a": 1}])


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Any]:
    """Small graphs, most of whose nodes are usual: chains, joins and maps, now and then with an option that is not."""
    nodes: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 5))):
        earlier = [node["name"] for node in nodes]
        options: dict[str, Any] = draw(
            st.sampled_from(
                [{}] * 12
                + [{"when": {"$eq": [{"$param": "n"}, 1]}}, {"cache": True}, {"undo": "back"}, {"on_failure": "skip"}]
                + [
                    {"price": {"fixed": 1}},
                    {"concurrency_key": {"$param": "n"}},
                    {"timeouts": {"schedule_to_start_s": 5}},
                ]
            )
        )
        value = draw(st.sampled_from([{"$param": "n"}, 7, {"x": [1, "y"]}, *({"$ref": name} for name in earlier)]))
        node: dict[str, Any] = {"name": f"n{number}", "kind": "task", "task": "t", "version": 1, "args": {"v": value}}
        if earlier and draw(st.booleans()):
            node["after"] = [draw(st.sampled_from(earlier))]
        if draw(st.integers(0, 4)) == 0:
            items = draw(st.sampled_from([{"$param": "items"}, [1, 2]]))
            node |= {"kind": "map", "items": {"item": items}}
            node |= draw(st.sampled_from([{}, {}, {"max_concurrency": 1}, {"stagger_s": 1.0}]))
        nodes.append(node | options)
    output = draw(st.sampled_from([None, {"$ref": nodes[-1]["name"]}, {"all": [{"$ref": nodes[0]["name"]}]}]))
    schema = {"type": "object", "properties": {"n": {}, "items": {"type": "array"}}}
    return {"format": 1, "name": "g", "version": 1, "params": schema, "nodes": nodes, "output": output}


@st.composite
def requests(draw: st.DrawFn) -> NewJob:
    unusual: dict[str, Any] = draw(
        st.sampled_from(
            [{}] * 10
            + [{"requires_approval": True}, {"timeout_s": 60.0}, {"run_at": 2_000_000.0}, {"paused": True}]
            + [{"max_priority": 3}, {"extra": {"budget": 5.0}}, {"dependencies": (("other", "end"),)}]
        )
    )
    return NewJob(
        job_id=draw(st.sampled_from(["j1", "j2"])),
        tenant=draw(st.sampled_from(["default", "acme"])),
        correlation_id="c",
        params={"n": draw(VALUES), "items": draw(st.lists(VALUES, max_size=3))},
        priority=draw(st.integers(1, 5)),
        labels=draw(st.sampled_from([{}, {"k": "v"}])),
        has_files=draw(st.sampled_from([False] * 4 + [True])),
        idempotency_key=draw(st.none() | st.just("key")),
        actor=draw(st.sampled_from(["api", "key:ci"])),
        **unusual,
    )


@settings(max_examples=400, deadline=None)
@given(graphs(), st.lists(requests(), min_size=1, max_size=3), st.data())
def test_short_ways_say_what_is_said_at_length(spec: dict[str, Any], asked: list[NewJob], data: st.DataObject) -> None:
    try:
        graph = parse_graph(spec)
    except OrpheusError:
        return  # some options do not go together
    now = 1_000_000.0
    for request in asked:
        now += 1.0
        decision = submit(request, graph, now, Draws())
        assert decision == submit_at_length(request, graph, now, Draws())
    view = MemoryView(graph, decision)
    for number in range(30):
        now += 1.0
        fact = _next_fact(view, number, data)
        if fact is None:
            return
        before = repr((view.job(), view.tasks()))
        decision = decide(view, fact, now, Draws())
        assert repr((view.job(), view.tasks())) == before, "a decision changes nothing by itself"
        check_usual(view, decision, decide_at_length(view, fact, now, Draws()))
        view.apply(decision)


def _next_fact(view: MemoryView, number: int, data: st.DataObject) -> f.Fact | None:
    """A claim or a completion of something that can be claimed or completed."""
    if view.job().paused or view.job().closing is not None:
        return None
    choices: list[f.Fact] = []
    for task in view.tasks([TaskState.READY, TaskState.RUNNING]):
        if task.state is TaskState.READY:
            where: dict[str, Any] = {"node": task.node, "index": task.index, "generation": task.generation}
            choices.append(
                f.TaskClaimed(**where, run_id=f"r{number}", worker="session", worker_name="w", actor="worker")
            )
        elif task.run_id is not None:
            result = data.draw(VALUES)
            text = data.draw(st.sampled_from([None, msgspec.json.encode(result).decode()]))
            choices.append(
                f.RunCompleted(node=task.node, index=task.index, run_id=task.run_id, result=result, result_text=text)
            )
    return data.draw(st.sampled_from(choices)) if choices else None


def test_most_jobs_take_the_short_ways() -> None:
    """What they were made for does go their way: one task, a chain, a map."""
    chain = [{"name": "a", "kind": "task", "task": "t", "version": 1, "args": {"v": {"$param": "n"}}}]
    chain += [{"name": "b", "kind": "map", "task": "t", "version": 1, "items": {"item": {"$ref": "a"}}}]
    chain += [{"name": "c", "kind": "task", "task": "t", "version": 1, "args": {"v": {"$ref": "b"}}}]
    spec = {
        "format": 1,
        "name": "g",
        "version": 1,
        "params": {"type": "object"},
        "nodes": chain,
        "output": {"$ref": "c"},
    }
    graph = parse_graph(spec)
    request = NewJob(job_id="j", tenant="t", correlation_id="c", params={"n": 1})
    assert graph.begins_alike and is_usual(request)
    view = MemoryView(graph, submit(request, graph, 1.0, Draws()))
    short = {"claimed": 0, "completed": 0}
    for number in range(5):
        [task, *_others] = view.tasks([TaskState.READY])
        claim = f.TaskClaimed(node=task.node, index=task.index, run_id=f"r{number}", worker="w")
        short["claimed"] += usual.claimed(view, claim, 2.0) is not None
        view.apply(decide(view, claim, 2.0, Draws()))
        result = [1, 2, 3] if task.node == "a" else 1
        done = f.RunCompleted(node=task.node, index=task.index, run_id=f"r{number}", result=result)
        short["completed"] += usual.completed(view, done, 3.0) is not None
        view.apply(decide(view, done, 3.0, Draws()))
    assert view.job().state == "completed"
    assert short == {"claimed": 5, "completed": 3}  # not what opens the map, and not its last item
