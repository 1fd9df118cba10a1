"""The pictures of the state machines are drawn from its tables."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_states_page_is_made_from_the_tables() -> None:
    """docs/states.md is what scripts/diagram.py writes now, and no state lacks its paragraph."""
    done = subprocess.run([sys.executable, ROOT / "scripts/diagram.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
