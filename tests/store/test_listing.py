"""Lists of jobs against a filter in Python, page by page, whatever is combined."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orpheus.core.decision import Decision, Event
from orpheus.core.errors import InvalidRequest
from orpheus.core.job import Job, JobState
from orpheus.store import Store, walks
from orpheus.store.listing import list_jobs
from orpheus.store.rows import to_json

STATES = [str(state) for state in JobState]
TENANTS = ("ada", "bob", "zoe")
WORKFLOWS = ("media", "wordcount")
LABELS = (("team", "a"), ("team", "b"), ("kind", "x_y"), ("kind", "x%y"))
WORDS = ("alpha", "Beta", "x_y", "100%", "job-00", 'quo"te')


@dataclass(frozen=True)
class Filter:
    """As engine.base.JobFilter."""

    states: tuple[str, ...] = ()
    workflow: str | None = None
    tenant: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    q: str | None = None
    created_after: float | None = None
    created_before: float | None = None
    parent: str | None = None
    depends_on: str | None = None
    needed_by: str | None = None
    failure: str | None = None


JOBS = st.lists(
    st.tuples(
        st.sampled_from(STATES),
        st.sampled_from(TENANTS),
        st.sampled_from(WORKFLOWS),
        st.lists(st.sampled_from(LABELS), max_size=2),
        st.sampled_from(WORDS),
        st.integers(0, 8),
    ),
    max_size=40,
)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


INSTANT = maybe(st.integers(0, 9).map(float))
FILTERS = st.builds(
    Filter,
    states=st.lists(st.sampled_from(STATES), max_size=3).map(tuple),
    workflow=maybe(st.sampled_from((*WORKFLOWS, "nothing"))),
    tenant=maybe(st.sampled_from(TENANTS)),
    labels=st.lists(st.sampled_from(LABELS), max_size=2).map(tuple),
    q=maybe(st.sampled_from((*WORDS, "ALPHA", "_", "%", "media", "team"))),
    created_after=INSTANT,
    created_before=INSTANT,
)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store.open(Path(tmp_path_factory.mktemp("listing")) / "orpheus.db", now=0.0, epoch="e")


@contextlib.contextmanager
def holding(store: Store, jobs: Sequence[tuple[Job, Any]]) -> Iterator[None]:
    """The store with these jobs, and their params, until the end of the block."""
    tx = store.begin()
    try:
        for job, params in jobs:
            tx.apply(Decision(job=job, is_new=True, params=params, events=[Event(1, "job.created", 0.0, "t")]))
        tx.flush()
        yield
    finally:
        store.rollback()


def job(number: int, state: str, tenant: str, workflow: str, labels: Any, at: float) -> Job:
    return Job(
        f"job-{number:03}", tenant, workflow, 1, "d", JobState(state), at, "c",
        labels=dict(labels), last_seq=1, updated_at=at,
    )  # fmt: skip


def pages(store: Store, wanted: Filter, limit: int) -> list[list[str]]:
    """Every page of a list, to its end."""
    found: list[list[str]] = []
    cursor: str | None = None
    while not found or cursor is not None:
        page, cursor = list_jobs(store.connection, wanted, limit=limit, cursor=cursor)
        assert len(page) <= limit
        found.append([job.job_id for job in page])
        assert len(found) < 500, "a list comes to its end"
    return found


def fits(job: Job, params: Any, wanted: Filter) -> bool:
    text = [job.job_id, job.workflow, to_json(job.labels) if job.labels else "", to_json(params)]
    return (
        (not wanted.states or job.state in wanted.states)
        and wanted.workflow in (None, job.workflow)
        and wanted.tenant in (None, job.tenant)
        and all(job.labels.get(key) == value for key, value in wanted.labels)
        and (not wanted.q or any(wanted.q.lower() in part.lower() for part in text))
        and (wanted.created_after is None or job.created_at >= wanted.created_after)
        and (wanted.created_before is None or job.created_at < wanted.created_before)
    )


@given(
    made=JOBS,
    wanted=FILTERS,
    limit=st.integers(1, 7),
    block=st.sampled_from((1, 3, 10_000)),
    rounds=st.sampled_from((1, 8)),
    look_s=st.sampled_from((0.0, math.inf)),
)
@settings(max_examples=400, deadline=None)
def test_pages_are_what_a_filter_in_python_finds(
    empty: Store, made: list[Any], wanted: Filter, limit: int, block: int, rounds: int, look_s: float
) -> None:
    """Every fitting job once, newest first, no other; wherever walks leap, and when pages are cut short because the time is over."""
    jobs = [
        (job(number, state, tenant, workflow, labels, float(at)), {"text": word})
        for number, (state, tenant, workflow, labels, word, at) in enumerate(made)
    ]
    newest = sorted(enumerate(jobs), key=lambda one: (one[1][0].created_at, one[0]), reverse=True)
    expected = [job.job_id for _number, (job, params) in newest if fits(job, params, wanted)]
    with holding(empty, jobs), pytest.MonkeyPatch.context() as patch:
        for name, value in (("BLOCK", block), ("ROUNDS", rounds), ("LOOK_S", look_s)):
            patch.setattr(walks, name, value)
        assert [each for page in pages(empty, wanted, limit) for each in page] == expected
        patch.undo()
        _skips(empty, wanted, expected, limit)


def _skips(store: Store, wanted: Filter, expected: list[str], limit: int) -> None:
    """To skip is to follow the cursors; where rows would have to be looked at for it, it is refused."""
    filters = [wanted.states, wanted.workflow, wanted.tenant, *dict.fromkeys(wanted.labels), wanted.q]
    _, cursor = list_jobs(store.connection, wanted, limit=2, cursor=None)
    for begin, after in ((0, None), (2, cursor)) if cursor else ((0, None),):
        for skip in (1, 3, 50):
            try:
                page, _ = list_jobs(store.connection, wanted, limit=limit, cursor=after, skip=skip)
            except InvalidRequest:
                assert sum(bool(one) for one in filters) > 1 or wanted.q
                return
            assert [job.job_id for job in page] == expected[begin + skip :][:limit]


LEAPT = [
    Filter(states=("completed",), workflow="media"),
    Filter(states=("completed",), tenant="ada"),
    Filter(states=("completed",), labels=(("team", "a"),)),
    Filter(states=("completed", "failed"), workflow="media"),
    Filter(states=("completed", "failed", "cancelled"), tenant="ada", labels=(("team", "a"),), created_after=1.0),
]


@pytest.mark.parametrize("wanted", LEAPT)
@pytest.mark.parametrize("step", [1.0, 0.0], ids=["one after the other", "of one instant"])
def test_a_run_of_other_jobs_costs_the_same_whatever_its_length(empty: Store, wanted: Filter, step: float) -> None:
    """The newest have the wrong state, those before them the wrong anything else; each index of a condition has a run that does not fit."""

    def steps(others: int) -> int:
        fitting = [("completed", "ada", "media", {"team": "a"})] * 30
        run = [("completed", "bob", "wordcount", {"team": "b"})] * others
        newest = [("queued", "ada", "media", {"team": "a"})] * others
        ats = [float(number) for number in range(30)]
        ats += [100.0 + step * number for number in range(others)]
        ats += [100_000.0 + step * number for number in range(others)]
        jobs = [job(n, *kind, at) for n, (kind, at) in enumerate(zip([*fitting, *run, *newest], ats, strict=True))]
        counted = 0

        def count() -> None:
            nonlocal counted
            counted += 1

        with holding(empty, [(one, None) for one in jobs]):
            empty.connection.set_progress_handler(count, 10)
            page, _ = list_jobs(empty.connection, wanted, limit=5, cursor=None)
            empty.connection.set_progress_handler(None, 0)
        assert [one.job_id for one in page] == [f"job-{number:03}" for number in range(29, 24, -1)]
        return counted

    few, many = steps(600), steps(6_000)
    assert many < 1.1 * few


def test_a_page_that_finds_little_is_given_up_in_time(empty: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is empty and has a cursor, and the cursors lead to the end; nobody waits for all rows to be looked at."""
    ticks = iter(range(1_000))
    monkeypatch.setattr(walks, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    monkeypatch.setattr(walks, "LOOK_S", 3)
    monkeypatch.setattr(walks, "BLOCK", 10)
    jobs = [(job(number, "queued", "ada", "media", {}, float(number)), {"text": "alpha"}) for number in range(95)]
    with holding(empty, jobs):
        assert pages(empty, Filter(q="nowhere"), 50) == [[]] * 4, "three blocks of ten a page"
        assert pages(empty, Filter(q="job-004"), 50) == [[], [], [], ["job-004"]]
        monkeypatch.setattr(walks, "LOOK_S", 0)
        assert len(pages(empty, Filter(q="nowhere"), 50)) == 10, "one block at least, whatever the clock says"


@pytest.mark.parametrize("kind", ["parent", "depends_on", "needed_by"])
def test_relatives_are_listed_in_the_order_of_their_submission(
    empty: Store, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after the clock was set back in between; filters, times and short pages are as elsewhere."""
    monkeypatch.setattr(walks, "BLOCK", 3)
    monkeypatch.setattr(walks, "LOOK_S", 0.0)
    ats = [float(number if number < 10 else number - 5) for number in range(20)]
    jobs = [job(n, "failed" if n % 4 == 0 else "queued", "ada", "media", {}, at) for n, at in enumerate(ats)]
    with holding(empty, [(one, None) for one in jobs]):
        numbers = [number for (number,) in empty.connection.execute("SELECT job_no FROM jobs ORDER BY job_id")]
        one = {"parent": "job-000", "depends_on": "job-000", "needed_by": "job-019"}[kind]
        relatives = range(19) if kind == "needed_by" else range(1, 20)
        for number in relatives:
            of_parent, of_dependency = (numbers[number], numbers[0]), (numbers[0], numbers[number])
            if kind == "parent":
                empty.connection.execute("INSERT INTO children (job_no, parent_no) VALUES (?, ?)", of_parent)
            else:
                pair = (numbers[number], numbers[19]) if kind == "needed_by" else of_dependency
                empty.connection.execute("INSERT INTO dependencies VALUES (?, ?, 'end')", pair)
        wanted = replace(Filter(), **{kind: one})
        expected = [f"job-{number:03}" for number in reversed(relatives)]

        def listed(wanted: Filter) -> list[str]:
            return [each for page in pages(empty, wanted, 4) for each in page]

        assert listed(wanted) == expected
        assert listed(replace(wanted, states=("failed",))) == [each for each in expected if int(each[4:]) % 4 == 0]
        window = replace(wanted, created_after=7.0, created_before=9.0)
        assert listed(window) == [each for each in expected if 7.0 <= ats[int(each[4:])] < 9.0]
        page, _ = list_jobs(empty.connection, wanted, limit=2, cursor=None, skip=5)
        assert [each.job_id for each in page] == expected[5:7]


@pytest.mark.parametrize("cursor", ["x", "!!", "W10", "WzFd", "bnVsbA", "WyJhIiwgMV0", "[1,2]", "é", "WzFlOTk5LCAxXQ"])
def test_a_foreign_cursor_is_refused(empty: Store, cursor: str) -> None:
    """Whatever a client sends: an error of its own, or simply no rows."""
    with contextlib.suppress(InvalidRequest):
        assert list_jobs(empty.connection, Filter(), limit=5, cursor=cursor) == ([], None)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (Filter(), "jobs_by_time"),
        (Filter(states=("queued",)), "jobs_by_state (state=?"),
        (Filter(tenant="ada"), "jobs_by_tenant (tenant=?"),
        (Filter(workflow="media"), "jobs_by_workflow (workflow=?"),
        (Filter(labels=(("team", "a"),)), "PRIMARY KEY (key=? AND value=?"),
        (Filter(states=("queued", "failed"), tenant="ada", created_after=5.0), "jobs_by_"),
        (Filter(states=("queued", "failed")), "jobs_by_state (state=?"),
        (Filter(q="alpha"), "jobs_by_time"),
        (Filter(parent="job-000", states=("queued",)), "children_of_parent (parent_no=? AND job_no>? AND job_no<?"),
        (Filter(depends_on="job-000", q="alpha"), "PRIMARY KEY (on_job_no=? AND job_no>? AND job_no<?"),
        (Filter(needed_by="job-000"), "dependencies_of_job (job_no=? AND on_job_no>? AND on_job_no<?"),
    ],
)
def test_every_list_walks_an_index_in_order(empty: Store, wanted: Filter, index: str) -> None:
    """No sort, no scan of the table itself."""
    said: list[str] = []
    empty.connection.set_trace_callback(said.append)
    list_jobs(empty.connection, wanted, limit=5, cursor=None)
    empty.connection.set_trace_callback(None)
    walked = [one for one in said if "ORDER BY" in one]
    assert walked
    for statement in walked:
        plan = [row[3] for row in empty.connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        assert any(index in step for step in plan), plan
        assert not [step for step in plan if "TEMP B-TREE" in step or step == "SCAN jobs"], plan
