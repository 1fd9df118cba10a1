"""The folder store: whole objects or none, links, ranges, and nothing outside the root."""

from __future__ import annotations

import asyncio
import hashlib
import os

import pytest

from orpheus.artifacts import FolderStore, MissingObject, ObjectTooLarge, UnsafeKey


@pytest.fixture
def store(tmp_path):
    made = FolderStore(tmp_path / "objects", sync=False)
    yield made
    made.close()


def run(work):
    return asyncio.run(work)


async def pieces(*parts):
    for part in parts:
        yield part


async def gather(stream):
    return b"".join([piece async for piece in stream])


def files(store):
    return sorted(str(p.relative_to(store.root)) for p in store._root.rglob("*") if p.is_file())


def test_a_stream_is_stored_with_its_hash(store):
    """Size and sha256 come back; the bytes are the same, also beyond one piece."""
    data = os.urandom(3_000_000)

    async def work():
        info = await store.put_stream("a/b", pieces(data[:10], data[10:2_000_000], data[2_000_000:]))
        assert (info.size_bytes, info.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert await store.read("a/b") == data
        assert (await store.stat("a/b")).size_bytes == len(data)
        assert await gather(store.open_range("a/b", 5, 10)) == data[5:15]
        assert await gather(store.open_range("a/b", len(data) - 3)) == data[-3:]
        assert await gather(store.open_range("a/b", len(data) + 3)) == b""

    run(work())


def test_what_fails_leaves_nothing(store):
    """Too large, a source that breaks, a cancelled request: no object and no temporary file; what stood before stands."""

    async def broken():
        yield b"x" * 10
        raise OSError("the client hung up")

    async def slow():
        yield b"x"
        await asyncio.sleep(60)

    async def work():
        await store.put_bytes("kept", b"old")
        with pytest.raises(ObjectTooLarge):
            await store.put_stream("kept", pieces(b"x" * 6, b"x" * 6), max_bytes=10)
        with pytest.raises(OSError, match="hung up"):
            await store.put_stream("b", broken())
        task = asyncio.create_task(store.put_stream("c", slow()))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(work())
    store.close()
    assert files(store) == ["kept"]
    assert (store._root / "kept").read_bytes() == b"old"


def test_a_start_removes_what_a_crash_left(tmp_path):
    """Half-written temporary files are gone after the next start; objects stay."""
    first = FolderStore(tmp_path / "o", sync=False)
    run(first.put_bytes("a", b"1"))
    (first._temporary / "half").write_bytes(b"half")
    assert files(FolderStore(tmp_path / "o", sync=False)) == ["a"]


def test_publishing_is_idempotent_and_shares_bytes(store):
    """A hard link, twice the same; without the source as long as the target stands; a missing file says so."""

    async def work():
        await store.put_bytes(".runs/r/a", b"x")
        await store.link([(".runs/r/a", "dev/t/j/a")])
        await store.link([(".runs/r/a", "dev/t/j/a")])
        assert (store._root / ".runs/r/a").samefile(store._root / "dev/t/j/a")
        await store.delete_prefix(".runs/r")
        await store.link([(".runs/r/a", "dev/t/j/a")])
        assert await store.read("dev/t/j/a") == b"x"
        with pytest.raises(MissingObject):
            await store.link([(".runs/r/b", "dev/t/j/b")])
        await store.put_bytes(".runs/s/a", b"a new generation")
        await store.link([(".runs/s/a", "dev/t/j/a")])
        assert await store.read("dev/t/j/a") == b"a new generation"
        assert not list(store._temporary.iterdir())

    run(work())


def test_publishing_copies_where_links_are_impossible(store, monkeypatch):
    """File systems without hard links get a whole copy."""

    def refuse(*_args, **_options):
        raise OSError(1, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    run(store.put_bytes("a", b"x"))
    run(store.link([("a", "b/c")]))
    assert run(store.read("b/c")) == b"x"


def test_links_cannot_lead_out(store, tmp_path):
    """A handler may make symbolic links in its folder: they are neither served nor published nor written through."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    folder = store._root / ".runs" / "r"
    folder.mkdir(parents=True)
    (folder / "direct").symlink_to(secret)
    (folder / "folder").symlink_to(tmp_path)

    async def work():
        for key in (".runs/r/direct", ".runs/r/folder/secret"):
            with pytest.raises((MissingObject, UnsafeKey)):
                await store.read(key)
            with pytest.raises((MissingObject, UnsafeKey)):
                await store.link([(key, "dev/t/j/stolen")])
        with pytest.raises(UnsafeKey):
            await store.put_bytes(".runs/r/folder/written", b"x")
        assert await store.stat(".runs/r/direct") is None

    run(work())
    assert not (tmp_path / "written").exists()


def test_deleting_and_listing(store):
    """Empty folders go with their last object; listings hold objects only."""

    async def work():
        await store.put_bytes("a/b/c", b"1")
        await store.put_bytes("a/d", b"22")
        assert sorted([(info.key, info.size_bytes) async for info in store.walk("a")]) == [("a/b/c", 1), ("a/d", 2)]
        assert await store.delete("a/b/c")
        assert not await store.delete("a/b/c")
        assert not await store.delete("a")
        assert [name for name, _ in await store.children("a")] == ["d"]
        with pytest.raises(MissingObject):
            await store.read("a/b/c")
        with pytest.raises(UnsafeKey):
            await store.read(".tmp/x")

    run(work())


def test_objects_are_on_disk_when_acknowledged(tmp_path, monkeypatch):
    """A put fsyncs the file before the rename and the folder after it; a link fsyncs the folder."""
    calls = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append(os.fstat(fd).st_mode & 0o170000), real(fd)))
    store = FolderStore(tmp_path / "o")
    run(store.put_bytes("a/b", b"x"))
    folder, regular = 0o040000, 0o100000
    assert regular in calls
    assert calls[-1] == folder
    calls.clear()
    run(store.link([("a/b", "a/c")]))
    assert calls == [folder]
