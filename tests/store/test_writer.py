"""Large transactions are written by a process beside the server: what it may be relied on for (ADR 0033)."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orpheus.core.job import JobState
from orpheus.store import CommitFailed, DataInUse, GuardFailed, Store
from orpheus.store import writer as writing
from orpheus.store.writer import Writer

from .conftest import Hand

GraphOf = Callable[..., dict[str, Any]]
START = 1_000.0


@pytest.fixture
def writer(path: Path) -> Writer:
    return Writer(path, least_rows=6)


def ready(writer: Writer) -> None:
    writer.start()
    until = time.monotonic() + 20.0
    while not writer.is_ready():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture
def hand(path: Path, writer: Writer) -> Iterator[Hand]:
    ready(writer)
    store = Store.open(path, now=START, epoch="e", writer=writer)
    yield Hand(store)
    store.close()


def submit_three(hand: Hand, graph: Any, letter: str = "a") -> None:
    """Six rows of jobs and tasks: as many as are written apart."""
    for number in range(3):
        hand.submit(f"{letter}{number}", graph)
    hand.tx.flush()


def test_a_large_transaction_is_the_other_process_s(hand: Hand, writer: Writer, one_task_graph: GraphOf) -> None:
    graph = hand.publish(one_task_graph())
    hand.commit()
    said: list[str] = []
    hand.store.connection.set_trace_callback(said.append)
    submit_three(hand, graph)
    assert hand.tx.written_apart
    hand.commit()
    assert said == []
    assert writer.pid is not None
    assert hand.store.last_cursor() == 9
    hand.store.connection.set_trace_callback(None)
    assert hand.sql("SELECT job_id, state FROM jobs ORDER BY job_id") == [(f"a{n}", "queued") for n in range(3)]
    assert hand.sql("SELECT count(*) FROM events") == [(9,)]
    # And what it wrote is gone on with by either.
    hand.complete("a0", hand.claim("a0"), result=1)
    hand.tx.flush()
    assert not hand.tx.written_apart
    hand.commit()
    for name in ("a1", "a2"):
        hand.complete(name, hand.claim(name), result=1)
    submit_three(hand, graph, "b")
    assert hand.tx.written_apart
    hand.commit()
    counted = hand.sql("SELECT state, count FROM job_counts WHERE count > 0 ORDER BY state")
    assert counted == [("completed", 3), ("queued", 3)]


def test_what_was_asked_for_in_between_is_written_here(hand: Hand, one_task_graph: GraphOf) -> None:
    """A question about rows that wait to be written begins the transaction here, and here it ends."""
    graph = hand.publish(one_task_graph())
    hand.commit()
    for number in range(3):
        hand.submit(f"a{number}", graph)
    assert len(hand.tx.ready.lanes()) == 1
    submit_three(hand, graph, "b")
    assert not hand.tx.written_apart
    hand.commit()
    assert hand.sql("SELECT count(*) FROM jobs") == [(6,)]


def test_a_row_that_has_moved_refuses_the_whole_transaction(hand: Hand, one_task_graph: GraphOf) -> None:
    graph = hand.publish(one_task_graph())
    hand.commit()
    submit_three(hand, graph)
    hand.commit()
    other = sqlite3.connect(hand.store.path)
    with other:
        other.execute("UPDATE jobs SET last_seq = 77 WHERE job_id = 'a2'")
    other.close()
    for number in range(3):
        hand.claim(f"a{number}")
    hand.tx.flush()
    assert hand.tx.written_apart
    with pytest.raises(CommitFailed, match="3 rows were decided on, 2 were as they had been read"):
        hand.store.commit()
    hand.store.close()
    again = Hand(Store.open(hand.store.path, now=START, epoch="e"))
    assert again.tx.view("a0").job().state is JobState.QUEUED
    again.store.close()


def test_what_no_column_holds_refuses_the_transaction(hand: Hand, one_task_graph: GraphOf) -> None:
    graph = hand.publish(one_task_graph())
    hand.commit()
    submit_three(hand, graph)
    hand.commit()
    for number in range(3):
        hand.submit(f"b{number}", graph, correlation_id="\ud800")
    hand.tx.flush()
    with pytest.raises(GuardFailed, match="UnicodeEncodeError"):
        hand.store.commit()
    hand.rollback()


def test_a_writer_that_dies_leaves_open_what_is_on_disk(hand: Hand, writer: Writer, one_task_graph: GraphOf) -> None:
    """As with a COMMIT that failed the server has to end: it cannot know."""
    graph = hand.publish(one_task_graph())
    hand.commit()
    submit_three(hand, graph)
    hand.commit()
    pid = writer.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    submit_three(hand, graph, "b")
    hand.store.hand_over()
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(CommitFailed):
        hand.store.take_answer()


def test_a_writer_ends_with_its_server_and_not_before(hand: Hand, writer: Writer, one_task_graph: GraphOf) -> None:
    """Who stops a service signals all of its processes, and the server has still to commit what is queued."""
    graph = hand.publish(one_task_graph())
    hand.commit()
    pid = writer.pid
    assert pid is not None
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(pid, number)
    submit_three(hand, graph)
    assert hand.tx.written_apart
    hand.commit()
    assert hand.sql("SELECT count(*) FROM jobs") == [(3,)]
    hand.store.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("python", ["/nowhere/python", "/bin/false"])
def test_without_a_process_the_server_writes(
    path: Path, writer: Writer, one_task_graph: GraphOf, monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    monkeypatch.setattr(sys, "executable", python)
    hand = Hand(Store.open(path, now=START, epoch="e", writer=writer))
    writer.start()
    while writer.pid is not None and not writer.has_answer():
        time.sleep(0.01)
    graph = hand.publish(one_task_graph())
    hand.commit()
    submit_three(hand, graph)
    assert not hand.tx.written_apart
    hand.commit()
    assert writer.pid is None
    assert hand.sql("SELECT count(*) FROM jobs") == [(3,)]
    writer.start()
    assert writer.pid is None, "the next would end like this one"
    hand.store.close()


ABANDON = """
import sys, os, signal
from pathlib import Path
from orpheus.store.writer import Writer
writer = Writer(Path(sys.argv[1]))
writer.start()
while not writer.is_ready():
    pass
