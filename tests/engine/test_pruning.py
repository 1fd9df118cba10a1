"""Pruning in the real engine: what goes, what stays, and that nothing is left behind (R1, R2, R21, R23)."""

from __future__ import annotations

import asyncio
import hashlib
import time
from functools import partial
from pathlib import Path
from random import Random

import pytest

from orpheus.artifacts import FolderStore, Publisher
from orpheus.core.facts import ArtifactRef, RetryRequested
from orpheus.engine.base import CursorReset, RunReport, Submission, WorkerHello
from orpheus.engine.embedded import EmbeddedEngine
from orpheus.engine.options import EngineOptions
from orpheus.engine.upkeep_contract import PruneOrder

XS = {"type": "object", "properties": {"x": {}}}
TABLES = (
    *(
        "jobs",
        "job_params",
        "labels",
        "dependencies",
        "tasks",
        "task_items",
        "attempts",
        "event_groups",
        "artifacts",
        "logs",
    ),
    *("object_uses", "removals", "children"),
)


def flow(name="one", *nodes, **more):
    step = {"kind": "task", "task": "step", "version": 1, "args": {}}
    return {"format": 1, "name": name, "version": 1, "params": XS, "output": None, **more,
            "nodes": [{**step, **node} for node in nodes or ({"name": "a"},)]}  # fmt: skip


class Hands:
    """A wall clock of the site's, and the real one for lengths."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def now(self) -> float:
        return self._site.now

    def monotonic(self) -> float:
        return time.monotonic()


class Site:
    """An engine over real files, and one worker."""

    def __init__(self, folder: Path, **options):
        self.folder = folder
        self.objects = FolderStore(folder / "objects", sync=False)
        self.now = 1_800_000_000.0
        self.engine = EmbeddedEngine(
            folder / "orpheus.db",
            publisher=Publisher(self.objects),
            options=EngineOptions(**{"orphan_after_s": 0.0, **options}),
            clock=Hands(self),
            rng=Random(3),
        )
        self.seq = 0

    async def __aenter__(self):
        await self.engine.start()
        hello = WorkerHello(session_id="s" * 16, worker="w", handlers=("step@1",), slots=100)
        await self.engine.hello(hello)
        return self

    async def __aexit__(self, *_):
        await self.engine.stop()
        self.objects.close()

    async def submit(self, workflow, **options) -> str:
        return (await self.engine.submit([Submission(workflow=workflow, **options)]))[0].job.job_id

    async def work(self, *, files: dict[str, bytes] | None = None, fail: bool = False) -> int:
        """Do all there is to do; each task saves `files`."""
        done = 0
        while True:
            self.seq += 1
            answer = await self.engine.poll("s" * 16, self.seq, held=[], free=50, resources_free={}, wait_s=0.0)
            if not answer.grants:
                return done
            for grant in answer.grants:
                refs = []
                for name, content in (files or {}).items():
                    key = f".runs/{grant.run_id}/{name}"
                    await self.objects.put_bytes(key, content)
                    refs.append(ArtifactRef(name=name, key=key, sha256=hashlib.sha256(content).hexdigest(),
                                            size_bytes=len(content), content_type="text/plain"))  # fmt: skip
                value = refs and {"$file": {"name": refs[0].name, "key": refs[0].key, "sha256": refs[0].sha256,
                                            "size_bytes": refs[0].size_bytes}}  # fmt: skip
                kind = "failed" if fail else "completed"
                report = RunReport(run_id=grant.run_id, kind=kind, result=value or 1, artifacts=tuple(refs), final=fail)
                assert await self.engine.report("s" * 16, [report]) == [None]
                lines = ({"at": self.now, "level": "info", "stream": "log", "message": "m", "fields": {}},)
                await self.engine.report("s" * 16, [RunReport(run_id=grant.run_id, kind="log", lines=lines)])
                done += 1

    async def ended(self, job_id):
        return await self.engine.wait_job(job_id, wait_s=20)

    async def prune(self, **order):
        return await self.engine.upkeep.prune(PruneOrder(**{"jobs_older_than_s": 0.0, **order}))

    def rows(self, table):
        return self.engine._store.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]

    def files(self):
        return sorted(str(path.relative_to(self.folder / "objects")) for path in (self.folder / "objects").rglob("*")
                      if path.is_file())  # fmt: skip


@pytest.fixture
def site(tmp_path: Path):
    return partial(Site, tmp_path)


def run(coroutine):
    asyncio.run(asyncio.wait_for(coroutine, 60))


def test_a_pruned_job_is_wholly_gone(site):
    """Rows in every table, counts, objects and manifest."""

    async def go():
        async with site() as s:
            nodes = ({"name": "a"}, {"kind": "map", "name": "m", "items": {"x": {"$param": "x"}}, "after": ["a"]})
            first = await s.submit(flow("big", *nodes), params={"x": list(range(1300))}, labels={"k": "v"})
            second = await s.submit(flow("big", *nodes), params={"x": [1]}, depends_on=((first, "end"),))
            while await s.work():
                pass
            third = await s.submit(flow("files"), params={"x": 1})
            await s.work(files={"out/a.txt": b"a"})
            for job_id in (first, second, third):
                assert (await s.ended(job_id)).state == "completed"
            assert s.files()
            s.now += 100
            pruned = await s.prune()
            assert pruned.jobs == {"completed": 3}
            assert [s.rows(table) for table in TABLES] == [0] * len(TABLES)
            assert s.rows("definitions") == 0, "graphs that came inline go with their last job"
            for table in ("job_counts", "task_counts"):
                assert s.engine._store.connection.execute(f"SELECT sum(count) FROM {table}").fetchone() == (0,)
            assert s.files() == []
            assert await s.engine.reads.job(first) is None

    run(go())


def test_what_is_needed_stays(site):
    """Open jobs, what open jobs depend on, young jobs, other tenants', states and workflows, keys of a day (R21)."""

    async def go():
        async with site() as s:
            await s.engine.publish(flow("one"), actor="t")
            await s.engine.publish(flow("two"), actor="t")
            failed = await s.submit("one", tenant="ada")
            await s.work(fail=True)
            done = await s.submit("one", tenant="bob")
            other = await s.submit("two", tenant="bob")
            keyed = await s.submit("one", idempotency_key="k", fingerprint="f")
            waits = await s.submit("one", tenant="bob", depends_on=((done, "end"),), requires_approval=True)
            await s.work()
            s.now += 50
            young = await s.submit("one")
            await s.work()
            s.now += 10

            async def there():
                ids = {"failed": failed, "done": done, "other": other, "keyed": keyed, "waits": waits, "young": young}
                return [name for name, job_id in ids.items() if await s.engine.reads.job(job_id) is not None]

            assert (await s.prune(states=("failed",), tenant="bob")).jobs == {}
            assert (await s.prune(workflow="two", dry_run=True)).jobs == {"completed": 1}
            assert len(await there()) == 6
            await s.prune(workflow="two")
            await s.prune(jobs_older_than_s=30)
            assert await there() == ["done", "keyed", "waits", "young"]
            s.now += 90_000
            await s.prune()
            assert await there() == ["done", "waits"]

    run(go())


