from __future__ import annotations

import copy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.engine.resource import API_VERSION, ObjectKey
from reconciler.engine.store import ObjectStore

KEY = ObjectKey("Widget", "default", "one")


def raw(name="one", version="1", uid="u1", **spec):
    return {
        "apiVersion": API_VERSION,
        "kind": "Widget",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": uid,
            "resourceVersion": version,
        },
        "spec": spec,
    }


@pytest.fixture
def store(widget_kind):
    return ObjectStore([widget_kind])


def test_objects_are_listed_by_namespace_and_name(store, widget_kind):
    for name in ("b", "a", "c"):
        store.update(raw(name, uid=name))
    other = raw("0", uid="x")
    other["metadata"]["namespace"] = "zoo"
    store.update(other)
    names = [w.metadata.name for w in store.list(widget_kind)]
    assert names == ["a", "b", "c", "0"]
    assert [w.metadata.name for w in store.list(widget_kind, "zoo")] == ["0"]
    assert store.get(widget_kind, "default", "b").metadata.name == "b"
    assert store.get(widget_kind, "default", "nobody") is None


def test_an_older_or_equal_version_changes_nothing(store, widget_kind):
    assert store.update(raw(version="10", size=10))
    assert store.update(raw(version="9", size=9)) is None
    assert store.update(raw(version="10", size=9)) is None
    assert store.get(widget_kind, "default", "one").spec.size == 10
    # Versions are numbers, not text.
    assert store.update(raw(version="100", size=11))


def test_versions_that_are_no_numbers_count_as_newer_if_different(store):
    assert store.update(raw(version="x1"))
    assert store.update(raw(version="x1")) is None
    assert store.update(raw(version="x0"))


def test_a_change_tells_before_and_after(store):
    first = store.update(raw(version="1", size=1))
    assert (first.key, first.before) == (KEY, None)
    second = store.update(raw(version="2", size=2))
    assert second.before.resource.spec.size == 1
    assert second.after.resource.spec.size == 2


def test_a_late_event_does_not_bring_a_deleted_object_back(store):
    store.update(raw(version="1"))
    assert store.remove(raw(version="3"))
    assert store.update(raw(version="2")) is None
    assert store.entry(KEY) is None
    assert store.update(raw(version="4", uid="u2"))


def test_the_late_deletion_of_a_namesake_removes_nothing(store):
    store.update(raw(version="5", uid="new"))
    assert store.remove(raw(version="6", uid="old")) is None
    assert store.entry(KEY).uid == "new"


def test_objects_of_other_kinds_are_not_kept(store):
    assert store.update({**raw(), "kind": "Pod"}) is None
    assert store.update({**raw(), "apiVersion": "v1"}) is None
    assert store.key_of({**raw(), "kind": "Pod"}) is None
    assert store.remove({**raw(), "kind": "Pod"}) is None


def test_an_unreadable_object_is_kept_with_its_problem(store, widget_kind):
    store.update(raw(size="much", partner=7, extra=1, size2=2))
    entry = store.entry(KEY)
    assert entry.resource is None
    assert "spec.size" in entry.problem
    assert "much" not in entry.problem
    assert entry.problem.endswith("and 1 more")
    assert store.get(widget_kind, "default", "one") is None
    assert store.list(widget_kind) == []
    assert store.keys("Widget") == [KEY]


def test_managed_fields_take_no_memory_and_the_event_is_not_touched(store):
    event = raw()
    event["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    before = copy.deepcopy(event)
    store.update(event)
    assert event == before
    assert "managedFields" not in store.entry(KEY).raw["metadata"]


def test_a_list_removes_what_it_lacks(store):
    store.update(raw("one", uid="u1"))
    store.update(raw("two", uid="u2"))
    listed = [raw("two", "1", "u2"), raw("three", "3", "u3")]
    for item in listed:
        del item["kind"], item["apiVersion"]
    known = store.uids("Widget")
    changes = store.replace("Widget", listed, known)
    told = {c.key.name: c.after is not None for c in changes}
    assert told == {"one": False, "three": True}
    assert [key.name for key in store.keys("Widget")] == ["three", "two"]


def test_a_list_notices_a_namesake(store):
    store.update(raw(version="5", uid="old"))
    known = store.uids("Widget")
    changes = store.replace("Widget", [raw(version="8", uid="new")], known)
    assert [c.after is not None for c in changes] == [False, True]
    assert store.entry(KEY).uid == "new"


def test_a_server_that_was_set_up_anew_counts_from_the_start(store):
    store.update(raw(version="500", uid="old"))
    known = store.uids("Widget")
    store.replace("Widget", [raw(version="8", uid="new")], known)
    assert store.entry(KEY).uid == "new"


def test_a_list_that_is_older_than_an_object_does_not_remove_it(store):
    store.update(raw("one", uid="u1"))
    known = store.uids("Widget")
    store.update(raw("two", uid="u2"))
    assert store.replace("Widget", [raw("one", uid="u1")], known) == []
    assert store.update(raw("two", "9", "u2")) is not None


# The fixture is a class, the same for all examples.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(versions=st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_in_any_order_the_newest_version_stays(widget_kind, versions):
    store = ObjectStore([widget_kind])
    for version in versions:
        store.update(raw(version=str(version), size=version))
    found = store.get(widget_kind, "default", "one")
    assert found.spec.size == max(versions)
