"""Graphs the size of real scientific workflows, through real processes, their order checked from the stored rows.

The shapes follow published ones (Montage, Epigenomics, CyberShake, SIPHT: wide fan-outs, long pipelines, joins of joins); they
are generated here, seeded, because traces cannot be shipped.
"""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

Graph = dict[str, list[str]]  # task → the tasks it waits for


def montage(width: int) -> Graph:
    """Projections, pairwise differences, one fit, one model, corrections, one mosaic."""
    graph: Graph = {f"project_{i}": [] for i in range(width)}
    diffs = [(i, j) for i in range(width) for j in (i + 1, i + 2) if j < width]
    graph |= {f"diff_{i}_{j}": [f"project_{i}", f"project_{j}"] for i, j in diffs}
    graph["fit"] = [f"diff_{i}_{j}" for i, j in diffs]
    graph["model"] = ["fit"]
    graph |= {f"correct_{i}": ["model", f"project_{i}"] for i in range(width)}
    graph["mosaic"] = [f"correct_{i}" for i in range(width)]
    return graph


def epigenomics(lanes: int, chunks: int) -> Graph:
    """Per lane a split, parallel pipelines of four steps and a merge; then a global tail."""
    graph: Graph = {}
    for lane in range(lanes):
        graph[f"split_{lane}"] = []
        for chunk in range(chunks):
            before = f"split_{lane}"
            for step in ("filter", "convert", "map", "sort"):
                name = f"{step}_{lane}_{chunk}"
                graph[name] = [before]
                before = name
        graph[f"merge_{lane}"] = [f"sort_{lane}_{chunk}" for chunk in range(chunks)]
    graph["merge"] = [f"merge_{lane}" for lane in range(lanes)]
    graph["index"] = ["merge"]
    graph["pileup"] = ["index"]
    return graph


def layered(seed: int, tasks: int) -> Graph:
    """A random graph: each task waits for up to four earlier ones."""
    rng = random.Random(seed)
    names = [f"t{i}" for i in range(tasks)]
    return {
        name: sorted(set(rng.sample(names[max(0, i - 50) : i], min(i, rng.randint(0, 4)))))
        for i, name in enumerate(names)
    }


def definition(name: str, graph: Graph) -> dict[str, Any]:
    """Write the graph as a user of the API would, half of the edges as data and half as mere order."""
    nodes = [
        {
            "name": task,
            "kind": "task",
            "task": "step",
            "version": 1,
            "args": {"name": task, "before": [{"$ref": other} for other in before[::2]]},
            "after": before[1::2],
        }
        for task, before in graph.items()
    ]
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    return {
        "format": 1,
        "name": name,
        "version": 1,
        "params": schema,
        "nodes": nodes,
        "output": {"$ref": list(graph)[-1]},
    }


SHAPES = {
    "montage": montage(120),
    "epigenomics": epigenomics(6, 60),
    "layered": layered(7, 700),
    "two_thousand": layered(11, 2000),
    "chain": {f"n{i}": [f"n{i - 1}"] if i else [] for i in range(300)},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_order_is_kept(up, shape) -> None:
    """Every task runs once, and no task starts before all it waits for have completed."""
    graph = SHAPES[shape]
    job = up.client.submit(definition(shape, graph), {})
    done = up.client.wait(job.job_id, timeout_s=100)
    assert done.state == "completed", done.error
    assert done.result == list(graph)[-1]
    assert done.tasks["completed"] == len(graph)
    place: dict[tuple[str, str], int] = {}
    for event in up.client.events(job.job_id):
        if event.type in ("task.started", "task.completed"):
            assert (event.type, event.task) not in place, f"{event.task} has two of {event.type}"
            place[event.type, event.task] = event.seq
    for task, before in graph.items():
        started = place["task.started", task]
        assert all(place["task.completed", other] < started for other in before), f"{task} started too early"


def test_a_map_of_ten_thousand_items(up) -> None:
    """Completes, in item order, and costs per item what a map of a thousand does (R4), within a generous factor."""
    took = {}
    for size in (1_000, 10_000):
        begin = time.monotonic()
        job = up.client.submit("doubled", {"numbers": list(range(size))})
        done = up.client.wait(job.job_id, timeout_s=110)
        took[size] = time.monotonic() - begin
        assert (done.state, done.result) == ("completed", size * (size - 1)), done.error
    assert took[10_000] / took[1_000] < 30
