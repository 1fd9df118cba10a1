"""Maps: order, cap, stagger, the three ways to fail, and that an item costs the same among ten or ten thousand (R4, R13)."""

import pytest

from orpheus.core import facts as f
from orpheus.core.decision import CancelRun

REF = lambda name: {"$ref": name}  # noqa: E731


def a_map(bench, items, **options):
    node = {"name": "m", "kind": "map", "items": {"x": {"$param": "xs"}}, "args": {"style": "calm"}, **options}
    return bench(
        [node, {"name": "j", "args": {"all": REF("m")}}],
        output=REF("j"),
        params={"xs": {"type": "array"}},
        values={"xs": items},
    )


def test_results_keep_the_items_order(bench):
    """Whatever the order of completion, the join gets the list in item order."""
    b = a_map(bench, ["a", "b", "c"])
    assert b.ready() == [("m", 0), ("m", 1), ("m", 2)]
    for index in (2, 0, 1):
        b.claim("m", index)
        assert b.args() == {"style": "calm", "x": "abc"[index]}
        b.complete("m", index * 10, index)
    b.claim("j")
    assert b.args() == {"all": [0, 10, 20]}


def test_an_empty_map_completes_with_an_empty_list(bench):
    """R13."""
    b = a_map(bench, [])
    b.claim("j")
    assert b.args() == {"all": []}


@pytest.mark.parametrize("items", [3, "abc", {"a": 1}, None])
def test_only_a_list_is_mapped_over(bench, items):
    """Anything else is a binding failure, not a crash."""
    b = a_map(bench, items)
    assert (b.job, b.view.job().error.code) == ("failed", "binding_failed")


def test_the_cap_counts_what_is_released_and_not_settled(bench):
    """max_concurrency: a retrying item keeps its place."""
    b = a_map(bench, list(range(5)), max_concurrency=2)
    assert b.states("m") == ["ready", "ready", "blocked", "blocked", "blocked"]
    b.fail("m", 0)
    assert b.states("m") == ["retrying", "ready", "blocked", "blocked", "blocked"]
    b.complete("m", 0, 1)
    assert b.states("m") == ["retrying", "completed", "ready", "blocked", "blocked"]


def test_starts_are_a_stagger_apart(bench):
    """The next item is released a stagger after the *start* of the one before, however late that was."""
    b = a_map(bench, list(range(3)), stagger_s=1.0)
    assert b.states("m") == ["ready", "blocked", "blocked"]
    b.now += 5
    b.wake()
    assert b.states("m") == ["ready", "blocked", "blocked"]  # nothing has started yet
    b.claim("m", 0)
    assert b.view.next_wake() == b.now + 1
    b.complete("m", 0, 0)
    assert b.states("m") == ["completed", "blocked", "blocked"]
    b.sleep_until_due()
    assert b.states("m") == ["completed", "ready", "blocked"]
    b.complete("m", 1, 1)
    b.sleep_until_due()
    b.complete("m", 2, 2)
    assert b.ready() == ["j"]


def paced(bench, pace, items=5):
    """A map whose cap and stagger come from a task before it."""
    node = {"name": "m", "kind": "map", "items": {"x": {"$param": "xs"}}}
    options = {"max_concurrency": {"$get": [{"$ref": "p"}, "cap"]}, "stagger_s": {"$get": [{"$ref": "p"}, "apart"]}}
    b = bench(
        [{"name": "p"}, {**node, **options, "on_failure": "continue"}],
        params={"xs": {"type": "array"}},
        values={"xs": list(range(items))},
    )
    b.claim("p")
    b.complete("p", pace)
    return b


def test_cap_and_stagger_may_be_found_at_run_time(bench):
    """They are values as any other: of a param, or of an earlier task's result."""
    b = paced(bench, {"cap": 2, "apart": 0})
    assert b.states("m") == ["ready", "ready", "blocked", "blocked", "blocked"]
    b = paced(bench, {"cap": None, "apart": 2.5}, items=2)
    assert b.states("m") == ["ready", "blocked"]
    b.claim("m", 0)
    assert b.view.next_wake() == b.now + 2.5
    b.sleep_until_due()
    assert b.states("m") == ["running", "ready"]


