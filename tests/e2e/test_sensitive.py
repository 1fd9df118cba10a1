"""What a workflow's author calls sensitive reaches the code and nobody else."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

KEY = "hunter2-and-more"


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return str(answer.read().decode())


def submit(url: str, params: dict[str, Any]) -> tuple[str, str]:
    body = json.dumps({"workflow": "signed", "params": params}).encode()
    request = urllib.request.Request(f"{url}/jobs", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        shown = answer.read().decode()
    return json.loads(shown)["job_id"], shown


def test_nothing_that_shows_a_job_tells_what_is_sensitive(up: Any) -> None:
    """The answer to the submission, the job, its tasks, result, events, logs, manifest and lists; also of an attempt
    that failed in a child process."""
    good, shown = submit(up.url, {"text": "a letter", "key": KEY, "spare": [KEY + "2"]})
    bad, shown_bad = submit(up.url, {"text": "", "key": KEY})
    told = [shown, shown_bad]
    for job_id, state in ((good, "completed"), (bad, "failed")):
        deadline = time.monotonic() + 30
        while (job := json.loads(get(f"{up.url}/jobs/{job_id}?wait_s=10")))["state"] not in ("completed", "failed"):
            assert time.monotonic() < deadline
        assert (job["state"], job["params"]["key"]) == (state, "***"), job
        if job_id == good:
            assert (job["result"], job["params"]["spare"]) == ("***", ["***"])
        else:
            assert job["error"]["message"] == "*** signs nothing"
        for part in ("", "/tasks?attempts=true", "/result", "/events", "/logs", "/manifest", "/graph", "/artifacts"):
            told.append(get(f"{up.url}/jobs/{job_id}{part}"))
    told.append(get(f"{up.url}/jobs?workflow=signed"))
    assert "signing with ***" in get(f"{up.url}/jobs/{good}/logs")
    assert [text for text in told if "hunter2" in text] == []
