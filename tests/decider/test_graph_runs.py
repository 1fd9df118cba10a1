"""How a graph runs: order, branches, skips, joins, outputs (R11, R12)."""

import pytest

from orpheus.core import facts as f
from orpheus.core.decision import Finalise, ForgetRun, PublishArtifacts, TellDependents
from orpheus.core.errors import InvalidTransition, StaleRun

REF = lambda name, *path: {"$get": [{"$ref": name}, *path]} if path else {"$ref": name}  # noqa: E731


def test_one_task_from_submission_to_result(bench):
    """The life of the smallest job, event by event."""
    b = bench(
        [{"name": "a", "args": {"n": {"$param": "n"}}}],
        output=REF("a"),
        params={"n": {"type": "integer"}},
        values={"n": 4},
    )
    assert b.job == "queued"
    b.claim("a")
    assert b.args() == {"n": 4}
    assert b.job == "running"
    b.complete("a", 16)
    assert (b.job, b.view.job_result, b.view.job().progress_percentage) == ("completed", 16, 100)
    assert b.types == [
        "job.created",
        "job.queued",
        "task.ready",
        "job.started",
        "task.started",
        "task.completed",
        "job.completed",
    ]
    assert b.commanded(TellDependents) == [TellDependents("completed")]
    assert b.commanded(ForgetRun) == [ForgetRun("run-1")]


def test_a_diamond_joins_once(bench):
    """A join waits for both branches and gets both values."""
    b = bench(
        [
            {"name": "a"},
            {"name": "l", "args": {"x": REF("a")}},
            {"name": "r", "args": {"x": REF("a")}},
            {"name": "j", "args": {"both": [REF("l"), REF("r", "v")]}},
        ],
        output=REF("j"),
    )
    assert b.ready() == ["a"]
    b.complete("a", 1)
    assert b.ready() == ["l", "r"]
    b.complete("r", {"v": "R"})
    assert b.state("j") == "blocked"
    b.complete("l", "L")
    b.claim("j")
    assert b.args() == {"both": ["L", "R"]}
    b.complete("j", "done")
    assert b.view.job_result == "done"


def test_branches_by_condition_and_first_of(bench):
    """Only the branch whose condition holds runs; its sibling is skipped; first_of takes what is there."""
    b = bench(
        [
            {"name": "meta"},
            {"name": "img", "args": {"x": 1}, "when": {"$eq": [REF("meta", "kind"), "image"]}},
            {"name": "vid", "args": {"x": 1}, "when": {"$eq": [REF("meta", "kind"), "video"]}},
            {"name": "sum", "args": {"a": {"$first_of": [REF("img"), REF("vid")]}, "o": {"$optional": REF("img")}}},
        ],
        output={"i": REF("img"), "s": REF("sum")},
    )
    b.complete("meta", {"kind": "video"})
    assert (b.state("img"), b.state("vid")) == ("skipped", "ready")
    b.complete("vid", "V")
    b.claim("sum")
    assert b.args() == {"a": "V", "o": None}
    b.complete("sum", "S")
    assert b.view.job_result == {"i": None, "s": "S"}  # a skipped output is null (R12)


def test_skips_run_down_a_long_chain(bench):
    """A skipped input skips its consumer, thousands deep, in one decision; after= only orders."""
    nodes = [{"name": "n0", "when": {"$param": "go"}}]
    nodes += [{"name": f"n{i}", "args": {"x": REF(f"n{i - 1}")}} for i in range(1, 3000)]
    nodes += [{"name": "last", "after": ["n2999"]}]
    b = bench(nodes, params={"go": {"type": "boolean"}}, values={"go": False}, output=REF("n5"))
    assert b.view.job().counts["skipped"] == 3000
    assert b.ready() == ["last"]
    b.complete("last")
    assert (b.job, b.view.job_result) == ("completed", None)


def test_a_job_whose_every_node_is_skipped_completes(bench):
    """Nothing to do is done."""
    b = bench([{"name": "a", "when": False}])
    assert b.job == "completed"
    assert "job.started" not in b.types


def test_a_value_that_was_not_returned_is_permanent(bench):
    """binding_failed: no attempt is made, the job fails and says what is missing (R12)."""
    b = bench([{"name": "a"}, {"name": "b", "args": {"x": REF("a", "size")}}])
    b.complete("a", {"width": 1})
    b.claim("b")
    assert b.last.assignment is None
    error = b.view.job().error
    assert (b.job, error.code, error.task, b.task("b").attempt) == ("failed", "binding_failed", "b", 0)
    assert "'a' has no 'size'" in error.message


