"""100,000 objects and a day of events: what is read stays small."""

import asyncio
import sqlite3
import time

import psutil
import pytest
from controlplane_support import Client, ServerProcess

from reconciler.controlplane.storage.record import Key
from reconciler.controlplane.storage.store import HISTORY, Store
from reconciler.controlplane.verbs.read import CHUNK

OBJECTS, EVENTS = 100_000, 20_000
MAPS = "/api/v1/namespaces/default/configmaps"
BOUND_MIB = 70
"""Of a process whose clients ask for single objects and pages; 57 measured."""

SMALL, SMALL_BOUND_MIB = 1_000, 56
"""A sixth of the 336 MB that kube-apiserver and etcd take with as many."""


def config_map(number):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"m{number:06}",
            "namespace": "default",
            "uid": f"m{number}",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"bucket": str(number % 1000)},
        },
        "data": {"text": "x" * 200},
    }


def event(number):
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"e{number}",
            "namespace": "default",
            "uid": f"e{number}",
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "involvedObject": {"kind": "ConfigMap", "name": "m"},
        "message": "x" * 100,
    }


async def fill(path):
    store = Store(path)
    waits = []
    for resource, make, count in (
        ("/configmaps", config_map, OBJECTS),
        ("/events", event, EVENTS),
    ):
        for number in range(count):
            obj = make(number)
            key = Key(resource, "default", obj["metadata"]["name"])
            waits.append(store.put(key, obj, None)[1])
            if number % 5000 == 0:
                await asyncio.sleep(0)
    await asyncio.gather(*waits)
    await store.close()


def age(path):
    """Have the events been written over a day, ending now."""
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(
            "UPDATE revisions SET at = ? - 86400"
            " + substr(name, 2) * 86400 / ? WHERE resource = '/events'",
            (int(time.time()), EVENTS),
        )
    connection.close()


def counts(path):
    connection = sqlite3.connect(path)
    rows = connection.execute(
        "SELECT resource, superseded IS NULL, count(*) FROM revisions"
        " GROUP BY 1, 2"
    ).fetchall()
    connection.close()
    return {(resource, bool(live)): number for resource, live, number in rows}


def bounded(kept):
    history = sum(n for (_, live), n in kept.items() if not live)
    return kept["/events", True] <= EVENTS / 20 and history <= 2 * HISTORY


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_much_is_kept_and_little_is_read(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    path = state / "objects.sqlite3"
    await fill(path)
    age(path)
    server = ServerProcess(state)
    server.start()
    client = Client(server.kubeconfig)
    try:
        found = await client.ok("GET", f"{MAPS}/m050000")
        assert found["metadata"]["labels"] == {"bucket": "0"}
        page = await client.ok("GET", f"{MAPS}?limit=500")
        assert page["metadata"]["remainingItemCount"] == OBJECTS - 500
        by_label = f"{MAPS}?labelSelector=bucket%3D77&limit=500"
        listed = await client.ok("GET", by_label)
        assert len(listed["items"]) == OBJECTS // 1000

        async with asyncio.timeout(60):
            # Written longer ago than they are kept: all but the last hour's.
            # Then the history of their ends is forgotten.
            while not bounded(counts(path)):
                await client.ok("GET", f"{MAPS}/m000001")
                await asyncio.sleep(0.2)
        resident = psutil.Process(server.process.pid).memory_info().rss
        assert resident < BOUND_MIB << 20
    finally:
        await client.close()
        assert server.stop() == 0
    kept = counts(path)
    assert bounded(kept)
    assert kept["/configmaps", True] >= OBJECTS


@pytest.mark.slow
async def test_a_thousand_objects_take_little_memory(server_process):
    server_process.start()
    client = Client(server_process.kubeconfig)
    for at in range(0, SMALL, 8):
        await asyncio.gather(
            *(
                client.ok("POST", MAPS, config_map(number))
                for number in range(at, at + 8)
            )
        )
    assert len((await client.ok("GET", MAPS))["items"]) == SMALL
    process = psutil.Process(server_process.process.pid)
    assert process.memory_info().rss < SMALL_BOUND_MIB << 20
    await client.close()


@pytest.mark.parametrize("namespace", ["default", None])
async def test_a_page_is_read_in_the_order_of_an_index(tmp_path, namespace):
    """Sorting all that follows would make each page of a list slower."""
    store = Store(tmp_path / "objects.sqlite3")
    asked = []
    store.read._connection.set_trace_callback(asked.append)
    after = Key("/configmaps", "default", "m")
    for revision in (None, 5):
        store.read.page(
            *("/configmaps", namespace),
            limit=CHUNK,
            after=after,
            revision=revision,
        )
    store.read._connection.set_trace_callback(None)
    queries = [text for text in asked if text.startswith("SELECT namespace")]
    assert len(queries) == 2
    for text in queries:
        plan = store.read._connection.execute(f"EXPLAIN QUERY PLAN {text}")
        steps = " ".join(row[3] for row in plan)
        assert "SCAN" not in steps
        assert "TEMP B-TREE" not in steps
    await store.close()
