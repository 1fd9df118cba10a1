"""Files by URL and by artifact, from the submission to the result, with real processes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orpheus.client import Invalid

from .conftest import Deployment

FLOWS = """
from orpheus import Context, File, task, workflow


@task
def weigh(ctx: Context, source: File, extra: list[File]) -> list[int]:
    return [len(ctx.path(file).read_bytes()) for file in (source, *extra)]


@task
def copy(ctx: Context, source: File, weights: list[int]) -> File:
    return ctx.save("copies/" + source.name, ctx.path(source), "text/plain", {"weights": weights})


@workflow
def weighed(source: File, extra: list[File] = []) -> File:
    return copy(source, weigh(source, extra))
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    folder = tmp_path_factory.mktemp("urls")
    (folder / "flows.py").write_text(FLOWS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORPHEUS_FETCH_ALLOW_PRIVATE", "1")
        patch.setenv("ORPHEUS_FETCH_MAX_BYTES", "100000")
        deployment = Deployment(folder, "--import", "flows.py")
    yield deployment
    deployment.stop()


@pytest.fixture
def site():
    from tests.fetch.conftest import Site

    made = Site()
    yield made
    made.server.shutdown()
    made.server.server_close()


def submit(up, source, **params):
    return up.client.submit("weighed", {"source": source, **params})


def test_a_task_fetches_what_a_job_names(up, site):
    """Accepted at once; the files are artifacts with their sha256; every task gets files."""
    one, two = site.serve("/one.txt", b"1" * 11), site.serve("/two.txt", b"2" * 22)
    job = submit(up, {"url": one}, extra=[{"url": two}, {"url": one}])
    assert job.state in ("queued", "running") and job.params["source"] == {"$url": one}
    done = up.client.wait(job.job_id, timeout_s=30)
    assert done.state == "completed", done.error
    artifacts = {each.name: each for each in up.client.artifacts(job.job_id)}
    assert set(artifacts) == {
        "fetched/source/one.txt",
        "fetched/extra/two.txt",
        "fetched/extra/one.txt",
        "copies/one.txt",
    }
    assert artifacts["fetched/source/one.txt"].sha256 == hashlib.sha256(b"1" * 11).hexdigest()
    assert artifacts["fetched/source/one.txt"].metadata == {"url": one}
    assert artifacts["copies/one.txt"].metadata == {"weights": [11, 22, 11]}
    assert [task.name for task in up.client.tasks(job.job_id)] == ["fetch.source", "fetch.extra", "weigh", "copy"]


def test_what_was_fetched_is_kept(up, site):
    """A rewind to a later task does not fetch again, a rewind to the fetch does (R20)."""
    url = site.serve("/kept.txt", b"kept")
    job_id = submit(up, {"url": url}).job_id
    assert up.client.wait(job_id, timeout_s=30).state == "completed"
    up.client.retry(job_id, from_task="weigh")
    assert up.client.wait(job_id, timeout_s=30).state == "completed"
    assert site.asked == ["/kept.txt"]
    site.serve("/kept.txt", b"changed")
    up.client.retry(job_id, from_task="fetch.source")
    assert up.client.wait(job_id, timeout_s=30).state == "completed"
    assert site.asked == ["/kept.txt"] * 2
    assert next(a for a in up.client.artifacts(job_id) if a.name == "copies/kept.txt").metadata == {"weights": [7]}


def test_what_cannot_be_fetched_fails_the_job(up, site):
    """404 at once; too large at once; each with its code."""
    for url, code in (
        (site.serve("/gone", b"", status=404), "fetch_failed"),
        (site.serve("/big", b"x" * 100_001), "too_large"),
    ):
        done = up.client.wait(submit(up, {"url": url}).job_id, timeout_s=30)
        assert (done.state, done.error.code, done.error.task) == ("failed", code, "fetch.source")
    assert site.asked == ["/gone", "/big"]


def test_another_try_may_succeed(up, site):
    """503 with Retry-After is tried again."""
    job_id = submit(up, {"url": site.serve("/busy", b"", status=503, Retry_After="1")}).job_id
    deadline = time.monotonic() + 30
    while not site.asked:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    site.serve("/busy", b"at last")
    done = up.client.wait(job_id, timeout_s=30)
    assert done.state == "completed" and len(site.asked) == 2


@pytest.mark.parametrize(
    "source",
    [
        {"url": "file:///etc/passwd"},
        {"url": "http://"},
        {"url": "https://u:p@example.org/"},
        {"url": "talk.mp4"},
        {"url": 5},
        {"url": "http://example.org/", "headers": {}},
        {"$url": "http://example.org/"},
    ],
)
def test_what_is_no_url_is_refused_at_once(up, source):
    """With its place; nothing is created."""
    with pytest.raises(Invalid) as caught:
        submit(up, source)
    assert caught.value.code == "invalid_params" and caught.value.details[0]["path"].startswith("/params/source")


def test_edited_params_may_not_bring_a_url(up, site):
    """The definition is fixed at submission (R11): another URL may stand where one stood, nowhere else (R15)."""
    url = site.serve("/new.txt", b"new")
    file = up.client.upload(Path(__file__))
    held = up.client.submit("weighed", {"source": {"file_id": file.file_id}}, requires_approval=True)
    with pytest.raises(Invalid):
        up.client.approve(held.job_id, params={"source": {"url": url}})
    held = up.client.submit("weighed", {"source": {"url": site.url + "/never"}}, requires_approval=True)
    up.client.approve(held.job_id, params={"source": {"url": url}})
    assert up.client.wait(held.job_id, timeout_s=30).state == "completed" and site.asked == ["/new.txt"]
    held = up.client.submit("weighed", {"source": {"url": site.url + "/never"}}, requires_approval=True)
    up.client.approve(held.job_id, params={"source": {"file_id": file.file_id}})
    assert up.client.wait(held.job_id, timeout_s=30).state == "completed" and len(site.asked) == 1


def test_a_job_takes_another_jobs_artifact(up, site):
    """By job and name; unknown ones, and those of another tenant, are refused at their place."""
    first = up.client.wait(submit(up, {"url": site.serve("/a.txt", b"abc")}).job_id, timeout_s=30)
    second = submit(up, {"artifact": {"job": first.job_id, "name": "copies/a.txt"}})
    done = up.client.wait(second.job_id, timeout_s=30)
    assert done.state == "completed" and done.params["source"]["$file"]["name"] == "a.txt"
    assert json.dumps(done.params).count(hashlib.sha256(b"abc").hexdigest()) == 1
    for job_id, name, path, options in (
        (first.job_id, "copies/b.txt", "/params/source/artifact/name", {}),
        ("nobody", "copies/a.txt", "/params/source/artifact/job", {}),
        (first.job_id, "copies/a.txt", "/params/source/artifact/job", {"tenant": "acme"}),
    ):
        with pytest.raises(Invalid) as caught:
            up.client.submit("weighed", {"source": {"artifact": {"job": job_id, "name": name}}}, **options)
        assert caught.value.details[0]["path"] == path


def test_the_command_line_takes_a_url(up, site, tmp_path):
    """In the place of a file."""

    url = site.serve("/cli.txt", b"cli")
    command = [
        sys.executable,
        "-m",
        "orpheus.cli",
        "submit",
        url,
        "-w",
        "weighed",
        "--server",
        up.url,
        "--wait",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["params"]["source"] == {"$url": url}
