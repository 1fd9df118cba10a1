"""Packages of extras are loaded when needed, and report to nobody."""

import os
import subprocess
import sys
from pathlib import Path

LOAD = """
import os, time
from orpheus.media.extras import need
need("onnxruntime")
time.sleep(0.3)
print(os.environ["ORT_DISABLE_TELEMETRY"])
"""


def test_onnxruntime_does_not_call_home(tmp_path: Path) -> None:
    """It leaves a file of its session in the temporary folder when its reporting is on."""
    environment = {key: value for key, value in os.environ.items() if key not in ("ORT_DISABLE_TELEMETRY", "CI")}
    done = subprocess.run(
        [sys.executable, "-c", LOAD],
        env=environment | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "1"
    assert list(tmp_path.iterdir()) == []
