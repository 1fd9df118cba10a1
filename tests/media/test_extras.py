"""Packages of extras are loaded when needed, and report to nobody."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orpheus.media.extras import need

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


SETTINGS = """
from orpheus.media.documents.ocr import Reader
from orpheus.media.speech.recogniser import Recogniser
Reader()
Recogniser()
"""


def test_speech_does_not_spin_while_it_waits_and_has_its_threads_after_ocr() -> None:
    """OpenMP tells its settings as it is loaded: it sleeps, and the limit that is meant for Tesseract does not reach it."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", SETTINGS],
        env=environment | {"OMP_DISPLAY_ENV": "true"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    told = [line.strip() for line in done.stderr.splitlines() if "OMP_" in line]
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in told, done.stderr
    assert "OMP_THREAD_LIMIT = '1'" not in told


def test_a_variable_of_a_package_is_there_while_it_is_loaded_and_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reads_once.py").write_text("import os; seen = os.environ.get('READS_ONCE')\n")
    (tmp_path / "reads_again.py").write_text("import os; seen = os.environ.get('READS_ONCE')\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert need("reads_once", READS_ONCE="ours").seen == "ours"
    assert "READS_ONCE" not in os.environ
    monkeypatch.setenv("READS_ONCE", "the user's")
    assert need("reads_again", READS_ONCE="ours").seen == "the user's"
    assert os.environ["READS_ONCE"] == "the user's"
