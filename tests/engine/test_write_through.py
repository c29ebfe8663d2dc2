"""What controllers write is in memory at once; and installing kinds."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.engine.controller import TerminalError, TransientError
from reconciler.engine.errors import InvalidError
from reconciler.engine.install import install_crds
from reconciler.engine.resource import API_VERSION
from reconciler.engine.writethrough import WriteThrough

WHERE = (API_VERSION, "Widget", "default", "one")
BODY = {
    "apiVersion": API_VERSION,
    "kind": "Widget",
    "metadata": {"name": "one", "namespace": "default"},
    "spec": {"size": 3},
}


@pytest.fixture
def seen():
    return []


@pytest.fixture
def through(server, seen):
    return WriteThrough(server, seen.append)


async def test_writes_are_reported_as_the_server_answered(
    server, through, seen
):
    applied = await through.apply(BODY)
    patched = await through.merge_patch(*WHERE, {"spec": {"size": 4}})
    assert seen == [applied, patched]
    assert seen[1]["metadata"]["resourceVersion"] == server.version("one")
    assert await through.get(*WHERE) == patched


async def test_reads_deletes_and_dry_runs_are_not(through, seen):
    await through.apply(BODY, dry_run=True)
    assert await through.get(*WHERE) is None
    await through.apply(BODY)
    seen.clear()
    assert len(await through.list(API_VERSION, "Widget")) == 1
    assert await through.delete(*WHERE)
    assert not await through.delete(*WHERE)
    assert seen == []


async def test_a_write_whose_reply_was_lost_is_not_reported(
    server, through, seen
):
    server.lost_reply = {"apply"}
    with pytest.raises(ConnectionResetError):
        await through.apply(BODY)
    assert seen == []


async def test_what_a_controller_creates_is_seen_before_any_event(toy):
    toy.server.listener = None
    await toy.context.client.apply(BODY)
    found = toy.context.objects.get(toy.Widget, "default", "one")
    assert found.spec.size == 3
    assert len(toy.queue) == 1


@pytest.mark.looptime
async def test_installing_waits_until_the_kinds_are_served(
    server, widget_kind
):
    installing = asyncio.create_task(install_crds(server, [widget_kind]))
    await asyncio.sleep(5)
    assert not installing.done()
    (crd,) = server.objects.values()
    crd["status"] = {"conditions": [{"type": "Established", "status": "True"}]}
    async with asyncio.timeout(1):
        await installing


@pytest.mark.looptime
async def test_installing_is_bounded_in_time(server, widget_kind):
    with pytest.raises(TransientError, match="after 3 seconds"):
        await install_crds(server, [widget_kind], patience=3)


async def test_a_kind_that_the_server_refuses_is_told(server, widget_kind):
    def refuse(_):
        reason, message = "Invalid", "schema is not structural"
        raise InvalidError(reason, message)

    server.fail = refuse
    with pytest.raises(TerminalError, match="not structural"):
        await install_crds(server, [widget_kind])
