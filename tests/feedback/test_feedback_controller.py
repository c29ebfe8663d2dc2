"""The FeedbackStore controller with a real PostgreSQL."""

from __future__ import annotations

import base64
import os
import signal
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg
import pytest

from reconciler.engine.conditions import find, is_true
from reconciler.engine.controller import (
    Context,
    TerminalError,
    TransientError,
)
from reconciler.engine.plan import Action
from reconciler.feedback import (
    EmbeddedServer,
    InvalidDsnError,
    NoServerError,
    import_rows,
    resolve_dsn,
)
from reconciler.feedback.connecting import connected, explain
from reconciler.feedback.controller import FeedbackStoreController
from reconciler.feedback.dsn import database_of
from reconciler.feedback.embedded import EmbeddedServer as Embedded
from reconciler.feedback.errors import FeedbackError
from reconciler.feedback.plan import MigrateSchema
from reconciler.feedback.processes import alive, postmaster, wait_until
from reconciler.feedback.resource import FeedbackStore

NOW = datetime(2026, 11, 25, 2, 0, tzinfo=UTC)


@dataclass
class Cluster:
    """Secrets to read and events that were recorded."""

    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    seen: list[tuple[str, str]] = field(default_factory=list)

    async def get(self, _version, kind, namespace, name):
        assert (kind, namespace) == ("Secret", "default")
        data = self.secrets.get(name)
        return None if data is None else {"data": data}

    def normal(self, _about, reason, note):
        self.seen.append((reason, note))


@dataclass
class World:
    """One controller and one live object."""

    controller: FeedbackStoreController
    live: FeedbackStore
    cluster: Cluster = field(default_factory=Cluster)

    @property
    def context(self):
        return Context(None, self.cluster, self.cluster, lambda _: None)

    async def once(self):
        seen = await self.controller.observe(self.context, self.live)
        result = self.controller.plan(self.live, seen, NOW)
        self.live = self.live.model_copy(update={"status": result.status})
        for action in result.actions:
            await self.controller.act(self.context, self.live, action)
        return result

    async def settle(self):
        for _ in range(6):
            result = await self.once()
            if not result.actions:
                return result.status
        pytest.fail("never settles")
        return None


def store(**spec):
    name = f"s{uuid.uuid4().hex[:8]}"
    return FeedbackStore.parse(
        {
            "metadata": {"name": name, "uid": "u", "generation": 1},
            "spec": spec,
        }
    )


def external(dsn, key="dsn"):
    spec = {"engine": "External", "connection": {"secretRef": {"name": "db"}}}
    encoded = base64.b64encode(dsn.encode()).decode()
    return World(
        FeedbackStoreController(None),
        store(**spec),
        Cluster({"db": {key: encoded}}),
    )


def thumb(number):
    return {
        "id": str(number),
        "kind": "thumbs",
        "model": "m",
        "generation": "m-1",
        "prompt": "p",
        "response": "r",
        "value": True,
        "rater": "ann",
    }


async def test_a_store_is_set_up_and_counted(server):
    world = World(FeedbackStoreController(server), store())
    status = await world.settle()
    assert is_true(status.conditions, "Ready", 1)
    assert status.rows == 0
    dsn = await resolve_dsn(world.cluster, world.live, server)
    import_rows(dsn, [thumb(1), thumb(2), b"bad"])
    status = await world.settle()
    assert (status.rows, status.by_kind.quarantined) == (2, 1)
    assert [reason for reason, _ in world.cluster.seen] == [
        "StartServer",
        "MigrateSchema",
    ]


async def test_an_idle_store_writes_nothing_while_others_work(server):
    world = World(FeedbackStoreController(server), store())
    await world.settle()
    dsn = await resolve_dsn(world.cluster, world.live, server)
    import_rows(dsn, [thumb(1)])
    status = await world.settle()
    for _ in range(3):
        with psycopg.connect(server.dsn()) as connection:
            connection.execute("SELECT pg_current_xact_id()")
        result = await world.once()
        assert (result.actions, result.status) == ((), status)


async def test_rows_are_let_go_when_they_are_too_old(server):
    world = World(FeedbackStoreController(server), store(retentionDays=1))
    await world.settle()
    dsn = await resolve_dsn(world.cluster, world.live, server)
    import_rows(dsn, [thumb(1), thumb(2)])
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "UPDATE feedback.judgements SET received_at = "
            "timestamptz '2026-11-20' WHERE id = (SELECT min(id::text)::uuid "
            "FROM feedback.judgements)"
        )
    status = await world.settle()
    assert status.rows == 1
    expected = "dropped 1 judgements older than 2026-11-24 02:00"
    assert ("DropOlder", expected) in world.cluster.seen


async def test_an_action_of_another_kind_is_a_mistake(server):
    world = World(FeedbackStoreController(server), store())
    with pytest.raises(TypeError, match="no action of a FeedbackStore"):
        await world.controller.act(world.context, world.live, Action("k"))


async def test_stores_do_not_share_rows(server):
    controller = FeedbackStoreController(server)
    first, second = World(controller, store()), World(controller, store())
    await first.settle()
    dsn = await resolve_dsn(first.cluster, first.live, server)
    import_rows(dsn, [thumb(1)])
    assert (await second.settle()).rows == 0
    assert (await first.settle()).rows == 1


