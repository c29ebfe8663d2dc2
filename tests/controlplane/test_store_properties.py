"""The store against a model: a dict per revision."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.controlplane.storage.reader import Reader
from reconciler.controlplane.storage.record import Key
from reconciler.controlplane.storage.store import Store

NAMES = st.sampled_from(["a", "b", "c"])
SPACES = st.sampled_from(["x", "y"])
STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "put", "remove"]), SPACES, NAMES),
    max_size=25,
)


class Model:
    """What the store should hold at each revision."""

    def __init__(self):
        self.now = {}
        self.at = {0: {}}
        self.events = []

    def record(self, number, kind, key, value):
        if kind == "remove":
            self.now.pop(key)
        else:
            self.now[key] = value
        self.at[number] = dict(self.now)
        self.events.append((number, kind, key))


async def _play(store, steps):
    model = Model()
    last = None
    for count, (step, space, name) in enumerate(steps):
        key = Key("/things", space, name)
        live = store.current(key)
        if step == "remove" and live is None:
            continue
        obj = {"metadata": {"name": name, "namespace": space}, "n": count}
        if step == "remove":
            stored, last = store.remove(key, obj, live)
        else:
            stored, last = store.put(key, obj, live)
        model.record(stored.number, step, key, count)
    if last is not None:
        await last
    return model


def _shown(page):
    return {stored.key: stored.object()["n"] for stored in page.items}


def _with_store(check, steps):
    async def run():
        with tempfile.TemporaryDirectory() as directory:
            store = Store(Path(directory) / "db")
            try:
                await check(store, await _play(store, steps))
            finally:
                await store.close()

    asyncio.run(run())


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_every_revision_can_be_read_again(steps):
    async def check(store, model):
        assert _shown(store.read.page("/things", None)) == model.now
        for number, state in model.at.items():
            page = store.read.page("/things", None, revision=number)
            assert _shown(page) == state
        for space in ("x", "y"):
            inside = {k: v for k, v in model.now.items() if k[1] == space}
            assert _shown(store.read.page("/things", space)) == inside

    _with_store(check, steps)


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_history_leads_from_any_revision_to_the_newest(steps):
    async def check(store, model):
        for number, state in model.at.items():
            replayed = dict(state)
            for event in store.read.history(number, store.published):
                key = event.stored.key
                before = event.previous
                assert (before is None) is (key not in replayed)
                if before is not None:
                    assert before.object()["n"] == replayed[key]
                if event.deleted:
                    del replayed[key]
                else:
                    replayed[key] = event.stored.object()["n"]
            assert replayed == model.now

    _with_store(check, steps)


@settings(max_examples=25, deadline=None)
@given(STEPS, st.integers(1, 4))
def test_pages_add_up_to_the_list(steps, limit):
    async def check(store, model):
        found, after = {}, None
        revision = store.published
        while True:
            page = store.read.page(
                "/things", None, limit=limit, after=after, revision=revision
            )
            assert len(page.items) <= limit
            found |= _shown(page)
            assert page.remaining == len(model.now) - len(found)
            after = page.after
            if after is None:
                break
        assert found == model.now

    _with_store(check, steps)


@settings(max_examples=25, deadline=None)
@given(STEPS, st.integers(0, 6))
def test_compaction_keeps_what_the_window_needs(steps, kept):
    async def check(store, model):
        store._history = kept
        store.compact()
        key = Key("/things", "x", "after")
        _, written = store.put(key, {"metadata": {}, "n": -1}, None)
        await written
        shown = _shown(store.read.page("/things", None))
        assert shown == model.now | {key: -1}
        numbers = [number for number, _, _ in model.events]
        for number in numbers:
            if number < store.compacted:
                continue
            page = store.read.page("/things", None, revision=number)
            assert _shown(page) == model.at[number]
        recent = [n for n in numbers if n > store.compacted]
        events = store.read.history(store.compacted, store.published)
        assert [event.number for event in events][:-1] == recent

    _with_store(check, steps)


async def test_large_objects_do_not_fill_the_disk_with_their_past(
    tmp_path, monkeypatch
):
    from reconciler.controlplane.storage import store as storage

    monkeypatch.setattr(storage, "HISTORY_BYTES", 10_000)
    store = Store(tmp_path / "db")
    key, last = Key("/t", "", "a"), None
    for number in range(20):
        body = {"metadata": {}, "n": number, "text": "x" * 1000}
        last, written = store.put(key, body, last)
        await written
    store.compact()
    _, written = store.put(Key("/t", "", "b"), {"metadata": {}}, None)
    await written
    ((kept, size),) = store.read._connection.execute(
        "SELECT count(*), sum(length(data)) FROM revisions"
        " WHERE superseded IS NOT NULL"
    ).fetchall()
    assert kept == 9
    assert size <= 10_000
    events = list(store.read.history(store.compacted, store.published))
    assert [e.stored.object().get("n") for e in events][:-1] == [
        *range(11, 20)
    ]
    assert all(event.previous for event in events[:-1])
    assert store.read.get(key) == last
    await store.close()


@settings(max_examples=15, deadline=None)
@given(STEPS)
def test_numbers_go_on_after_a_restart(steps):
    async def run():
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "db"
            store = Store(path)
            model = await _play(store, steps)
            await store.close()
            store = Store(path)
            assert _shown(store.read.page("/things", None)) == model.now
            key = Key("/things", "z", "new")
            stored, written = store.put(key, {"metadata": {}, "n": 0}, None)
            await written
            assert stored.number > max(model.at)
            await store.close()

    asyncio.run(run())


async def test_what_is_read_is_on_disk_and_what_is_written_is_newest(
    tmp_path,
):
    store = Store(tmp_path / "db")
    key = Key("/things", "x", "a")
    first, written = store.put(key, {"metadata": {}, "n": 1}, None)
    assert store.current(key) == first
    assert store.read.get(key) is None or written.done() is False
    await written
    assert store.read.get(key) == first
    second, removed = store.remove(key, {"metadata": {}, "n": 2}, first)
    assert store.current(key) is None
    await removed
    assert store.read.get(key) is None
    assert store.published == second.number
    await store.close()


async def test_what_is_on_disk_and_not_published_is_waited_for(tmp_path):
    """A list may show it, and the watch that follows must not be refused."""
    store = Store(tmp_path / "db")
    key = Key("/things", "x", "a")
    stored, written = store.put(key, {"metadata": {}, "n": 1}, None)
    reader = Reader(tmp_path / "db")
    while reader.revision() < stored.number:
        continue  # The loop does not run: nothing can be published.
    assert store.published < stored.number
    await store.reached(stored.number)
    assert store.published == stored.number
    await store.reached(stored.number + 1)
    reader.close()
    assert written.done()
    await store.close()


async def test_owners_are_indexed(tmp_path):
    store = Store(tmp_path / "db")
    key = Key("/things", "x", "child")
    owners = [{"uid": "one"}, {"uid": "two"}]
    obj = {"metadata": {"ownerReferences": owners}}
    first, written = store.put(key, obj, None)
    await written
    assert store.read.dependents("one") == [key]
    assert store.read.owned() == [key]
    obj = {"metadata": {"ownerReferences": owners[1:]}}
    second, written = store.put(key, obj, first)
    await written
    assert store.read.dependents("one") == []
    assert store.read.dependents("two") == [key]
    _, written = store.remove(key, {"metadata": {}}, second)
    await written
    assert store.read.owned() == []
    await store.close()


@pytest.mark.parametrize("count", [1, 50])
async def test_writes_that_arrive_together_share_commits(
    tmp_path, count, monkeypatch
):
    from reconciler.controlplane.storage import writer

    commits = []
    plain = writer._commit

    def counted(connection, batch):
        commits.append(len(batch))
        plain(connection, batch)

    monkeypatch.setattr(writer, "_commit", counted)
    store = Store(tmp_path / "db")
    waits = [
        store.put(Key("/t", "", f"n{i}"), {"metadata": {}}, None)[1]
        for i in range(count)
    ]
    await asyncio.gather(*waits)
    await store.close()
    assert sum(commits) == count
    assert len(commits) <= max(1, count // 2)
