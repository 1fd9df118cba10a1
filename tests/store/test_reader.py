"""What the API shows, from connections beside the writer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orpheus.core import facts as f
from orpheus.core.errors import InvalidRequest
from orpheus.core.job import JobState
from orpheus.core.log_lines import LogFilter
from orpheus.core.task import TaskState
from orpheus.store.reader import Reader

GraphOf = Callable[..., dict[str, Any]]


@pytest.fixture
def reader(hand: Any) -> Iterator[Reader]:
    hand.commit()
    opened = Reader(hand.store.path)
    yield opened
    opened.close()
    opened.close()


def test_reads_see_commits_and_nothing_else(hand: Any, reader: Reader, one_task_graph: GraphOf) -> None:
    async def scenario() -> None:
        graph = hand.publish(one_task_graph())
        hand.submit("a", graph, params={"text": "x"})
        hand.tx.flush()
        assert await reader.job("a") is None
        hand.commit()
        job = await reader.job("a")
        assert job is not None
        assert job == hand.tx.job("a")
        assert await reader.job_payload("a") == ({"text": "x"}, None)
        assert await reader.job_payload("nobody") == (None, None)
        hand.complete("a", hand.claim("a"), result={"n": 1})
        hand.commit()
        assert await reader.job_payload("a") == ({"text": "x"}, {"n": 1})
        task = await reader.task("a", "count")
        assert task is not None
        assert await reader.task_result(task) == {"n": 1}
        assert [event.type for event in await reader.events("a", after=5, limit=9)] == [
            "task.completed",
            "job.completed",
        ]
        assert [row[0] for row in await reader.events_after(3, 2)] == [4, 5]
        assert (await reader.events_after(0, 1))[0][1:4] == ("a", "ada", "c")
        assert (await reader.graph(graph.definition_id)) == graph
        assert (await reader.definition(graph.definition_id))["name"] == "count"
        assert await reader.graph("nothing") is None
        (workflow,) = await reader.workflows()
        assert (workflow["name"], workflow["version"], workflow["definition_id"]) == ("count", 1, graph.definition_id)

    asyncio.run(scenario())


def test_tasks_come_in_graph_order_page_by_page(hand: Any, reader: Reader, mapped_graph: GraphOf) -> None:
    async def scenario() -> None:
        graph = hand.publish(mapped_graph(on_failure="continue", retry={"max_retries": 0}))
        hand.submit("a", graph, params={"xs": list(range(5))})
        hand.fail("a", hand.claim("a", "each", 3), "each", 3)
        hand.commit()

        async def pages(limit: int, **more: Any) -> list[tuple[str, int]]:
            asked = {"node": None, "states": (), **more}
            found: list[tuple[str, int]] = []
            cursor = None
            while True:
                page, cursor = await reader.tasks("a", limit=limit, cursor=cursor, **asked)
                found += [(task.node, task.index) for task in page]
                if cursor is None:
                    return found

        whole = [("each", index) for index in range(-1, 5)] + [("join", -1)]
        for limit in (1, 2, 3, 100):
            assert await pages(limit) == whole
            assert await pages(limit, node="join") == [("join", -1)]
            assert await pages(limit, states=("ready",)) == [("each", 0), ("each", 1), ("each", 2), ("each", 4)]
        assert await pages(5, node="nothing") == []
        assert await reader.tasks("nobody", node=None, states=(), limit=5, cursor=None) == ([], None)
        with pytest.raises(InvalidRequest):
            await reader.tasks("a", node=None, states=(), limit=5, cursor="nonsense")
        for index in (0, 1, 2, 4):
            hand.complete("a", hand.claim("a", "each", index), "each", index, result=index)
        hand.commit()
        each = await reader.task("a", "each")
        assert each is not None
        assert each.state is TaskState.COMPLETED
        result = await reader.task_result(each)
        assert result[:3] == [0, 1, 2]
        assert result[3]["$failure"]["index"] == 3
        assert await reader.node_states("a", ["each", "join", "x"]) == {"each": "completed", "join": "ready"}

    asyncio.run(scenario())


def test_attempts_tell_of_the_current_one_too(hand: Any, reader: Reader, one_task_graph: GraphOf) -> None:
    async def scenario() -> None:
        graph = hand.publish(one_task_graph(retry={"max_retries": 3, "jitter": 0.0}))
        hand.submit("a", graph)
        hand.fail("a", hand.claim("a"))
        hand.now += 100
        hand.tell("a", f.TaskWoken(node="count"))
        second = hand.claim("a")
        hand.commit()
        task = await reader.task("a", "count")
        assert task is not None
        found = await reader.attempts(task)
        assert [(one["attempt"], one["outcome"]) for one in found] == [(1, "failed"), (2, None)]
        assert found[0]["error"].code == "task_failed"
        hand.complete("a", second)
        hand.commit()
        task = await reader.task("a", "count")
        assert task is not None
        assert [one["outcome"] for one in await reader.attempts(task)] == ["failed", "completed"]

    asyncio.run(scenario())


def test_logs_queues_workers_files_counts(hand: Any, reader: Reader, one_task_graph: GraphOf) -> None:
    async def scenario() -> None:
        graph = hand.publish(one_task_graph())
        hand.submit("a", graph)
        hand.submit("b", graph, dependencies=(("a", "success"),))
        hand.claim("a")
        task = hand.tx.task("a", "count")
        for number in range(3):
            line = {"at": 1.0, "level": "info", "stream": "log", "message": f"line {number}", "fields": {"n": number}}
            hand.tx.add_logs(task, [line])
        hand.tx.put_queue_settings("gpu", {"paused": True}, 1.0)
        hand.tx.record_worker("s", "w", {"slots": 3}, 1.0)
        hand.commit()
        first = await reader.logs("a", after=0, limit=2)
        assert [line["message"] for _number, line in first] == ["line 0", "line 1"]
        rest = await reader.logs("a", after=first[-1][0], limit=9, filters=LogFilter(node="count"))
        assert [line["fields"] for _number, line in rest] == [{"n": 2}]
        assert await reader.logs("a", after=0, limit=9, filters=LogFilter(node="other")) == []
        assert await reader.logs("nobody", after=0, limit=9) == []
        assert await reader.unsettled_dependencies("b") == [("a", "success", "running")]
        queues = {queue["name"]: queue for queue in await reader.queues()}
        assert queues["gpu"]["paused"] is True
        assert queues["default"]["tasks"] == {"running": 1, "blocked": 1}
        assert (await reader.workers())[0]["slots"] == 3
        assert await reader.file("nothing") is None
        stats = await reader.stats()
        assert {state: count for state, count in stats["jobs"].items() if count} == {"running": 1, "pending": 1}
        assert await reader.artifacts("a") == []
        assert await reader.task_specs() == []

    asyncio.run(scenario())


def test_reads_run_beside_one_another_and_the_writer(hand: Any, reader: Reader, one_task_graph: GraphOf) -> None:
    """Hundreds of reads at once while the writer commits; each is of one instant."""

    async def scenario() -> None:
        graph = hand.publish(one_task_graph())
        hand.submit("a", graph)
        hand.commit()

        async def write() -> None:
            for number in range(40):
                hand.submit(f"n{number}", graph)
                hand.commit()
                await asyncio.sleep(0)

        async def read() -> None:
            stats, (jobs, _cursor) = await asyncio.gather(reader.stats(), reader.jobs(ANY, limit=100, cursor=None))
            assert stats["jobs"]["queued"] >= 1
            assert all(job.state is JobState.QUEUED for job in jobs)

        await asyncio.gather(write(), *(read() for _ in range(150)))
        jobs, cursor = await reader.jobs(ANY, limit=100, cursor=None)
        assert len(jobs) == 41
        assert cursor is None

    asyncio.run(scenario())


class Any_:  # noqa: N801
    states: tuple[str, ...] = ()
    workflow = None
    tenant = None
    labels: tuple[tuple[str, str], ...] = ()
    q = None
    created_after = None
    created_before = None
    parent = None
    depends_on = None
    needed_by = None
    failure = None


ANY = Any_()
