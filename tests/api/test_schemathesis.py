"""schemathesis reads the OpenAPI document and tries to prove it wrong. Bounded to about a minute."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

# What a schema cannot say: whether a cursor is one of ours, whether params fit the job's workflow, whether a graph holds
# together. There, a well-formed body may still be refused with 422.
CONFIG = """
[[operations]]
include-path-regex = "^/(jobs|jobs/batch|jobs/.job_id./(tasks|approve)|workflows)$"
[operations.checks.positive_data_acceptance]
enabled = false
"""


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_schemathesis_finds_nothing(live, submit):
    """No 500, no undocumented status, content type or shape, no nonsense accepted."""
    submit(labels={"for": "schemathesis"})
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "schemathesis.toml")
        config.write_text(CONFIG)
        command = [
            str(Path(sys.executable).with_name("schemathesis")), f"--config-file={config}", "run", f"{live.url}/openapi.json",
            "--max-examples=15", "--seed=1", "--suppress-health-check=all", "--request-timeout=8", "--workers=2",
            "--exclude-path=/stream", "--continue-on-failure", "--no-color",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=140, cwd=folder)
    assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-2000:]
