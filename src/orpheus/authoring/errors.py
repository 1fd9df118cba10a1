"""What authors see and say: faults in a definition, and the ways a handler may end badly.

InvalidGraph (core)
  └─ TraceError          a reference was used as a value while a workflow was being traced
     └─ DefinitionError  a task or workflow cannot be defined like this
Permanent                the handler knows that another try is useless
RetryAfter               try again, in that many seconds
Cancelled                the attempt was told to stop (a BaseException: `except Exception` lets it through)
"""

from __future__ import annotations

import asyncio

from orpheus.core.errors import InvalidGraph


class TraceError(InvalidGraph):
    """A reference was used as if its value were known while the graph is being traced; the hint says what to write."""


class DefinitionError(TraceError):
    """A task or workflow cannot be defined or called like this."""


class Permanent(Exception):
    """Raised by a handler: this attempt failed, and so would any other (R17).

    Args:
        message: for the person who looks at the job.
        hint: what they can do.
        code: error code of the task, `task_failed` unless the handler knows better.
    """

    def __init__(self, message: str = "", *, hint: str = "", code: str = "task_failed") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


class RetryAfter(Exception):
    """Raised by a handler: try again after `delay_s` seconds instead of the policy's wait; it still counts as a retry.

    Args:
        delay_s: seconds from now.
        message: why.
    """

    def __init__(self, delay_s: float, message: str = "") -> None:
        super().__init__(message or f"asked to be tried again in {delay_s:g} s")
        self.delay_s = float(delay_s)
        self.message = message or str(self)


class Cancelled(asyncio.CancelledError):
    """The attempt was told to stop. Clean up and let it pass: what is returned after it is not kept (R18)."""
