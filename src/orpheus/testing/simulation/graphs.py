"""Random workflows that use everything the graph can say. Their handlers are played by `workers.py`.

Every handler returns the same kind of value, so that any node can read from any other:

    {"n": int, "flag": bool, "items": [int, …], "echo": <its arguments>}
"""

from __future__ import annotations

import json
from random import Random
from typing import Any
from zlib import crc32

HANDLERS = ("work@1", "work@2", "render@1", "look@1")
UNDO_HANDLER = "take_back@1"
QUEUES = ("default", "gpu", "slow")
SIGNALS = ("go", "stop")
PARAMS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "n": {"type": "integer"},
        "flag": {"type": "boolean"},
        "items": {"type": "array", "items": {"type": "integer"}},
        "label": {"type": "string"},
    },
    "required": ["n", "flag", "items"],
    "additionalProperties": False,
}


def random_params(rng: Random) -> dict[str, Any]:
    return {
        "n": rng.randrange(10),
        "flag": rng.random() < 0.5,
        "items": [rng.randrange(10) for _ in range(rng.choice((0, 1, 2, 3, 5, 8)))],
        "label": rng.choice("abc"),
    }


def random_workflow(rng: Random, name: str, children: tuple[str, ...] = ()) -> dict[str, Any]:
    """Make a workflow definition in its JSON form: chains, diamonds, fans and joins of one to about a dozen nodes.

    Args:
        children: workflows with the same params, which some nodes open as child jobs.
    """
    count = rng.choice((1, 1, 2, 3, 3, 4, 5, 6, 8, 12))
    nodes: list[dict[str, Any]] = []
    for number in range(count):
        kind = rng.choices(("task", "map", "sleep", "approval", "wait_for"), (20, 8, 2, 1, 1))[0]
        nodes.append(_node(rng, f"{kind}{number}", kind, [node["name"] for node in nodes]))
    definition = {
        "format": 1,
        "name": name,
        "version": 1,
        "params": PARAMS,
        "nodes": nodes,
        "output": _output(rng, [node["name"] for node in nodes]),
    }
    return _with_undo_and_children(definition, children)


def _with_undo_and_children(definition: dict[str, Any], children: tuple[str, ...]) -> dict[str, Any]:
    """Let some nodes be undone, and others open child jobs. Drawn from the definition itself, so that what else a seed
    means stays as it was."""
    rng = Random(crc32(json.dumps(definition, sort_keys=True).encode()))  # noqa: S311 (not for secrets)
    nodes = definition["nodes"]
    if children and rng.random() < 0.25:
        for _ in range(rng.choice((1, 1, 2))):
            nodes.append(_child(rng, len(nodes), rng.choice(children), [node["name"] for node in nodes]))
        if rng.random() < 0.5:
            last = nodes[-1]["name"]
            task: dict[str, Any] = {"name": f"task{len(nodes)}", "kind": "task"}
            _worked(rng, task, [])
            nodes.append({**task, "args": {"a0": {"$optional": {"$ref": last}}}, "after": [last]})
    for node in nodes:
        if node["kind"] in ("task", "map", "child") and rng.random() < 0.2:
            node["undo"], _, version = UNDO_HANDLER.partition("@")
            node["undo_version"] = int(version)
            node["undo_options"] = {"retry": {"max_retries": rng.randint(0, 4), "initial_s": 0.5, "jitter": 0.0}}
            node["undo_unknown"] = rng.random() < 0.5
    return definition


def _child(rng: Random, number: int, workflow: str, before: list[str]) -> dict[str, Any]:
    near = [name for name in before[-4:] if not name.startswith("child")]
    args: dict[str, Any] = {name: {"$param": name} for name in ("n", "flag", "items")}
    if near and rng.random() < 0.3:
        args["n"] = _value(rng, near)  # perhaps no number: then there will be no child
    node: dict[str, Any] = {"name": f"child{number}", "kind": "child", "workflow": workflow, "args": args}
    if near and rng.random() < 0.5:
        node["after"] = [rng.choice(near)]
    node["on_failure"] = rng.choice(("fail", "skip", "continue"))
    if rng.random() < 0.2:
        node["timeout_s"] = 30.0
    if rng.random() < 0.4:
        del args["n"]
        node |= {"kind": "map", "items": {"n": _list(rng, near)}}
        node.pop("timeout_s", None)
        if rng.random() < 0.5:
            node["max_concurrency"] = rng.randint(1, 3)
        if rng.random() < 0.3:
            node["stagger_s"] = rng.choice((0.5, 2.0))
    return node


def _node(rng: Random, name: str, kind: str, before: list[str]) -> dict[str, Any]:
    node: dict[str, Any] = {"name": name, "kind": kind}
    near = before[-4:]
    if near and rng.random() < 0.3:
        node["after"] = rng.sample(near, rng.randint(1, min(2, len(near))))
    if rng.random() < 0.2:
        node["when"] = _condition(rng, near)
    if rng.random() < 0.3:
        node["on_failure"] = rng.choice(("fail", "skip", "continue"))
    if rng.random() < 0.3:
        node["weight"] = rng.choice((0.0, 0.5, 1.0, 3.0, 0.1))
    if kind == "sleep":
        node["duration"] = rng.choice((0, 1, 5.5, {"$param": "n"}))
        return node
    if kind in ("approval", "wait_for"):
        node["timeout_s"] = rng.choice((3.0, 20.0, 60.0))
        return node | (_asked(rng, near) if kind == "approval" else {"signal": rng.choice(SIGNALS)})
    _worked(rng, node, near)
    if kind == "map":
        node["items"] = {"item": _list(rng, near)}
        if rng.random() < 0.5:
            node["max_concurrency"] = rng.randint(1, 3)
        if rng.random() < 0.3:
            node["stagger_s"] = rng.choice((0.5, 2.0, 7.0))
    return node


