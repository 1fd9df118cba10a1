"""Which definition does a job get whose files have to be fetched first? (core/fetching.py)"""

from __future__ import annotations

from orpheus.core.fetching import TASK, fetched_params, holds_url, url_params, with_fetches
from orpheus.core.validate import parse_graph

FILE = {"type": "object", "x-orpheus": "file"}
STEP = {"kind": "task", "task": "step", "version": 1}
BOARD = {
    "format": 1,
    "name": "board",
    "version": 3,
    "params": {
        "type": "object",
        "properties": {
            "source": FILE,
            "scenes": {"type": "array", "items": {"$ref": "#/$defs/scene"}},
            "style": {"type": "string"},
        },
        "$defs": {"scene": {"type": "object", "properties": {"image": FILE, "text": {"type": "string"}}}},
    },
    "nodes": [
        {"name": "look", **STEP, "args": {"source": {"$param": "source"}, "like": {"$literal": {"$param": "source"}}}},
        {
            "name": "render",
            "kind": "map",
            "task": "step",
            "version": 1,
            "items": {"scene": {"$param": "scenes"}},
            "args": {"style": {"$param": "style"}},
            "when": {"$gt": [{"$get": [{"$param": "scenes"}, 0, "text"]}, "a"]},
        },
        {"name": "fetch.source", **STEP, "args": {}},
    ],
    "output": {"file": {"$param": "source"}, "all": {"$ref": "render"}},
}
URLS = {
    "source": {"$url": "http://example.org/a"},
    "scenes": [{"image": {"$url": "http://example.org/b"}}],
    "style": "calm",
}


def test_params_with_urls_are_found():
    """Wherever they stand."""
    assert url_params(URLS) == ("source", "scenes")
    assert not holds_url({"$file": {"key": "k"}}) and not holds_url({"url": "http://example.org"})


def test_what_read_the_param_reads_the_fetched_value():
    """In arguments, items, conditions and the output; what only looks like a reference stays, and names do not clash."""
    definition, graph = with_fetches(parse_graph(BOARD), ("source", "scenes"))
    assert (graph.name, graph.version) == ("board", 3)
    assert graph.definition_id != parse_graph(BOARD).definition_id
    assert graph.roots == ("fetch.source_", "fetch.scenes", "fetch.source")
    fetch = graph.nodes["fetch.source_"]
    assert (fetch.task, fetch.args, fetch.retry.max_retries) == (TASK, {"value": {"$param": "source"}}, 4)
    look, render = graph.nodes["look"], graph.nodes["render"]
    assert look.args == {"source": {"$ref": "fetch.source_"}, "like": {"$literal": {"$param": "source"}}}
    assert render.items == {"scene": {"$ref": "fetch.scenes"}} and render.args == {"style": {"$param": "style"}}
    assert render.when == {"$gt": [{"$get": [{"$ref": "fetch.scenes"}, 0, "text"]}, "a"]}
    assert graph.output == {"file": {"$ref": "fetch.source_"}, "all": {"$ref": "render"}}
    assert graph.predecessors["render"] == ("fetch.scenes",)
    assert fetched_params(graph) == {"source", "scenes"} and not fetched_params(parse_graph(BOARD))
    assert parse_graph(definition).definition_id == graph.definition_id


def test_jobs_share_definitions():
    """The URL itself is no part of it: only which params are fetched."""
    one, other = with_fetches(parse_graph(BOARD), ("source",)), with_fetches(parse_graph(BOARD), ("source",))
    assert one[1].definition_id == other[1].definition_id