def test_cached_and_passed_on_files_survive_the_job_that_made_them(site):
    """R23: pruning one job never breaks another; when nobody needs a file it goes."""

    async def go():
        async with site() as s:
            await s.engine.publish(flow("one", {"name": "a", "cache": True, "args": {"x": {"$param": "x"}}}), actor="t")
            await s.engine.publish(flow("two"), actor="t")
            first = await s.submit("one", params={"x": 1})
            await s.work(files={"out/a.txt": b"precious"})
            await s.ended(first)
            artifact = (await s.engine.reads.artifacts(first))[0]
            file = {"$file": {"name": "a.txt", "key": artifact["key"], "sha256": artifact["sha256"], "size_bytes": 8}}
            user = await s.submit("two", params={"x": file})
            await s.work()
            await s.ended(user)
            s.now += 10
            assert (await s.prune(workflow="one")).jobs == {"completed": 1}
            assert await s.objects.read(artifact["key"]) == b"precious"
            second = await s.submit("one", params={"x": 1})
            assert (await s.ended(second)).state == "completed" and await s.work() == 0, "still cached"
            key = f"dev/default/{second}/out/a.txt"
            assert await s.objects.read(key) == b"precious"
            s.now += 10
            assert (await s.prune(jobs_older_than_s=None, cache_older_than_s=0)).results == 1
            await s.engine.upkeep.sweep()
            assert await s.objects.read(artifact["key"]) == b"precious", "two jobs need it"
            await s.prune()
            await s.engine.upkeep.sweep()
            assert s.files() == []

    run(go())


def test_a_retry_of_a_kept_job_still_finds_its_input(site):
    async def go():
        async with site() as s:
            await s.engine.publish(flow("one"), actor="t")
            maker = await s.submit("one")
            await s.work(files={"in.txt": b"in"})
            await s.ended(maker)
            artifact = (await s.engine.reads.artifacts(maker))[0]
            file = {"$file": {"name": "in.txt", "key": artifact["key"], "sha256": artifact["sha256"], "size_bytes": 2}}
            user = await s.submit("one", params={"x": file})
            await s.work(fail=True)
            await s.ended(user)
            s.now += 10
            await s.prune(states=("completed",))
            assert await s.engine.reads.job(maker) is None
            await s.engine.tell(user, RetryRequested())
            assert await s.objects.read(artifact["key"]) == b"in"
            with pytest.raises(Exception, match="pruned"):
                await s.submit("one", params={"x": {"$file": {**file["$file"], "key": ".runs/gone/in.txt"}}})

    run(go())