print(writer.pid, flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_server_waits_for_the_writer_of_one_that_was_killed(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what it still commits would not be in the memory that the next one makes from the rows."""
    server = subprocess.Popen(
        [sys.executable, "-c", ABANDON, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    pid = int(server.stdout.readline())
    os.kill(pid, signal.SIGSTOP)
    try:
        server.communicate("die\n")
        monkeypatch.setattr(writing, "WAIT_S", 0.2)
        with pytest.raises(DataInUse):
            Writer(path)
        with pytest.raises(DataInUse):  # without a process of its own: on one core, or `orpheus keys`
            Store.open(path, now=START, epoch="e")
    finally:
        os.kill(pid, signal.SIGCONT)
    monkeypatch.setattr(writing, "WAIT_S", 10.0)
    began = time.monotonic()
    Writer(path).close()
    Store.open(path, now=START, epoch="e").close()
    assert time.monotonic() - began < 5.0


def test_it_loads_nothing_from_the_folder_it_is_started_in(
    writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "msgspec.py").write_text("raise SystemExit('not this one')\n")
    monkeypatch.chdir(tmp_path)
    ready(writer)
    writer.close()


def test_a_pipe_that_may_not_be_widened_will_do(
    path: Path, writer: Writer, monkeypatch: pytest.MonkeyPatch, one_task_graph: GraphOf
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError("over the user's limit")

    monkeypatch.setattr(writing.fcntl, "fcntl", refused)
    ready(writer)
    hand = Hand(Store.open(path, now=START, epoch="e", writer=writer))
    graph = hand.publish(one_task_graph())
    hand.commit()
    submit_three(hand, graph)
    hand.commit()
    assert hand.store.handed_over == 1
    hand.store.close()


def test_an_integer_that_no_column_holds_is_told(hand: Hand, writer: Writer) -> None:
    """msgpack takes one bit more than SQLite."""
    writer.send(writing.encoded([("put_meta", [("k", 1 << 63)])]))
    with pytest.raises(CommitFailed, match="OverflowError"):
        writer.receive()


def test_it_ends_without_touching_the_files(store: Store, path: Path) -> None:
    """Who kills a server may move or remove its files at once: the last to close them would write the log back and remove it."""
    log = path.with_name(path.name + "-wal")
    process = subprocess.Popen(
        [sys.executable, "-m", "orpheus.store.writer_process", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    with process:
        assert process.stdin is not None and process.stdout is not None
        assert writing.receive(process.stdout) == writing.READY
        writing.send(process.stdin, writing.encoded([]))
        assert writing.receive(process.stdout) == writing.DONE
        store.close()
        assert log.exists()
        process.stdin.close()
        assert process.wait(10) == 0
    assert log.exists()