def test_an_output_that_cannot_be_made_fails_the_job(bench):
    """The output is bound like any input."""
    b = bench([{"name": "a"}], output=REF("a", "x"))
    b.complete("a", 3)
    assert (b.job, b.view.job().error.code) == ("failed", "binding_failed")


def test_only_the_current_run_reports(bench):
    """A second report, a foreign run, an unknown task: stale_run, and nothing changes (R6)."""
    b = bench([{"name": "a"}, {"name": "b", "after": ["a"]}])
    run = b.claim("a")
    for fact in (
        f.RunCompleted(node="a", run_id="other"),
        f.RunCompleted(node="zzz", run_id=run),
        f.RunCompleted(node="a", index=3, run_id=run),
        f.RunLost(node="b", run_id=run),
    ):
        with pytest.raises(StaleRun):
            b.tell(fact)
    b.complete("a", 1)
    seq = b.view.job().last_seq
    with pytest.raises(StaleRun):
        b.tell(f.RunCompleted(node="a", run_id=run, result=2))
    assert (b.view.result("a"), b.view.job().last_seq) == (1, seq)


def test_a_task_is_claimed_once(bench):
    """The table refuses a second claim."""
    b = bench([{"name": "a"}, {"name": "b", "after": ["a"]}])
    b.claim("a")
    for node in ("a", "b"):
        with pytest.raises(InvalidTransition):
            b.claim(node)


def test_files_end_a_job_by_way_of_its_manifest(bench):
    """A job with artifacts stays running until `Finalised`, and the first command is to publish them (R10)."""
    b = bench([{"name": "a"}, {"name": "b", "after": ["a"]}])
    ref = f.ArtifactRef(
        name="out.txt", key=".runs/run-1/out.txt", sha256="0" * 64, size_bytes=1, content_type="text/plain"
    )
    b.complete("a", None, artifacts=(ref,))
    assert b.commanded(PublishArtifacts)
    b.tell(f.ArtifactsPublished(names=("out.txt",)))
    b.complete("b")
    assert (b.job, str(b.view.job().closing)) == ("running", "completed")
    assert b.commanded(Finalise) == [Finalise("completed", 1)]
    b.tell(f.Finalised(outcome="failed", generation=1))  # not the end that was decided
    assert b.job == "running"
    b.tell(f.Finalised(outcome="completed", generation=1))
    assert b.job == "completed"
    assert b.types[-1] == "job.completed"


def test_two_artifacts_of_one_name(bench):
    """artifact_conflict: the later attempt fails for good and says which name (R10)."""
    b = bench([{"name": "a"}, {"name": "b", "after": ["a"]}])
    ref = f.ArtifactRef(name="out.txt", key="k", sha256="0" * 64, size_bytes=1, content_type="text/plain")
    b.complete("a", None, artifacts=(ref,))
    b.complete("b", None, artifacts=(ref,))
    assert b.task("b").error.code == "artifact_conflict"
    assert str(b.view.job().closing) == "failed"


def test_progress_never_goes_backwards(bench):
    """A retry starts over, the percentage does not (promise 7)."""
    b = bench([{"name": "a", "weight": 3}, {"name": "b", "after": ["a"]}])
    run = b.claim("a")
    b.tell(f.RunProgressed(node="a", run_id=run, fraction=0.5, stage="half"))
    assert (b.view.job().progress_percentage, b.view.job().current_stage) == (37.5, "half")
    b.fail("a")
    b.sleep_until_due()
    run = b.claim("a")
    b.tell(f.RunProgressed(node="a", run_id=run, fraction=0.1))
    assert b.view.job().progress_percentage == 37.5
    b.complete("a")
    assert b.view.job().progress_percentage == 75
    b.complete("b")
    assert b.view.job().progress_percentage == 100


def test_sleep_begins_the_job_and_ends_by_the_clock(bench):
    """A sleep holds no worker; the job is running from it (design section 1)."""
    b = bench([{"name": "s", "kind": "sleep", "duration": 60}, {"name": "a", "after": ["s"]}])
    assert (b.job, b.state("s"), b.view.next_wake()) == ("running", "waiting", 1060)
    b.sleep_until_due()
    assert b.ready() == ["a"]
