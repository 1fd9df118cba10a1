"""Lists of jobs against a filter in Python, page by page, whatever is combined."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orpheus.core.decision import Decision, Event
from orpheus.core.errors import InvalidRequest
from orpheus.core.job import Job, JobState
from orpheus.store import Store, listing
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


@given(made=JOBS, wanted=FILTERS, limit=st.integers(1, 7), scan=st.sampled_from((1, 3, 10_000)))
@settings(max_examples=400, deadline=None)
def test_pages_are_what_a_filter_in_python_finds(
    empty: Store, made: list[Any], wanted: Filter, limit: int, scan: int
) -> None:
    """Every fitting job once, newest first, no other; also when pages are cut short by the bound on what is looked at."""
    tx = empty.begin()
    try:
        jobs = []
        for number, (state, tenant, workflow, labels, word, at) in enumerate(made):
            job = Job(
                f"job-{number:03}", tenant, workflow, 1, "d", JobState(state), float(at), "c",
                labels=dict(labels), last_seq=1, updated_at=float(at),
            )  # fmt: skip
            params = {"text": word}
            tx.apply(Decision(job=job, is_new=True, params=params, events=[Event(1, "job.created", 0.0, "t")]))
            jobs.append((job, params))
        tx.flush()
        expected = [
            job.job_id
            for _place, (job, params) in sorted(
                enumerate(jobs), key=lambda one: (one[1][0].created_at, one[0]), reverse=True
            )
            if fits(job, params, wanted)
        ]
        found: list[str] = []
        cursor: str | None = None
        pages = 0
        kept = listing.SCAN, listing.MAX_SCANNED
        listing.SCAN, listing.MAX_SCANNED = scan, scan * 2
        try:
            while True:
                page, cursor = list_jobs(empty.connection, wanted, limit=limit, cursor=cursor)
                assert len(page) <= limit
                found += [job.job_id for job in page]
                pages += 1
                assert pages < 500, "a list comes to its end"
                if cursor is None:
                    break
        finally:
            listing.SCAN, listing.MAX_SCANNED = kept
        assert found == expected
        _skips(empty, wanted, expected, limit)
    finally:
        empty.rollback()


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
