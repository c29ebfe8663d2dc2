"""kill -9, restarts, locks, damage and full disks."""

import asyncio
import os
import random
import sqlite3
import stat
import subprocess
import sys

import aiohttp
import pytest
from controlplane_support import (
    CRDS,
    WIDGETS,
    Client,
    config_map,
    eventually,
    widget,
    widget_crd,
)

from reconciler.controlplane.errors import ApiError
from reconciler.controlplane.lock import LockedError
from reconciler.controlplane.server import ControlPlane
from reconciler.controlplane.storage.database import StorageError
from reconciler.controlplane.storage.record import Key
from reconciler.controlplane.storage.store import Store
from reconciler.controlplane.thread import ControlPlaneThread

MAPS = "/api/v1/namespaces/default/configmaps"


class Ledger:
    """What the server acknowledged, and the events that a watcher saw."""

    def __init__(self):
        self.writes = {}
        self.highest = 0
        self.events = {}
        self.position = None

    async def reached(self, version):
        async def seen():
            return self.position >= version

        await eventually(seen)

    async def acknowledged(self, version):
        async def done():
            return self.highest >= version

        await eventually(done)

    def acknowledge(self, obj):
        metadata = obj["metadata"]
        version = int(metadata["resourceVersion"])
        name = metadata["name"]
        before = self.writes.get(name, (0, None))[0]
        self.writes[name] = max((version, obj["data"]["key"]), (before, ""))
        if self.writes[name][1] == "":
            raise AssertionError("a version went back")
        self.highest = max(self.highest, version)

    def see(self, event):
        assert event["type"] != "ERROR", event
        metadata = event["object"]["metadata"]
        version = int(metadata["resourceVersion"])
        if event["type"] != "BOOKMARK":
            assert version not in self.events, "an event was repeated"
            self.events[version] = metadata["name"]
        self.position = max(self.position, version)


async def _write(client, ledger, worker, chance):
    names = [f"w{worker}-{index}" for index in range(3)]
    count = 0
    while True:
        name = chance.choice(names)
        count += 1
        body = {"data": {"key": str(count)}}
        try:
            if name in ledger.writes:
                code, obj = await client.patch(f"{MAPS}/{name}", body)
            else:
                new = config_map(name) | body
                code, obj = await client.call("POST", MAPS, new)
        except (aiohttp.ClientError, ConnectionError):
            return
        if code == 409:
            # Created, but killed before the answer.
            code, obj = await client.call("GET", f"{MAPS}/{name}")
        assert code < 300, obj
        ledger.acknowledge(obj)


async def _follow(client, ledger):
    query = f"&resourceVersion={ledger.position}"
    try:
        async with client.watching(MAPS, query) as following:
            while True:
                event = await following(60)
                if event is None:
                    return
                ledger.see(event)
    except (aiohttp.ClientError, ConnectionError):
        return


@pytest.mark.slow
async def test_kill_9_loses_no_acknowledged_write(server_process):
    chance = random.Random(7)  # noqa: S311 - repeatable
    ledger = Ledger()
    for round_ in range(4):
        server_process.start()
        client = Client(server_process.kubeconfig)
        listed = await client.ok("GET", MAPS)
        version = int(listed["metadata"]["resourceVersion"])
        assert version >= ledger.highest
        found = {
            item["metadata"]["name"]: (
                int(item["metadata"]["resourceVersion"]),
                item["data"]["key"],
            )
            for item in listed["items"]
        }
        for name, (number, value) in ledger.writes.items():
            # A later write may be there that was never acknowledged.
            assert found[name][0] >= number
            if found[name][0] == number:
                assert found[name][1] == value
        if ledger.position is None:
            ledger.position = version
        tasks = [
            asyncio.create_task(_write(client, ledger, worker, chance))
            for worker in range(4)
        ]
        tasks.append(asyncio.create_task(_follow(client, ledger)))
        if round_ < 3:
            await ledger.acknowledged(version + 12)
            await asyncio.sleep(chance.uniform(0.0, 0.5))
            server_process.kill()
            await asyncio.gather(*tasks)
        else:
            for task in tasks[:-1]:
                task.cancel()
            await asyncio.wait(tasks[:-1])
            last = await client.ok("POST", MAPS, config_map("last"))
            final = int(last["metadata"]["resourceVersion"])
            await ledger.reached(final)
            tasks[-1].cancel()
        await client.close()
    assert len(ledger.writes) > 5
    await _compare_with_disk(server_process, ledger)


