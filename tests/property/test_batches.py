"""What is decided once for a whole batch of submissions comes out as if each had come alone (`engine/submissions.py`)."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orpheus.api.file_params import stands_for_itself
from orpheus.api.render import job_beside, job_info, waiting_by_row
from orpheus.api.submissions import fingerprint, to_submissions
from orpheus.core.errors import OrpheusError
from orpheus.core.job import Job
from orpheus.core.plain import MAX_DEPTH, MAX_INTEGER, NotPlain, at_a_glance, check_plain, look_closely
from orpheus.core.usual_jobs import Beginning
from orpheus.core.validate import parse_graph
from orpheus.core.values import operator_of
from orpheus.engine.base import Submission
from orpheus.engine.clock import SystemClock
from orpheus.engine.machine import Machine
from orpheus.engine.params import ParamsChecker, holds_file
from orpheus.engine.submissions import Submit, prepare
from orpheus.engine.work import Work
from orpheus.protocol.jobs import SubmitJob
from orpheus.store import Store

MOST_BYTES = 300
FILE = {"$file": {"name": "a", "key": "k", "size_bytes": 1, "sha256": "a" * 64, "content_type": "text/plain"}}
SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}, "style": {"default": "calm"}, "more": {"default": {"depth": [1]}}},
    "required": ["n"],
}


def definition(name: str, **extra: Any) -> dict[str, Any]:
    nodes = [
        {"name": "a", "kind": "task", "task": "t", "version": 1, "args": {"v": {"$param": "n"}}},
        {"name": "b", "kind": "task", "task": "t", "version": 1, "args": {"v": {"$ref": "a"}}},
    ]
    return {"format": 1, "name": name, "version": 1, "params": SCHEMA, "nodes": nodes, "output": None, **extra}


WORKFLOWS = [definition("plain"), definition("held", requires_approval=True)]


class Bench:
    """A machine with two workflows, a tenant that may have two open jobs more and one whose jobs are never urgent."""

    def __init__(self, path: Path) -> None:
        self.store = Store.open(path, now=1.0, epoch="e")
        self.machine = Machine(self.store, clock=SystemClock(), rng=Random(1), run_key=b"key")
        self.machine.recover()
        for one in WORKFLOWS:
            self._do(lambda work, one=one: work.tx.put_definition(one, parse_graph(one), work.now))
        self.machine.tenants.set("narrow", {"max_open_jobs": 2})
        self.machine.tenants.set("patient", {"max_priority": 4})
        submit = self._submit([Submission(workflow="plain", params={"n": 1}, idempotency_key="old", fingerprint="f")])
        self._do(submit.run)

    def _do(self, run: Any) -> Any:
        given: list[Any] = []
        self.machine.call("test", run, given.append)
        batch = self.machine.run_batch()
        assert batch is not None
        self.machine.commit()
        self.machine.finish(batch)
        if isinstance(given[0], OrpheusError):
            raise given[0]
        return given[0]

    def _submit(self, asked: list[Submission]) -> Submit:
        machine = self.machine
        return Submit(
            prepare(asked),
            checker=machine.checker,
            rng=Random(1),
            params_max_bytes=MOST_BYTES,
            tenants=machine.tenants,
        )

    def decide(self, asked: list[Submission]) -> list[Any]:
        """Return the decisions (or what else came of it), as of one instant and without the ids, or the error."""
        submit = self._submit(asked)

        def decided(work: Work) -> list[Any]:
            work.now = 1_000.0
            return [_nameless(entry) for entry in submit.decide(work)]

        return list(self._do(decided))


def _nameless(entry: Any) -> Any:
    decision = getattr(entry, "decision", None)
    if decision is None:
        return entry
    definitions = (None, None) if isinstance(entry, Beginning) else (entry.inline, entry.derived)
    return repr((decision, definitions)).replace(decision.job.job_id, "ID")


PARAMS = st.sampled_from(
    [{"n": 1}] * 6
    + [{"n": 2, "style": "wild"}, {"n": 3, "more": None}, {"n": 4, "list": [1, {"a": "ü"}]}, {"n": "text"}, {}]
    + [{"n": 5, "x": "\ud800"}, {"n": 6, "x": float("nan")}, {"n": 2**63}, {"n": 7, "x": "long" * 80}, {"n": 8, 9: 1}]
    + [{"n": 9, "x": {"$url": "https://example.org"}}, {"n": 10, "$url": 1}, {"n": 11, "x": {"y": (1,)}}]
    + [{"n": 12, "x": [FILE]}]
)
OPTIONS = st.sampled_from(
    [{}] * 12
    + [{"labels": {"k": "v"}}, {"labels": {"": "v"}}, {"labels": {"k": 1}}, {"tenant": "acme"}, {"tenant": "../up"}]
    + [{"tenant": "narrow"}] * 4
    + [{"tenant": "patient"}, {"priority": 1}, {"priority": True}, {"priority": 1.0}, {"priority": 9}, {"delay_s": 5.0}]
    + [{"run_at": 5.0}, {"timeout_s": 9.0}, {"timeout_s": -1.0}, {"requires_approval": True}, {"budget": 1.0}]
    + [{"depends_on": (("nobody", "end"),)}, {"webhook_url": "https://example.org"}, {"traceparent": "t"}]
    + [{"actor": "key:ci"}, {"correlation_id": ""}, {"schedule": "s", "scheduled_for": 4.0}]
    + [{"workflow": "held"}, {"workflow": "plain@1"}, {"workflow": "nobody"}, {"workflow": definition("inline")}]
    + [{"idempotency_key": key, "fingerprint": "f"} for key in ("old", "a", "b", "", "x" * 256)]
    + [{"idempotency_key": "a", "fingerprint": "other"}]
)
SUBMISSIONS = st.builds(
    lambda params, options: Submission(**({"workflow": "plain", "correlation_id": "c", "params": params} | options)),
    PARAMS,
    OPTIONS,
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(tmp_path_factory.mktemp("batches") / "orpheus.db")
    yield made
    made.store.close()


def _outcome(bench: Bench, asked: list[Submission]) -> Any:
    try:
        return bench.decide(asked)
    except OrpheusError as error:
        return type(error), error.message, error.hint, error.details


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(SUBMISSIONS, min_size=2, max_size=6))
def test_a_batch_comes_out_as_if_each_had_come_alone(bench: Bench, asked: list[Submission]) -> None:
    together = _outcome(bench, asked)
    alone = [_outcome(bench, [one]) for one in asked]
    keys = [(one.tenant, one.idempotency_key) for one in asked if one.idempotency_key is not None]
    if len(set(keys)) < len(keys) or sum(one.tenant == "narrow" for one in asked) > 2:
        return  # what they are to each other is said elsewhere
    # What is wrong with a submission itself is said before any is looked up, and of those the first.
    faults = [place for place, one in enumerate(alone) if isinstance(one, tuple)]
    if not faults:
        assert together == [one[0] for one in alone]
        return
    assert isinstance(together, tuple)
    expected = []
    for place in faults:
        kind, message, hint, details = alone[place]
        placed = [{**one, "path": f"/jobs/{place}{one['path']}"} for one in details]
        expected.append((kind, f"job {place} of the batch: {message}", hint, placed))
    sound = [place for place in faults if _is_sound(asked[place])]
    first = next((place for place in faults if place not in sound), faults[0])
    assert together == expected[faults.index(first)]


def _is_sound(one: Submission) -> bool:
    try:
        prepare([one])
    except OrpheusError:
        return False
    return True


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(SUBMISSIONS, min_size=2, max_size=6))
def test_a_job_like_another_is_shown_as_any_is(bench: Bench, asked: list[Submission]) -> None:
    try:
        submit = bench._submit(asked)
        entries = bench._do(submit.decide)
    except OrpheusError:
        return
    for entry in entries:
        if isinstance(entry, Beginning):
            assert json.loads(entry.params_text) == entry.params
            short = job_beside(_shown(entry.like.job, {"other": 1}), entry.job, entry.params)
            assert msgspec.json.encode(short) == msgspec.json.encode(_shown(entry.job, entry.params))


def _shown(job: Job, params: Any) -> Any:
    return job_info(job, params=params, result=None, artifacts=[], waiting_for=waiting_by_row(job))


MIXED = ({"n": 1}, {"n": 2}, {"n": 3, "x": [{}]}, {"n": 4, "style": {"$url": "https://example.org"}})


def test_most_of_a_batch_is_decided_like_its_first(bench: Bench) -> None:
    """What it was made for does go that way, params that are not flat too; what is unusual does not."""
    submit = bench._submit(
        [Submission(workflow="plain", params=one) for one in MIXED]
        + [Submission(workflow="plain", params={"n": 5}, delay_s=1.0)]
    )
    entries = bench._do(lambda work: [isinstance(entry, Beginning) for entry in submit.decide(work)])
    assert entries == [False, True, True, False, False]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | st.text() | st.sampled_from(["\ud800", (), b""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)  # fmt: skip
OBJECTS = st.dictionaries(
    st.text(max_size=3) | st.sampled_from(["$file", "$url", "n", 1, "\ud800"]), VALUES, max_size=3
)


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


def _all_of(value: Any) -> Iterator[Any]:
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _all_of(inner)


NESTED = st.integers(MAX_DEPTH - 3, MAX_DEPTH + 2).map(lambda depth: json.loads("[" * depth + "1" + "]" * depth))
LIMITS = st.sampled_from([{"n": MAX_INTEGER}, {"n": -MAX_INTEGER}, {"n": MAX_INTEGER + 1}, {"n": [{"$x": 1}]}])


@given(OBJECTS | LIMITS | NESTED)
def test_a_glance_says_what_a_closer_look_says(value: Any) -> None:
    glance, found, closely = at_a_glance(value), _outcome_of(check_plain, value), _outcome_of(look_closely, value)
    assert found == closely
    if isinstance(closely, str):
        assert glance is None or "valid Unicode" in closely
    else:
        assert closely is any(operator_of(inner) is not None for inner in _all_of(value))
        has_floats = any(isinstance(inner, float) for inner in _all_of(value))
        assert glance is closely or has_floats or _depth(value) >= MAX_DEPTH


def _outcome_of(check: Callable[[Any], bool], value: Any) -> bool | str:
    try:
        return check(value)
    except NotPlain as fault:
        return f"{fault} at {fault.pointer}"


@given(OBJECTS)
def test_params_that_fit_are_those_that_pass_the_check(params: Any) -> None:
    checker = ParamsChecker()
    graph = parse_graph(WORKFLOWS[0])
    params = {"n": 1, **params}
    fitting = checker.form(graph).fit(params, MOST_BYTES)
    try:
        checked = checker.check(graph, params)
    except OrpheusError:
        assert fitting is None
        return
    small = len(msgspec.json.encode(checked)) <= MOST_BYTES
    if not small or holds_file(checked) or at_a_glance(checked) is None:
        assert fitting is None
    else:
        assert fitting == (checked, msgspec.json.encode(checked).decode())


BODIES = [
    {},
    {"labels": {"b": "2", "a": "1"}},
    {"tenant": "acme", "priority": 1},
    {"delay_s": 2.0, "timeout_s": 60, "budget": 1},
    {"depends_on": ["j", {"job": "k", "on": "end"}, {"job": "l"}], "run_at": "2030-01-01T00:00:00Z"},
    {"requires_approval": False, "webhook_url": "https://example.org"},
    {"workflow": {"name": "g", "nodes": [{"b": 1, "a": 2}]}},
]


@given(OBJECTS.filter(lambda params: 1 not in params), st.sampled_from(BODIES), st.none() | st.just("key"))
def test_a_body_without_files_has_the_fingerprint_that_any_has(params: Any, extra: Any, key: str | None) -> None:
    body = msgspec.convert({"workflow": "w", "idempotency_key": key} | extra, SubmitJob)
    body.params = params
    try:
        at_length = fingerprint(body, dict(params))
    except (UnicodeEncodeError, OverflowError, AttributeError):
        return  # no body as it is decoded, or none without files
    if "$file" not in repr(params):
        assert fingerprint(body, params) == at_length
        assert fingerprint(msgspec.structs.replace(body, idempotency_key="other"), params) == at_length


@given(st.dictionaries(st.text(max_size=2) | st.sampled_from(["$a", "a$"]), VALUES | st.just("***"), max_size=3))
def test_what_stands_for_itself_is_neither_nested_nor_hidden_nor_reserved(params: Any) -> None:
    assert stands_for_itself(params) is all(
        not isinstance(value, dict | list) and value != "***" and not name.startswith("$")
        for name, value in params.items()
    )


SAID = [{}] * 8 + [
    {"tenant": "acme"},
    {"tenant": "other"},
    {"priority": 2},
    {"labels": {"k": "v"}},
    {"labels": {"k": "\x00"}},
    {"delay_s": 2.0},
    {"delay_s": 2.0, "run_at": "2030-01-01T00:00:00Z"},
    {"webhook_url": "https://example.org"},
    {"depends_on": ["j", {"job": "k", "on": "end"}]},
    {"requires_approval": False},
    {"idempotency_key": None},
    {"idempotency_key": "not\n"},
    {"workflow": {"name": "g", "weight": 1}},
    {"workflow": {"name": "g", "weight": 1.0}},
    {"params": {}},
    {"params": {"deep": [1, {"a": None}]}},
    {"params": {"n": "***"}},
    {"params": {"$file": 1}},
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(SAID), min_size=2, max_size=8), st.sampled_from([None, 3]))
def test_bodies_of_a_batch_are_read_as_if_each_had_come_alone(said: list[dict[str, Any]], cap: int | None) -> None:
    """Most of them say the same but for params and key (`to_submissions`)."""
    identity = SimpleNamespace(tenant=None, name="ci", key=None if cap is None else object(), priority_cap=cap)
    services = SimpleNamespace(options=SimpleNamespace(webhook_allow_private=True), catalog=NoSchemas())
    call: Any = SimpleNamespace(identity=identity, services=services, correlation_id="c", traceparent="t")
    batch = [
        msgspec.convert({"workflow": "w", "params": {"n": n}, "idempotency_key": f"key-{n}"} | one, SubmitJob)
        for n, one in enumerate(said)
    ]
    copies = copy.deepcopy(batch)
    together = _read(call, batch)
    alone = [_read(call, [one]) for one in batch]
    assert batch == copies
    faults = [place for place, one in enumerate(alone) if isinstance(one, OrpheusError)]
    if not faults:
        assert msgspec.json.encode(together) == msgspec.json.encode([one[0] for one in alone])
        return
    first = alone[faults[0]]
    assert isinstance(together, OrpheusError)
    assert (type(together), together.message) == (type(first), first.message.replace("job 0", f"job {faults[0]}"))


class NoSchemas:
    async def params_schema(self, _workflow: Any) -> None:
        return None


def _read(call: Any, batch: list[SubmitJob]) -> Any:
    try:
        return asyncio.run(to_submissions(call, batch))
    except OrpheusError as error:
        return error