def _asked(rng: Random, near: list[str]) -> dict[str, Any]:
    """Return what an approval has."""
    return {
        "prompt": "Go on?",
        "args": {"value": _value(rng, near)},
        "editable": rng.random() < 0.5,
        "on_reject": rng.choice(("fail", "skip", "continue")),
    }


def _worked(rng: Random, node: dict[str, Any], near: list[str]) -> None:
    """Add what nodes have that a worker runs."""
    node["task"], _, version = rng.choice(HANDLERS).partition("@")
    node["version"] = int(version)
    node["queue"] = rng.choice(QUEUES)
    node["args"] = {f"a{number}": _value(rng, near) for number in range(rng.choice((0, 1, 1, 2)))}
    node["retry"] = {
        "max_retries": rng.randint(0, 3),
        "initial_s": rng.choice((0.0, 0.5, 1.0)),
        "factor": rng.choice((1.0, 2.0)),
        "max_s": 10.0,
        "jitter": rng.choice((0.0, 0.2)),
        "final_errors": rng.choice(([], ["ValueError"])),
    }
    if rng.random() < 0.3:
        limits = {
            "schedule_to_start_s": 200.0,
            "start_to_close_s": 15.0,
            "schedule_to_close_s": 120.0,
            "heartbeat_s": 8.0,
        }
        node["timeouts"] = {limit: limits[limit] for limit in limits if rng.random() < 0.4}
    if rng.random() < 0.2:
        node["resources"] = {"gpu": rng.randint(1, 2)}
    if rng.random() < 0.15:
        node["concurrency_key"] = rng.choice(("one", {"$param": "label"}))
        node["concurrency_limit"] = rng.randint(1, 2)
    if rng.random() < 0.1:
        node["rate_limit"] = {"limit": 2, "period_s": 3.0}
    if rng.random() < 0.15:
        node["priority"] = rng.randint(1, 5)
    if rng.random() < 0.2:
        node["cache"] = True
    if rng.random() < 0.3:
        node["price"] = rng.choice((0.1, 1, {"per_run": 0.3}))


def _value(rng: Random, near: list[str]) -> Any:
    roll = rng.random()
    if not near or roll < 0.2:
        return {"$param": rng.choice(("n", "flag", "items"))}
    if roll < 0.3:
        return rng.choice((7, "text", [1, 2], {"k": None}, None))
    if roll < 0.5:
        return {"$optional": _field(rng, near, "n")}
    if roll < 0.65 and len(near) > 1:
        return {"$first_of": [_field(rng, [name], "n") for name in rng.sample(near, 2)]}
    if roll < 0.67:
        return _field(rng, near, "nothing")  # binding_failed
    return _field(rng, near, rng.choice(("n", "flag", "items", "echo")))


def _field(rng: Random, near: list[str], name: str) -> dict[str, Any]:
    """Read a field of a task's result; of a map's all of it or of its first item, of a sleep its null."""
    source = rng.choice(near)
    if source.startswith("map") and rng.random() < 0.1:
        return {"$get": [{"$ref": source}, 0, name]}  # binding_failed when the map is empty
    return {"$get": [{"$ref": source}, name]} if source.startswith("task") else {"$ref": source}


def _list(rng: Random, near: list[str]) -> Any:
    roll = rng.random()
    if not near or roll < 0.5:
        return {"$param": "items"}
    if roll < 0.65:
        return list(range(rng.choice((0, 1, 4, 12))))
    source = rng.choice(near)
    if source.startswith(("sleep", "approval", "wait_for")):
        return {"$param": "items"}
    return {"$ref": source} if source.startswith("map") else {"$get": [{"$ref": source}, "items"]}


def _condition(rng: Random, near: list[str]) -> Any:
    roll = rng.random()
    flag: Any = _field(rng, near, "flag") if near and rng.random() < 0.7 else {"$param": "flag"}
    if roll < 0.3:
        return flag
    if roll < 0.5:
        return {rng.choice(("$gt", "$le", "$ne")): [{"$param": "n"}, rng.randrange(10)]}
    if roll < 0.6:
        return {"$in": [{"$param": "n"}, {"$param": "items"}]}
    if roll < 0.75:
        return {"$not": flag}
    if roll < 0.9:
        return {rng.choice(("$all", "$any")): [flag, {"$param": "flag"}]}
    return {"$is_none": {"$ref": rng.choice(near)}} if near else {"$is_none": {"$param": "label"}}


def _output(rng: Random, names: list[str]) -> Any:
    if rng.random() < 0.2:
        return None
    if rng.random() < 0.5:
        return {"last": {"$optional": {"$ref": names[-1]}}}
    return [{"$ref": name} for name in rng.sample(names, min(len(names), 3))]