def test_readers_of_what_was_pruned_are_reset_and_numbers_go_on(site, tmp_path):
    """R2: a cursor from before is answered `reset`; after a restart no number is given twice."""

    async def go():
        async with site(ring_events=4) as s:
            start = s.engine.cursor()
            await s.engine.publish(flow("one"), actor="t")
            for _ in range(4):
                await s.submit("one")
            await s.work()
            s.now += 10
            await s.prune()
            head = s.engine.cursor()
            with pytest.raises(CursorReset):
                async for _ in s.engine.subscribe(after=start):
                    break
            job_id = await s.submit("one")
            async for published in s.engine.subscribe(after=head):
                assert published.job_id == job_id
                break
            await s.work()
            s.now += 10
            await s.prune()
            numbers = s.engine._store._read_counters()
            last = int(s.engine.cursor().rpartition(".")[2])
            assert numbers.cursor == last and s.rows("event_groups") == 0
        async with site() as s:
            assert int(s.engine.cursor().rpartition(".")[2]) == last
            with pytest.raises(CursorReset):
                async for _ in s.engine.subscribe(after=start):
                    break

    run(go())


def test_a_crash_in_the_middle_is_taken_up(site):
    """What is out of sight goes at the next start: rows and files."""

    async def go():
        async with site() as s:
            job_id = await s.submit(flow("files"))
            await s.work(files={"a.txt": b"a"})
            await s.ended(job_id)
            s.now += 10

            async def stop_here(_removal):
                raise OSError("the power went")

            s.engine.upkeep._finish = stop_here
            with pytest.raises(OSError, match="power"):
                await s.prune()
            assert await s.engine.reads.job(job_id) is None and s.rows("tasks") == 1 and s.files()
        async with site() as s:
            await s.engine.upkeep.sweep()
            assert [s.rows(table) for table in TABLES] == [0] * len(TABLES) and s.files() == []

    run(go())


def test_retention_by_rule(site):
    """The most specific rule counts: tenant, workflow, state, all."""

    async def go():
        rules = {"all": 100.0, "failed": 1000.0, "workflow:two": 10.0, "tenant:ada": float("inf")}
        async with site(retention_s=rules, sweep_every_s=1e6) as s:
            await s.engine.publish(flow("one"), actor="t")
            await s.engine.publish(flow("two"), actor="t")
            bad = await s.submit("one")
            await s.work(fail=True)
            jobs = {"bad": bad, "one": await s.submit("one"), "two": await s.submit("two"),
                    "ada": await s.submit("two", tenant="ada")}  # fmt: skip
            await s.work()
            left = []
            for passed in (5, 20, 200, 2000):
                s.now += passed
                await s.engine.upkeep.sweep()
                left.append([name for name, job_id in jobs.items() if await s.engine.reads.job(job_id) is not None])
            assert left == [["bad", "one", "two", "ada"], ["bad", "one", "ada"], ["bad", "ada"], ["ada"]]

    run(go())


def test_unused_uploads_go_after_a_day(site):
    async def go():
        async with site() as s:
            await s.engine.publish(flow("one"), actor="t")
            for file_id in ("f-used", "f-unused"):
                key = f"dev/default/.files/{file_id}/content"
                await s.objects.put_bytes(key, b"x")
                await s.engine.add_file({"file_id": file_id, "tenant": "default", "name": "x", "key": key, "size_bytes": 1,
                                         "sha256": "0" * 64, "content_type": "x/y", "created_at": s.now})  # fmt: skip
            await s.submit("one", params={"x": {"$file": {"name": "x", "key": "dev/default/.files/f-used/content"}}})
            s.now += 3600
            await s.engine.upkeep.sweep()
            assert s.rows("files") == 2
            s.now += 86_400
            await s.engine.upkeep.sweep()
            assert s.rows("files") == 1
            with pytest.raises(Exception, match="pruned"):
                await s.submit(
                    "one", params={"x": {"$file": {"name": "x", "key": "dev/default/.files/f-unused/content"}}}
                )
            await s.engine.upkeep.sweep()
            assert [name for name in s.files() if ".files" in name] == ["dev/default/.files/f-used/content"]
            assert s.rows("files") == 1

    run(go())
