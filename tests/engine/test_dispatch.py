from __future__ import annotations

import pytest

from reconciler.engine.controller import Watch
from reconciler.engine.resource import ObjectKey


def keys(toy):
    return sorted(key.name for key in list(toy.queue._fifo))


def partners(changed, objects):
    """Widgets that have the changed one as their partner."""
    return [
        w.key
        for w in objects.list(type(changed))
        if w.spec.partner == changed.metadata.name
    ]


def named_partner(changed, _objects):
    """The widget that the changed one names."""
    if changed.spec.partner is None:
        return []
    return [ObjectKey("Widget", "default", changed.spec.partner)]


@pytest.fixture
def watching(new_toy, widget_kind):
    def build(mapping):
        return new_toy(watches=(Watch(widget_kind, mapping),))

    return build


async def test_the_status_of_one_object_wakes_those_that_refer_to_it(watching):
    toy = watching(partners)
    toy.server.put("one", size=3)
    toy.server.put("two", size=1, partner="one")
    await toy.settle()
    assert toy.server.widget("two")["status"]["partnerSize"] == 3
    toy.server.put("one", size=8)
    await toy.settle()
    assert toy.server.widget("two")["status"]["partnerSize"] == 8


async def test_own_writes_wake_watchers_but_not_the_object_itself(watching):
    toy = watching(partners)
    toy.server.put("one", size=3)
    toy.server.put("two", size=1, partner="one")
    await toy.settle()
    raw = toy.server.widget("one")
    raw["metadata"]["resourceVersion"] = "1000"
    toy.dispatcher.written(raw)
    assert keys(toy) == ["two"]


async def test_an_object_that_is_no_longer_referred_to_is_woken(watching):
    toy = watching(named_partner)
    toy.server.put("left", partner="old")
    await toy.settle()
    toy.server.put("left", partner="new")
    assert keys(toy) == ["left", "new", "old"]


async def test_a_deletion_wakes_watchers_and_drops_the_delay(watching):
    toy = watching(partners)
    toy.controller.finalizer = False
    toy.server.put("one", size=3)
    toy.server.put("two", size=1, partner="one")
    await toy.settle()
    toy.server.user_delete("one")
    assert keys(toy) == ["one", "two"]
    await toy.settle()
    assert "partnerSize" not in toy.server.widget("two")["status"]


async def test_a_bug_in_a_map_does_not_stop_events(watching, caplog):
    def bug(changed, _objects):
        return [changed.spec.nonsense]

    toy = watching(bug)
    toy.server.put("one", size=3)
    await toy.settle()
    assert toy.controller.world == {"one": 3}
    assert "Mapping widget/default/one" in caplog.text


async def test_while_holding_own_event_is_stale_but_a_foreign_one_is_not(toy):
    toy.server.put("one", size=3)
    await toy.settle()
    key = ObjectKey("Widget", "default", "one")
    ours = dict(toy.server.widget("one"))
    ours["metadata"] = {**ours["metadata"], "resourceVersion": "1000"}
    with toy.dispatcher.holding(key):
        toy.dispatcher.updated(ours)
        assert keys(toy) == []
        toy.dispatcher.written(ours)
    assert keys(toy) == []
    theirs = {**ours, "spec": {"size": 9}}
    theirs["metadata"] = {**ours["metadata"], "resourceVersion": "1001"}
    with toy.dispatcher.holding(key):
        toy.dispatcher.updated(ours)
        toy.dispatcher.updated(theirs)
        toy.dispatcher.written(ours)
    assert keys(toy) == ["one"]
    assert toy.store.entry(key).resource.spec.size == 9


async def test_a_deletion_while_holding_is_not_lost(toy):
    toy.server.put("one", size=3)
    key = ObjectKey("Widget", "default", "one")
    raw = toy.server.widget("one")
    with toy.dispatcher.holding(key):
        toy.dispatcher.deleted(raw)
        assert toy.store.entry(key) is not None
    assert toy.store.entry(key) is None


async def test_a_list_enqueues_what_changed_unseen(toy):
    toy.server.put("one", size=3)
    toy.server.put("two", size=3)
    await toy.settle()
    toy.server.listener = None
    toy.server.put("one", size=4)
    known = toy.dispatcher.known("Widget")
    raws = list(toy.server.objects.values())
    toy.dispatcher.listed("Widget", raws, known)
    assert keys(toy) == ["one"]


async def test_what_was_created_during_a_list_is_not_taken_for_deleted(toy):
    toy.server.put("old", size=1)
    known = toy.dispatcher.known("Widget")
    raws = list(toy.server.objects.values())
    toy.server.put("new", size=2)  # its event comes before the list does
    toy.dispatcher.listed("Widget", raws, known)
    await toy.settle()
    assert toy.controller.world == {"old": 1, "new": 2}
    toy.server.put("new", size=3)
    await toy.settle()
    assert toy.controller.world["new"] == 3


async def test_seeding_enqueues_nothing_until_asked(toy):
    toy.server.listener = None
    toy.server.put("one", size=3)
    toy.dispatcher.seed("Widget", list(toy.server.objects.values()))
    assert keys(toy) == []
    toy.dispatcher.enqueue_all()
    assert keys(toy) == ["one"]


async def test_what_controllers_write_is_in_memory_at_once(toy, widget_kind):
    toy.server.listener = None
    body = {
        "apiVersion": "reconciler.dev/v1alpha1",
        "kind": "Widget",
        "metadata": {"name": "child", "namespace": "default"},
        "spec": {"size": 2},
    }
    client = toy.context.client
    await client.apply(body, dry_run=True)
    assert keys(toy) == []
    await client.apply(body)
    assert toy.store.get(widget_kind, "default", "child").spec.size == 2
    assert keys(toy) == ["child"]
    where = ("reconciler.dev/v1alpha1", "Widget", "default", "child")
    await client.merge_patch(*where, {"spec": {"size": 5}})
    assert toy.store.get(widget_kind, "default", "child").spec.size == 5
    found = await client.get(*where)
    assert found["spec"] == {"size": 5}
    assert len(await client.list(where[0], "Widget", "default")) == 1
    assert await client.delete(*where)
    assert not await client.delete(*where)