async def _compare_with_disk(server, ledger):
    """The watcher saw exactly the events that are on disk."""
    assert server.stop() == 0
    database = sqlite3.connect(server.state / "objects.sqlite3")
    rows = database.execute(
        "SELECT number, name FROM revisions"
        " WHERE resource = '/configmaps' ORDER BY number"
    ).fetchall()
    database.close()
    assert dict(rows) == ledger.events


async def test_state_survives_a_restart(tmp_path):
    state = tmp_path / "state"
    plane = ControlPlane(state)
    await plane.start()
    client = Client(plane.kubeconfig)
    await client.ok("POST", CRDS, widget_crd())
    obj = await client.ok("POST", WIDGETS, widget())
    kubeconfig = plane.kubeconfig.read_bytes()
    await plane.stop()
    plane = ControlPlane(state)
    await plane.start()
    assert plane.kubeconfig.read_bytes() == kubeconfig
    again = await client.ok("GET", f"{WIDGETS}/a")
    assert again == obj
    new = await client.ok("POST", WIDGETS, widget("b"))
    versions = [int(o["metadata"]["resourceVersion"]) for o in (obj, new)]
    assert versions[1] > versions[0]
    await client.close()
    await plane.stop()


async def test_a_taken_port_is_given_up_unless_asked_for(tmp_path):
    first = ControlPlane(tmp_path / "one")
    await first.start()
    port = int(first.url.rpartition(":")[2])
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "port").write_text(str(port))
    second = ControlPlane(tmp_path / "two")
    await second.start()
    assert second.url != first.url
    await second.stop()
    with pytest.raises(OSError, match="in use"):
        await ControlPlane(tmp_path / "three", port).start()
    await first.stop()


@pytest.mark.usefixtures("plane")
async def test_the_second_process_refuses(tmp_path):
    done = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "reconciler.controlplane",
        "serve",
        "--state",
        str(tmp_path / "state"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, error = await asyncio.wait_for(done.communicate(), 20)
    assert done.returncode == 1
    assert out == b""
    assert b"in use by another control plane (process " in error
    assert b"stop it, or choose another --state" in error
    with pytest.raises(LockedError):
        await ControlPlane(tmp_path / "state").start()


def test_ready_line_and_graceful_stop(server_process):
    line = server_process.start()
    assert line.startswith("ready https://127.0.0.1:")
    assert line.strip().endswith(str(server_process.kubeconfig))
    assert server_process.stop() == 0
    assert not (server_process.state / "objects.sqlite3-wal").exists()


def test_thread_starts_stops_and_reports_failures(tmp_path):
    plane = ControlPlaneThread(tmp_path / "state")
    plane.start()
    assert plane.url.startswith("https://127.0.0.1:")
    mode = stat.S_IMODE(plane.kubeconfig.stat().st_mode)
    assert mode == 0o600
    second = ControlPlaneThread(tmp_path / "state")
    with pytest.raises(LockedError, match=f"process {os.getpid()}"):
        second.start()
    plane.stop()
    plane.stop()
    third = ControlPlaneThread(tmp_path / "state")
    third.start()
    assert third.url == plane.url
    third.stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "::"])  # noqa: S104
def test_only_loopback(tmp_path, host):
    with pytest.raises(ValueError, match="loopback"):
        ControlPlane(tmp_path, host=host)
    with pytest.raises(ValueError, match="takes no names"):
        ControlPlane(tmp_path, names=["laptop.lan"])


