"""R23 in the decider: the key, the hit, and what is kept."""

from __future__ import annotations

from typing import Any

import pytest

from orpheus.core import facts as f
from orpheus.core.cache_key import NotCacheable, cache_key, made, owner_of, renamed
from orpheus.core.decision import LookUpResult, PublishArtifacts

CACHED = {"name": "a", "cache": True, "args": {"x": {"$param": "x"}}}
PARAMS = {"x": {}}


def file(**body: Any) -> dict[str, Any]:
    return {"$file": {"name": "a.mp4", "key": ".runs/r1/a.mp4", "sha256": "1" * 64, "size_bytes": 3, **body}}


def key(args: Any, *, tenant: str = "t", handler: str = "work@1", extra: Any = None) -> str:
    return cache_key(tenant, handler, args, extra)


def test_the_key_is_the_content():
    """Names, places and key order do not count; tenant, task, version, arguments, content and extra do."""
    assert key({"x": 1, "y": [2]}) == key({"y": [2], "x": 1})
    assert key(file()) == key(file(name="b.mp4", key="dev/t/.files/f1/content"))
    differing = [key({"x": 1}), key({"x": "1"}), key({"x": 1}, tenant="u"), key({"x": 1}, handler="work@2")]
    differing += [
        key({"x": 1}, extra="v2"),
        key(file()),
        key(file(sha256="2" * 64)),
        key({"x": True}),
        key({"x": None}),
    ]
    assert len(set(differing)) == len(differing)
    with pytest.raises(NotCacheable):
        key(file(sha256=""))


def test_a_spilled_value_counts_by_its_text_and_path():
    spilled = {"$spill": {"key": ".runs/r1/result.json", "sha256": "3" * 64, "size_bytes": 9, "path": [0]}}
    other = {"$spill": {**spilled["$spill"], "key": ".runs/r2/result.json"}}
    further = {"$spill": {**spilled["$spill"], "path": [1]}}
    assert key(spilled) == key(other) != key(further)


def test_who_keeps_an_object():
    assert owner_of(".runs/r1/audio/x.mp3") == "r1"
    assert owner_of("dev/t/.files/f1/content") == "f1"
    assert owner_of("dev/t/j1/thumbnails/320.webp") == "j1"
    assert owner_of("nonsense") is None


def test_a_ready_task_asks_first(bench):
    """Only one with a cache, and once: a retry runs."""
    job = bench([CACHED, {"name": "b"}], params=PARAMS, values={"x": 1})
    (asked,) = job.commanded(LookUpResult)
    assert asked == LookUpResult("a", -1, key({"x": 1}), "work@1")
    job.fail("a")
    job.sleep_until_due()
    assert len(job.commanded(LookUpResult)) == 1


def test_a_hit_completes_without_an_attempt(bench):
    job = bench([CACHED, {"name": "b", "args": {"y": {"$ref": "a"}}}], params=PARAMS, values={"x": 1})
    ref = f.ArtifactRef(name="audio/old-job.mp3", key=".runs/r1/audio/old-job.mp3", sha256="1" * 64, size_bytes=3,
                        content_type="audio/mpeg")  # fmt: skip
    result = file(name="old-job.mp3", key=ref.key)
    job.tell(f.TaskCached(node="a", result=result, artifacts=(ref,), source_job="old-job", source_run="r1"))
    row = job.task("a")
    assert (row.state, row.cached, row.attempt, row.run_id) == ("completed", True, 0, None)
    assert [r.name for _, r in job.last.artifacts] == ["audio/job-1.mp3"]
    assert job.last.artifacts[0][1].key == ref.key, "the bytes stay where they are"
    assert job.view.result("a") == file(name="job-1.mp3", key=ref.key) == renamed(result, "old-job", "job-1")
    assert job.commanded(PublishArtifacts)
    event = job.view.events[-2]
    assert (event.type, event.data["source"]) == ("task.cached", {"job_id": "old-job", "run_id": "r1"})
    assert job.job == "running" and job.ready() == ["b"]


def test_a_hit_that_comes_too_late_or_clashes_changes_nothing(bench):
    job = bench([CACHED, {"name": "b"}], params=PARAMS, values={"x": 1})
    hit = f.TaskCached(node="a", result=1, artifacts=(), source_job="j", source_run="r")
    job.claim("a")
    assert not job.tell(hit).events
    ref = f.ArtifactRef(name="n", key=".runs/r2/n", sha256="1" * 64, size_bytes=3, content_type="x/y")
    job.complete("b", artifacts=(ref,))
    other = bench([{"name": "b"}, {**CACHED, "after": ["b"]}], params=PARAMS, values={"x": 1})
    other.complete("b", artifacts=(ref,))
    assert not other.tell(f.TaskCached(node="a", result=1, artifacts=(ref,), source_job="j", source_run="r")).events
    assert other.state("a") == "ready", "it runs, and then its clash is told as ever"


def test_accepted_results_are_kept_and_no_others(bench):
    job = bench([CACHED, {"name": "b"}], params=PARAMS, values={"x": 1})
    assert job.fail("a", retryable=False).known_result is None
    job = bench([CACHED, {"name": "b"}], params=PARAMS, values={"x": 1})
    kept = job.complete("a", 7).known_result
    assert (kept.key, kept.result) == (key({"x": 1}), 7)
    assert job.complete("b", 8).known_result is None


def test_the_items_of_a_map_each_have_their_key(bench):
    job = bench([{"name": "m", "kind": "map", "items": {"n": [1, 2, 1]}, "args": {"x": 5}, "cache": True}])
    keys = [asked.key for asked in job.commanded(LookUpResult)]
    assert keys == [key({"x": 5, "n": n}) for n in (1, 2, 1)]


def test_a_task_rewound_by_name_runs_and_what_follows_may_be_cached(bench):
    """R20: the named task does not use the cache; its new result is kept."""
    job = bench([CACHED, {"name": "b", "cache": True, "args": {"y": {"$ref": "a"}}}], params=PARAMS, values={"x": 1})
    job.complete("a", 1)
    job.complete("b", 2)
    job.commands.clear()
    job.tell(f.RetryRequested(from_task="a"))
    assert not job.commanded(LookUpResult)
    assert job.complete("a", 1).known_result.key == key({"x": 1})
    assert [asked.node for asked in job.commanded(LookUpResult)] == ["b"]


def test_the_extra_may_refer_to_params(bench):
    node = {"name": "a", "cache": True, "cache_extra": {"model": {"$param": "x"}}}
    asked = [bench([node], params=PARAMS, values={"x": x}).commanded(LookUpResult)[0].key for x in ("s", "m")]
    assert asked == [key({}, extra={"model": "s"}), key({}, extra={"model": "m"})]


def test_a_result_is_kept_under_what_it_was_made_with(bench):
    """That of the attempt that completed, not of one that failed before."""
    job = bench([CACHED], params=PARAMS, values={"x": 1})
    for run, made_with in (("r1", "tiny"), ("r2", "large"), ("r3", "")):
        job.tell(f.TaskClaimed(node="a", run_id=run, worker="w", made_with=made_with))
        if run != "r3":
            job.fail("a")
            job.sleep_until_due()
    assert job.complete("a", 5).known_result.key == key({"x": 1})
    other = bench([CACHED], params=PARAMS, values={"x": 1})
    other.tell(f.TaskClaimed(node="a", run_id="r1", worker="w", made_with="large"))
    assert other.complete("a", 5).known_result.key == made(key({"x": 1}), "large") != made(key({"x": 1}), "tiny")
