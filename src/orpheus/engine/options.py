"""What can be tuned about the embedded engine. `settings.py` fills it; the defaults are those of formats.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orpheus.store.writer import WRITE_APART_FROM


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """Lengths in seconds, sizes in bytes."""

    env: str = "dev"
    """First part of every object's path (design.md, section 6)."""
    grace_s: float = 10.0
    """How long a run that was told to stop has to do so before it is fenced (R18)."""
    lease_s: float = 30.0
    """How long a run stays its worker's without contact (R7)."""
    poll_wait_s: float = 20.0
    """Longest wait of a poll (R8)."""
    acknowledged_s: float = 0.05
    """A poll that brought reports waits no longer for news once they are committed: its worker is to hear of that."""
    stall_s: float = 5.0
    """A gap between two ticks longer than this is a stall of ours, not silence of the workers (R7)."""
    session_idle_s: float = 300.0
    """A session without runs that was silent for this long is forgotten; its next message is `unknown_session`."""
    inline_max_bytes: int = 1_048_576
    """Hard limit of an inline result. Workers spill from 64 KiB on; the room between is for simple workers in other
    languages."""
    result_max_bytes: int = 1_073_741_824
    """Limit of a spilled result."""
    params_max_bytes: int = 4_194_304
    """Limit of a job's params."""
    log_max_bytes: int = 1_048_576
    """Log text kept per attempt; a marker says where it was cut."""
    log_max_lines: int = 10_000
    progress_every_s: float = 0.25
    """A run's progress reaches its row at most once in this time (R2: progress is no event)."""
    batch_s: float = 0.008
    """A transaction takes on no further operation after this much work, so that nobody waits long for the fsync (R3)."""
    batch_operations: int = 2_000
    batches_ahead: int = 2
    """Batches that may be on their way to the disk when the next one is decided."""
    write_apart_from: int | None = WRITE_APART_FROM
    """Changed rows from which on a transaction is written by a process beside this one, where there is a second core; None is
    never."""
    due_limit: int = 500
    """Timers of rows looked at per operation."""
    window: int = 4096
    """Ready tasks kept in memory per lane; the rest are rows (promise 5). What a client submits at a time finds room, and is not read from
    the file again: a third of a kilobyte each."""
    ageing_s: float | None = None
    """A priority that was passed over for so long goes first once (R25); None is off."""
    tick_s: float = 1.0
    """Longest time between two looks at the clocks."""
    subscriber_lag_events: int = 100_000
    """A reader that is further behind is disconnected (R2)."""
    ring_events: int = 8_192
    """Latest events kept in memory for subscribers; those further behind read the file."""
    live_messages: int = 256
    """Progress and log messages kept for a subscriber that is busy."""
    idle_tick_s: float = 15.0
    """Subscribers hear a tick when nothing happened for this long."""
    checkpoint_every_s: float = 2.0
    """How often it is asked whether a checkpoint is due."""
    checkpoint_bytes: int = 32 << 20
    """It is from this size of the write-ahead log on. A checkpoint makes a commit or two wait for 5 to 15 ms, so jobs alone, each of which
    writes 100 kB, shall meet one in some hundred; after a crash so much is read."""
    write_ahead_bytes: int = 0
    """So long the write-ahead log's file is made at the start, to be written over; 0 leaves it as it is."""
    publish_retry_max_s: float = 60.0
    sweep_every_s: float = 3600.0
    """Files of attempts that were not accepted are looked for at the start, and then so often (R10)."""
    orphan_after_s: float = 600.0
    """Such files are left alone for so long: a process that is being stopped may still write them."""
    retention_s: Mapping[str, float] = field(default_factory=dict)
    """How long ended jobs are kept, by `all`, state, `workflow:NAME` and `tenant:NAME` (retention.py); none is for ever."""
    cache_retention_s: float | None = None
    """Known results that were not used for so long are forgotten; None is never."""
    upload_kept_s: float = 86_400.0
    """Uploads that no job uses are kept so long."""
