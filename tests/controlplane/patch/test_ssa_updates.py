"""The managedFields after creates, updates and patches."""

import pytest

from reconciler.controlplane.patch import (
    server_side_apply,
    update_managed_fields,
)
from reconciler.controlplane.patch.managers import MAX_UPDATERS, decode
from reconciler.controlplane.schema import CompiledSchema

VERSION = "example.dev/v1"
SCHEMA = CompiledSchema.compile(
    {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": True,
            },
            "status": {
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": True,
            },
        },
    }
)


def thing(spec, **more):
    meta = {"name": "t", "uid": "u", **more.pop("meta", {})}
    identity = {"apiVersion": VERSION, "kind": "Thing", "metadata": meta}
    return {**identity, "spec": spec, **more}


def written(old, new, manager="edit", now="t1", **more):
    return update_managed_fields(
        old, new, manager, "Update", now, SCHEMA, **more
    )


def entries(obj):
    return obj["metadata"].get("managedFields", [])


def changed(obj, spec):
    return {**obj, "spec": spec}


def test_creation_owns_everything_but_the_identity():
    obj = written(None, thing({"a": 1, "l": [1]}, meta={"labels": {"x": "1"}}))
    assert entries(obj) == [
        {
            "manager": "edit",
            "operation": "Update",
            "apiVersion": VERSION,
            "time": "t1",
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:metadata": {"f:labels": {".": {}, "f:x": {}}},
                "f:spec": {".": {}, "f:a": {}, "f:l": {}},
            },
        }
    ]


def test_update_takes_what_it_changes_and_leaves_the_rest():
    obj = written(None, thing({"a": 1, "b": 1}), "one")
    obj = written(obj, changed(obj, {"a": 2, "b": 1}), "two", "t2")
    one, two = entries(obj)
    assert one["fieldsV1"] == {"f:spec": {".": {}, "f:b": {}}}
    assert two["fieldsV1"] == {"f:spec": {"f:a": {}}}
    assert (one["time"], two["time"]) == ("t1", "t2")


def test_update_that_changes_nothing_changes_no_entry():
    obj = written(None, thing({"a": 1}), "one")
    assert written(obj, obj, "two", "t2") == obj
    assert written(obj, obj, "one", "t2") == obj


def test_removed_field_belongs_to_nobody():
    obj = written(None, thing({"a": 1, "b": 1}), "one")
    obj = written(obj, changed(obj, {"b": 1}), "two", "t2")
    (entry,) = entries(obj)
    assert entry["fieldsV1"] == {"f:spec": {".": {}, "f:b": {}}}


def test_manager_adds_to_its_own_entry():
    obj = written(None, thing({"a": 1}), "one")
    obj = written(obj, changed(obj, {"a": 1, "b": 1}), "one", "t2")
    (entry,) = entries(obj)
    assert entry["fieldsV1"] == {"f:spec": {".": {}, "f:a": {}, "f:b": {}}}
    assert entry["time"] == "t2"


def test_update_and_apply_of_one_name_are_two_managers():
    obj, _ = server_side_apply(
        None, thing({"a": 1}), "one", force=False, schema=SCHEMA, now="t1"
    )
    obj = written(obj, changed(obj, {"a": 1, "b": 1}), "one", "t2")
    assert [e["operation"] for e in entries(obj)] == ["Apply", "Update"]


def test_change_of_an_applied_field_takes_it_from_the_applier():
    obj, _ = server_side_apply(
        None,
        thing({"a": 1, "b": 1}),
        "one",
        force=False,
        schema=SCHEMA,
        now="t1",
    )
    obj = written(obj, changed(obj, {"a": 2, "b": 1}), "two", "t2")
    apply_entry, update_entry = entries(obj)
    assert "f:a" not in apply_entry["fieldsV1"]["f:spec"]
    assert update_entry["fieldsV1"] == {"f:spec": {"f:a": {}}}