@pytest.mark.usefixtures("plane")
async def test_secrets_of_the_state_are_private(tmp_path):
    state = tmp_path / "state"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    for path in (
        state / "kubeconfig",
        state / "objects.sqlite3",
        state / "identity" / "server.key",
        state / "identity" / "token",
    ):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


async def test_a_damaged_database_is_refused_and_kept(tmp_path):
    path = tmp_path / "state" / "objects.sqlite3"
    path.parent.mkdir()
    path.write_bytes(b"this is no database, but long enough to be read" * 99)
    before = path.read_bytes()
    with pytest.raises(StorageError, match="not a database"):
        await ControlPlane(tmp_path / "state").start()
    assert path.read_bytes() == before


async def test_a_torn_page_is_refused(tmp_path):
    store = Store(tmp_path / "db")
    for index in range(200):
        _, written = store.put(
            Key("/x", "", f"n{index:04}"),
            {"metadata": {"name": "n"}, "data": "x" * 300},
            None,
        )
    await written
    await store.close()
    content = bytearray((tmp_path / "db").read_bytes())
    content[8192 : 8192 + 4096] = b"\xa5" * 4096
    (tmp_path / "db").write_bytes(content)
    with pytest.raises(StorageError):
        Store(tmp_path / "db")


async def test_a_foreign_format_is_refused(tmp_path):
    store = Store(tmp_path / "db")
    await store.close()
    database = sqlite3.connect(tmp_path / "db")
    database.execute("UPDATE facts SET value = 99 WHERE name = 'format'")
    database.commit()
    database.close()
    with pytest.raises(StorageError, match="format 99"):
        Store(tmp_path / "db")


async def test_a_full_disk_refuses_writes_and_recovers(plane, client):
    """The page limit of the database stands in for the disk's."""
    await client.ok("POST", MAPS, config_map("before"))
    writer = plane._store._writer
    await _limit_pages(plane, 1)
    body = config_map("big") | {"data": {"key": "x" * 400_000}}
    status = await client.refused("POST", MAPS, body)
    assert status["code"] == 500
    assert "full" in status["message"]
    assert writer.is_alive()
    await client.refused("GET", f"{MAPS}/big")
    await _limit_pages(plane, 0)
    await client.ok("POST", MAPS, body)
    listed = await client.ok("GET", MAPS)
    names = [item["metadata"]["name"] for item in listed["items"]]
    assert names == ["before", "big"]


async def _limit_pages(plane, extra):
    """Let the writer's database grow by so many pages only; 0 lifts it."""
    from reconciler.controlplane.storage import writer

    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    plain = writer._commit

    def commit(connection, batch):
        (count,) = connection.execute("PRAGMA page_count").fetchone()
        limit = count + extra if extra else 1 << 30
        connection.execute(f"PRAGMA max_page_count={limit}")
        loop.call_soon_threadsafe(done.set)
        writer._commit = plain
        plain(connection, batch)

    writer._commit = commit
    key = Key("/probe", "", f"p{extra}")
    _, written = plane._store.put(key, {"metadata": {"name": "p"}}, None)
    await written
    await done.wait()


async def test_a_failed_commit_fails_what_was_computed_from_it(tmp_path):
    from reconciler.controlplane.storage import writer

    store = Store(tmp_path / "db")
    key = Key("/x", "", "a")
    first, written = store.put(key, {"metadata": {"name": "a"}}, None)
    await written
    plain = writer._commit
    held = asyncio.Event()
    loop = asyncio.get_running_loop()

    def failing(_connection, _batch):
        loop.call_soon_threadsafe(held.set)
        writer._commit = plain
        raise sqlite3.OperationalError("disk I/O error")

    writer._commit = failing
    second, lost = store.put(key, first.object() | {"n": 2}, first)
    third, also_lost = store.put(key, second.object() | {"n": 3}, second)
    for future in (lost, also_lost):
        with pytest.raises(ApiError, match="Internal error"):
            await future
    assert store.current(key) == first
    fourth, kept = store.put(key, first.object() | {"n": 4}, first)
    await kept
    assert fourth.number > third.number
    assert store.read.get(key).object()["n"] == 4
    await store.close()