@pytest.mark.parametrize(
    "pace",
    [{"cap": 0, "apart": 0}, {"cap": "2", "apart": 0}, {"cap": 1.5, "apart": 0}, {"cap": 1, "apart": -1}, {"cap": 1}],
)
def test_a_pace_that_is_none_is_a_binding_failure(bench, pace):
    b = paced(bench, pace)
    assert b.view.task("m").error.code == "binding_failed"


def test_a_rewound_map_finds_its_pace_anew(bench):
    b = paced(bench, {"cap": 1, "apart": 0}, items=2)
    b.complete("m", 0, 0)
    b.complete("m", 1, 1)
    b.tell(f.RetryRequested(from_task="p"))
    b.claim("p")
    b.complete("p", {"cap": 2, "apart": 0})
    assert b.states("m") == ["ready", "ready"]


def test_an_item_that_never_starts_does_not_hold_up_the_stagger(bench):
    """Its place passes to the next one."""
    b = a_map(bench, list(range(2)), stagger_s=1.0, on_failure="continue", timeouts={"schedule_to_start_s": 10})
    b.sleep_until_due()
    assert b.states("m") == ["failed", "ready"]


def test_continue_puts_a_typed_failure_at_its_index(bench):
    """R13."""
    b = a_map(bench, [1, 2, 3], on_failure="continue", retry={"max_retries": 0})
    b.complete("m", "one", 0)
    b.fail("m", 1)
    b.complete("m", "three", 2)
    b.claim("j")
    assert b.args() == {
        "all": [
            "one",
            {"$failure": {"code": "task_failed", "message": "it broke", "type": "OSError", "index": 1}},
            "three",
        ]
    }


def test_skip_counts_as_skipped(bench):
    """R13, and null keeps the place (R13a)."""
    b = a_map(bench, [1, 2], on_failure="skip", retry={"max_retries": 0})
    b.fail("m", 0)
    b.complete("m", "two", 1)
    assert b.states("m") == ["skipped", "completed"]
    b.claim("j")
    assert b.args() == {"all": [None, "two"]}


def test_fail_fails_the_map_and_stops_the_rest(bench):
    """R13: items not started are cancelled, running ones are told to stop, and the job ends when they have."""
    b = a_map(bench, list(range(4)), retry={"max_retries": 0}, max_concurrency=3)
    running = b.claim("m", 1)
    b.fail("m", 0)
    assert (b.state("m"), b.states("m")) == ("failed", ["failed", "running", "cancelled", "cancelled"])
    assert [c.run_id for c in b.commanded(CancelRun)] == [running]
    assert (b.job, b.state("j")) == ("running", "cancelled")
    b.tell(f.RunFenced(node="m", index=1, run_id=running))
    assert (b.job, b.view.job().error.task) == ("failed", "m")


def test_ten_thousand_items_that_fail_one_within_another(bench):
    """Items whose key cannot be bound fail while they are released: no recursion, all accounted for."""
    b = a_map(bench, list(range(10_000)), on_failure="continue", concurrency_key={"$get": [{"$item": True}, "k"]})
    assert b.view.job().counts["failed"] == 10_000
    assert b.ready() == ["j"]


def test_a_fact_about_one_item_reads_the_same_number_of_rows(bench):
    """R4: among 10 or 10,000 items, completing one touches its row, the map's and the job's."""
    reads = {}
    for size in (10, 10_000):
        b = a_map(bench, list(range(size)), max_concurrency=4)
        b.claim("m", 0)
        counted = Counting(b.view)
        b.view = counted
        b.tell_unchecked = b.tell
        b.check = lambda: None
        b.complete("m", 1, 0)
        reads[size] = (counted.singles, counted.lists, len(b.last.tasks) + len(b.last.new_tasks))
    assert reads[10] == reads[10_000]
    assert reads[10][1] == 0


class Counting:
    """A view that counts what is read through it."""

    def __init__(self, view):
        self._view, self.singles, self.lists = view, 0, 0

    def __getattr__(self, name):
        return getattr(self._view, name)

    def task(self, node, index=-1):
        self.singles += 1
        return self._view.task(node, index)

    def tasks(self, states=None, node=None):
        self.lists += 1
        return self._view.tasks(states, node)

    def item_outcomes(self, node):
        self.lists += 1
        return self._view.item_outcomes(node)
