"""What we ship for tests: the kit for users' workflows, and the tools our own tests are made with.

    from orpheus.testing import Kit

    def test_talk() -> None:
        with Kit(flows) as kit:
            kit.fake("transcribe", returns=Transcript(...))
            job = kit.submit(talk, source=kit.file("talk.mp4", b"..."))
            job.run()
            assert job.state == "completed"

Nothing is loaded until a name is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orpheus.testing.inline import InlineRun, run_job
    from orpheus.testing.kit.errors import JobFailed, Stuck
    from orpheus.testing.kit.events import EventLog
    from orpheus.testing.kit.fakes import Call, Fake
    from orpheus.testing.kit.jobs import KitJob
    from orpheus.testing.kit.kit import Kit

__all__ = ["Call", "EventLog", "Fake", "InlineRun", "JobFailed", "Kit", "KitJob", "Stuck", "run_job"]

_HOMES = {
    "Call": "kit.fakes",
    "EventLog": "kit.events",
    "Fake": "kit.fakes",
    "InlineRun": "inline",
    "JobFailed": "kit.errors",
    "Kit": "kit.kit",
    "KitJob": "kit.jobs",
    "Stuck": "kit.errors",
    "run_job": "inline",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'orpheus.testing' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"orpheus.testing.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
