"""schemathesis reads the OpenAPI document and tries to prove it wrong. Bounded to about a minute."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

# What a schema cannot say: whether a cursor is one of ours, whether params fit the job's workflow, whether a graph holds
# together. There, a well-formed body may still be refused with 422. And what waits by design is not waited for: some of the
# jobs that come up never end. `DELETE /jobs/{id}` cancels: the job stays to be looked at, so use_after_free is not asked.
# The first key that is made shuts the server, so none is made.
CONFIG = """
[[operations]]
include-path-regex = "^/(approvals|estimate|jobs(/batch|/bulk)?|jobs/.job_id./(tasks|approve)|workflows|audit|prune|backup|cache/clear)$"
[operations.checks.positive_data_acceptance]
enabled = false

[[operations]]
include-path-regex = "^/(schedules(/.name.)?|webhooks(/.webhook_id.(/rotate)?)?)$"
[operations.checks.positive_data_acceptance]
enabled = false

[[operations]]
include-name = ["GET /jobs/{job_id}", "POST /jobs"]
[operations.parameters]
wait_s = 0.1

[[operations]]
include-name-regex = "^GET /jobs/.job_id./(events|logs)$"
[operations.parameters]
follow = false

[[operations]]
include-path-regex = "content$|artifacts/|objects/"
[operations.checks.positive_data_acceptance]
enabled = false # a range behind the end of the file is 416
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_schemathesis_finds_nothing(live, submit):
    """No 500, no undocumented status, content type or shape, no nonsense accepted."""
    submit(labels={"for": "schemathesis"})
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "schemathesis.toml")
        config.write_text(CONFIG)
        command = [
            str(Path(sys.executable).with_name("schemathesis")), f"--config-file={config}", "run", f"{live.url}/openapi.json",
            "--max-examples=8", "--seed=1", "--suppress-health-check=all", "--request-timeout=8", "--workers=2",
            "--exclude-path=/stream", "--exclude-path=/keys", "--exclude-checks=use_after_free", "--continue-on-failure", "--no-color",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=280, cwd=folder)
    assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-2000:]