def test_status_is_another_entry_of_the_same_manager():
    obj = written(None, thing({"a": 1}), "one")
    new = {**obj, "status": {"phase": "Up"}}
    obj = written(obj, new, "one", "t2", subresource="status")
    assert [e.get("subresource") for e in entries(obj)] == [None, "status"]
    assert entries(obj)[1]["fieldsV1"] == {
        "f:status": {".": {}, "f:phase": {}}
    }


def test_versions_of_an_updater_are_kept_apart():
    obj = written(None, thing({"a": 1}), "one")
    new = {**changed(obj, {"a": 1, "b": 1}), "apiVersion": "example.dev/v2"}
    obj = written(obj, new, "one", "t2")
    assert [e["apiVersion"] for e in entries(obj)] == [
        VERSION,
        "example.dev/v2",
    ]


def test_object_without_ownership_stays_without():
    obj = thing({"a": 1})
    assert entries(written(obj, changed(obj, {"a": 2}))) == []


def test_client_may_edit_the_entries():
    obj = written(None, thing({"a": 1}), "kubectl-client-side-apply")
    renamed = [{**entries(obj)[0], "manager": "kubectl", "operation": "Apply"}]
    meta = {**obj["metadata"], "managedFields": renamed}
    result = written(obj, {**obj, "metadata": meta}, "kubectl", "t2")
    assert [(e["manager"], e["operation"]) for e in entries(result)] == [
        ("kubectl", "Apply")
    ]


@pytest.mark.parametrize("raw", [[], None, "junk", [{"operation": "x"}], 5])
def test_entries_that_say_nothing_do_not_replace_those_known(raw):
    obj = written(None, thing({"a": 1}), "one")
    meta = {**obj["metadata"], "managedFields": raw}
    assert entries(written(obj, {**obj, "metadata": meta})) == entries(obj)


def test_one_empty_entry_resets_all():
    obj = written(None, thing({"a": 1}), "one")
    meta = {**obj["metadata"], "managedFields": [{}]}
    assert entries(written(obj, {**obj, "metadata": meta})) == []


def test_entries_sent_through_a_subresource_are_ignored():
    obj = written(None, thing({"a": 1}), "one")
    meta = {
        **obj["metadata"],
        "managedFields": [{**entries(obj)[0], "manager": "intruder"}],
    }
    new = {**obj, "metadata": meta, "status": {"phase": "Up"}}
    result = written(obj, new, "two", "t2", subresource="status")
    assert [e["manager"] for e in entries(result)] == ["one", "two"]


def test_what_the_server_writes_belongs_to_nobody():
    obj = written(None, thing({"a": 1}), "one")
    meta = {**obj["metadata"], "resourceVersion": "9", "generation": 3}
    assert entries(written(obj, {**obj, "metadata": meta}, "two")) == entries(
        obj
    )


def test_old_updaters_share_one_entry():
    obj = written(None, thing({"f0": 0}), "m0", "t00")
    for n in range(1, MAX_UPDATERS + 5):
        spec = {**obj["spec"], f"f{n}": n}
        obj = written(obj, changed(obj, spec), f"m{n}", f"t{n:02}")
    names = [e["manager"] for e in entries(obj)]
    assert len(names) == MAX_UPDATERS
    assert names.count("ancient-changes") == 1
    owned = set().union(*(m.owned for m in decode(entries(obj)).values()))
    fields = {("f:spec", f"f:f{n}") for n in range(MAX_UPDATERS + 5)}
    assert fields <= owned


def test_entries_are_ordered_by_operation_then_time_then_name():
    obj, _ = server_side_apply(
        None, thing({"a": 1}), "z", force=False, schema=SCHEMA, now="t5"
    )
    obj = written(obj, changed(obj, {**obj["spec"], "b": 1}), "y", "t3")
    obj = written(obj, changed(obj, {**obj["spec"], "c": 1}), "b", "t2")
    obj = written(obj, changed(obj, {**obj["spec"], "d": 1}), "a", "t3")
    assert [e["manager"] for e in entries(obj)] == ["z", "b", "a", "y"]
