"""A store whose writer, disk or listener fails goes on."""

import asyncio
import sqlite3

import pytest

from reconciler.controlplane.errors import ApiError
from reconciler.controlplane.storage import writer
from reconciler.controlplane.storage.record import Key
from reconciler.controlplane.storage.store import Store

KEY = Key("/x", "", "a")
OBJECT = {"metadata": {"name": "a"}}


@pytest.fixture
async def store(tmp_path):
    store = Store(tmp_path / "db")
    yield store
    await store.close()


async def written(store, key=KEY):
    """Write an object; fails if nobody tells how that ended."""
    _, future = store.put(key, {"metadata": dict(OBJECT["metadata"])}, None)
    async with asyncio.timeout(30):
        await future


@pytest.mark.parametrize(
    "error",
    [
        sqlite3.OperationalError("disk I/O error"),
        MemoryError("no memory"),
        UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates"),
    ],
)
async def test_whatever_ends_a_write_is_told_and_ends_no_other(
    store, monkeypatch, error
):
    plain = writer._commit

    def fails_half_way(connection, _batch):
        monkeypatch.setattr(writer, "_commit", plain)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM facts")
        raise error

    monkeypatch.setattr(writer, "_commit", fails_half_way)
    with pytest.raises(ApiError, match="storage"):
        await written(store)
    await written(store)
    assert store.read.get(KEY) is not None
    found = store.read._connection.execute("SELECT name FROM facts")
    assert ("format",) in found.fetchall()


class Broken:
    """A connection on which nothing works any more."""

    def execute(self, _sql, *_arguments):
        raise sqlite3.OperationalError("disk I/O error")

    def close(self):
        raise sqlite3.OperationalError("disk I/O error")


async def test_a_connection_that_broke_is_replaced(store, monkeypatch):
    plain = writer.connect
    await written(store, Key("/x", "", "before"))
    store._writer._connection.close()
    store._writer._connection = Broken()
    monkeypatch.setattr(writer, "connect", lambda _: Broken())
    for _ in range(2):
        with pytest.raises(ApiError, match="disk I/O error"):
            await written(store)
    monkeypatch.setattr(writer, "connect", plain)
    await written(store)
    assert store.read.get(KEY) is not None


async def test_a_listener_that_fails_keeps_no_writer_waiting(store, caplog):
    def fails(_events):
        raise KeyError("names")

    watcher = store.hub.subscribe("/x")
    store.hub.listen(fails)
    await written(store)
    assert [e.stored.key for e in await watcher.next(30)] == [KEY]
    assert "a listener failed" in caplog.text