def test_long_names_get_distinct_databases():
    def named(name):
        return FeedbackStore.parse(
            {"metadata": {"name": name, "namespace": "n" * 63}, "spec": {}}
        )

    one, other = database_of(named("a" * 62)), database_of(named("a" * 63))
    assert len(one) <= 63
    assert one != other
    assert database_of(store()).startswith("default.")


@pytest.mark.slow
async def test_a_killed_server_is_not_ready_then_started_again(tmp_path):
    own = Embedded(tmp_path / "pg")
    world = World(FeedbackStoreController(own), store())
    try:
        await world.settle()
        dsn = await resolve_dsn(world.cluster, world.live, own)
        import_rows(dsn, [thumb(1)])
        await world.settle()
        pid = postmaster(tmp_path / "pg" / "data")
        os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda: not alive(pid), 10)
        ready = find((await world.once()).status.conditions, "Ready")
        assert (ready.status, ready.reason) == ("False", "ServerStarting")
        status = await world.settle()
        assert is_true(status.conditions, "Ready")
        assert status.rows == 1
    finally:
        own.stop()


async def test_an_external_store_reads_its_secret(empty_dsn):
    world = external(empty_dsn)
    status = await world.settle()
    assert is_true(status.conditions, "Ready")
    text = status.model_dump_json() + str(world.cluster.seen)
    assert "host=" not in text


async def test_an_unreachable_server_is_a_condition_without_its_secret(dsn):
    bad = "postgresql://u:hunter2@127.0.0.1:1/secretdb"
    world = external(bad)
    status = await world.settle()
    ready = find(status.conditions, "Ready")
    assert (ready.status, ready.reason) == ("False", "ServerUnreachable")
    for part in ("hunter2", "127.0.0.1", "secretdb"):
        assert part not in status.model_dump_json()
    with pytest.raises(TransientError) as caught:
        await world.controller.act(
            world.context, world.live, MigrateSchema("k")
        )
    assert "hunter2" not in str(caught.value)
    encoded = base64.b64encode(dsn.encode()).decode()
    world.cluster.secrets["db"]["dsn"] = encoded
    assert is_true((await world.settle()).conditions, "Ready")


@pytest.mark.parametrize(
    ("secrets", "message"),
    [
        ({}, "does not exist"),
        ({"db": {}}, "has no key dsn"),
        ({"db": {"dsn": "%%%"}}, "is no text"),
        ({"db": {"dsn": "ICA="}}, "is no text"),
        ({"db": {"dsn": "aHVudGVyMiB3b3Jkcw=="}}, "cannot be parsed"),
    ],
)
async def test_a_bad_secret_stalls_and_is_not_quoted(secrets, message):
    world = external("")
    world.cluster.secrets = secrets
    status = await world.settle()
    stalled = find(status.conditions, "Stalled")
    assert stalled.reason == "InvalidConnection"
    assert message in stalled.message
    assert "hunter2" not in stalled.message
    with pytest.raises(TerminalError):
        await world.controller.act(
            world.context, world.live, MigrateSchema("k")
        )


async def test_an_embedded_store_needs_a_server():
    world = World(FeedbackStoreController(None), store())
    status = await world.settle()
    assert find(status.conditions, "Stalled").reason == "NoServer"
    with pytest.raises(NoServerError):
        await resolve_dsn(world.cluster, world.live, None)


async def test_an_external_store_without_connection_is_refused():
    with pytest.raises(InvalidDsnError, match="missing"):
        await resolve_dsn(Cluster(), store(engine="External"), None)


async def test_tables_of_a_newer_program_stall_the_store(server):
    world = World(FeedbackStoreController(server), store())
    await world.settle()
    dsn = await resolve_dsn(world.cluster, world.live, server)
    with psycopg.connect(dsn) as connection:
        connection.execute("INSERT INTO feedback.versions VALUES (999)")
    status = await world.settle()
    assert find(status.conditions, "Stalled").reason == "SchemaTooNew"
    with pytest.raises(TerminalError):
        await world.controller.act(
            world.context, world.live, MigrateSchema("k")
        )


async def test_a_machine_without_postgresql_stalls_with_the_way_out(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("RECONCILER_POSTGRES_BIN", str(tmp_path))
    server = EmbeddedServer(tmp_path / "pg")
    world = World(FeedbackStoreController(server), store())
    with pytest.raises(TerminalError, match="install") as caught:
        await world.settle()
    assert caught.value.reason == "NoServer"


async def test_a_suspended_store_starts_no_server(tmp_path):
    server = EmbeddedServer(tmp_path / "pg")
    world = World(FeedbackStoreController(server), store(suspend=True))
    await world.settle()
    assert not (tmp_path / "pg").exists()


def test_a_statement_that_takes_too_long_is_ended(dsn):
    with (
        pytest.raises(FeedbackError, match="QueryCanceled"),
        connected(dsn, statement_seconds=0.05) as connection,
    ):
        connection.execute("SELECT pg_sleep(5)")


def test_unknown_failures_are_named_not_quoted():
    error = psycopg.OperationalError("password=hunter2 frobnicated")
    assert explain(error) == "PostgreSQL reports OperationalError"
