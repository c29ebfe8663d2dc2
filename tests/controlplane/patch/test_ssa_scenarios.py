"""Server-side apply: who owns what, what conflicts, what goes away."""

import copy

import pytest

from reconciler.controlplane.patch import (
    PatchError,
    conflict_message,
    server_side_apply,
    update_managed_fields,
)
from reconciler.controlplane.schema import CompiledSchema

VERSION = "example.dev/v1"
TEXT = {"type": "string"}
CONDITION = {
    "type": "object",
    "properties": {"type": TEXT, "status": TEXT, "reason": TEXT},
}
SCHEMA = CompiledSchema.compile(
    {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "a": TEXT,
                    "b": TEXT,
                    "box": {
                        "type": "object",
                        "properties": {"x": TEXT, "y": TEXT},
                    },
                    "map": {"type": "object", "additionalProperties": TEXT},
                    "list": {"type": "array", "items": TEXT},
                    "set": {
                        "type": "array",
                        "items": TEXT,
                        "x-kubernetes-list-type": "set",
                    },
                    "items": {
                        "type": "array",
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["name"],
                        "items": {
                            "type": "object",
                            "properties": {
                                "name": TEXT,
                                "v": TEXT,
                                "w": TEXT,
                            },
                        },
                    },
                },
            },
            "status": {
                "type": "object",
                "properties": {
                    "phase": TEXT,
                    "conditions": {
                        "type": "array",
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["type"],
                        "items": CONDITION,
                    },
                },
            },
        },
    }
)


def thing(spec=None, **more):
    obj = {"apiVersion": VERSION, "kind": "Thing", "metadata": {"name": "t"}}
    return {**obj, **({} if spec is None else {"spec": spec}), **more}


def apply(live, config, manager="one", *, force=False, now="t1", **more):
    return server_side_apply(live, config, manager, force, SCHEMA, now, **more)


def applied(live, config, manager="one", **more):
    result, conflicts = apply(live, config, manager, **more)
    assert conflicts == []
    return result


def entries(obj):
    return {
        (e["manager"], e["operation"], e.get("subresource", "")): e
        for e in obj["metadata"].get("managedFields", [])
    }


def owned(obj, manager, operation="Apply", subresource=""):
    found = entries(obj).get((manager, operation, subresource))
    return None if found is None else found["fieldsV1"]


def test_first_apply_creates_what_it_names_and_owns_it():
    config = thing({"a": "1", "items": [{"name": "n", "v": "1"}]})
    config["metadata"]["labels"] = {"app": "x"}
    result = applied(None, config)
    assert result["metadata"].pop("managedFields") == [
        {
            "manager": "one",
            "operation": "Apply",
            "apiVersion": VERSION,
            "time": "t1",
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:metadata": {"f:labels": {"f:app": {}}},
                "f:spec": {
                    "f:a": {},
                    "f:items": {
                        'k:{"name":"n"}': {".": {}, "f:name": {}, "f:v": {}}
                    },
                },
            },
        }
    ]
    assert result == config


def test_second_manager_adds_its_own_fields():
    live = applied(None, thing({"a": "1"}))
    live = applied(live, thing({"b": "2"}), "two", now="t2")
    assert live["spec"] == {"a": "1", "b": "2"}
    assert owned(live, "one") == {"f:spec": {"f:a": {}}}
    assert owned(live, "two") == {"f:spec": {"f:b": {}}}


def test_field_of_another_with_another_value_is_a_conflict():
    live = applied(None, thing({"a": "1"}))
    before = copy.deepcopy(live)
    result, conflicts = apply(live, thing({"a": "2"}), "two")
    assert result == before == live
    assert [c.message() for c in conflicts] == ['conflict with "one": .spec.a']


def test_field_of_an_updater_conflicts_and_names_its_version():
    live = update_managed_fields(
        None, thing({"a": "1"}), "kubectl-edit", "Update", "t0", SCHEMA
    )
    _, conflicts = apply(live, thing({"a": "2"}), "two")
    assert conflict_message(conflicts) == (
        'Apply failed with 1 conflict: conflict with "kubectl-edit" using '
        "example.dev/v1: .spec.a"
    )
    assert conflicts[0].cause() == {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "kubectl-edit" using example.dev/v1',
        "field": ".spec.a",
    }


def test_many_conflicts_are_listed_by_manager():
    live = applied(None, thing({"a": "1"}))
    live = applied(live, thing({"b": "1", "map": {"k": "1"}}), "two")
    config = thing({"a": "2", "b": "2", "map": {"k": "2"}})
    _, conflicts = apply(live, config, "three")
    assert conflict_message(conflicts) == (
        "Apply failed with 3 conflicts: "
        'conflicts with "one":\n'
        "- .spec.a\n"
        'conflicts with "two":\n'
        "- .spec.b\n"
        "- .spec.map.k"
    )


def test_force_takes_the_field_over():
    live = applied(None, thing({"a": "1", "b": "1"}))
    live = applied(live, thing({"a": "2"}), "two", force=True)
    assert live["spec"] == {"a": "2", "b": "1"}
    assert owned(live, "one") == {"f:spec": {"f:b": {}}}
    assert owned(live, "two") == {"f:spec": {"f:a": {}}}


def test_manager_that_lost_everything_is_forgotten():
    live = applied(None, thing({"a": "1"}))
    live = applied(live, thing({"a": "2"}), "two", force=True)
    assert list(entries(live)) == [("two", "Apply", "")]


def test_equal_value_is_shared_and_outlives_either_owner():
    live = applied(None, thing({"a": "1", "b": "1"}))
    live = applied(live, thing({"a": "1"}), "two", now="t2")
    assert owned(live, "one")["f:spec"] == {"f:a": {}, "f:b": {}}
    assert owned(live, "two") == {"f:spec": {"f:a": {}}}
    live = applied(live, thing({"b": "1"}), now="t3")
    assert live["spec"] == {"a": "1", "b": "1"}
    live = applied(live, thing({}), "two", now="t4")
    assert live["spec"] == {"b": "1"}


def test_shared_field_can_only_change_by_conflict():
    live = applied(None, thing({"a": "1"}))
    live = applied(live, thing({"a": "1"}), "two")
    _, conflicts = apply(live, thing({"a": "2"}))
    assert [c.manager for c in conflicts] == ["two"]


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [
        ({"a": "1", "b": "1"}, {"a": "1"}, {"a": "1"}),
        ({"box": {"x": "1", "y": "1"}}, {"box": {"x": "1"}}, None),
        ({"box": {"x": "1"}}, {}, {}),
        ({"a": "1", "box": {"x": "1"}}, {"a": "1"}, {"a": "1"}),
        ({"map": {"k": "1", "l": "1"}}, {"map": {"l": "1"}}, None),
        ({"set": ["p", "q"]}, {"set": ["q"]}, {"set": ["q"]}),
        ({"list": ["p", "q"]}, {"list": ["q"]}, {"list": ["q"]}),
        (
            {"items": [{"name": "n", "v": "1"}, {"name": "m"}]},
            {"items": [{"name": "m"}]},
            {"items": [{"name": "m"}]},
        ),
        (
            {"items": [{"name": "n", "v": "1", "w": "2"}]},
            {"items": [{"name": "n", "w": "2"}]},
            {"items": [{"name": "n", "w": "2"}]},
        ),
    ],
)
def test_what_is_no_longer_named_goes(first, second, left):
    live = applied(None, thing(first))
    live = applied(live, thing(second))
    assert live["spec"] == (second if left is None else left)


def test_item_stays_while_another_manager_has_it():
    live = applied(None, thing({"items": [{"name": "n", "v": "1"}]}))
    other = thing({"items": [{"name": "n", "w": "2"}]})
    live = applied(live, other, "two")
    live = applied(live, thing({}))
    assert live["spec"]["items"] == [{"name": "n", "w": "2"}]


def test_dropping_the_last_field_keeps_the_identity():
    config = thing({"a": "1"})
    config["metadata"]["labels"] = {"app": "x"}
    live = applied(None, config)
    live["metadata"].update(uid="u", resourceVersion="7", generation=1)
    live = applied(live, thing())
    assert live["metadata"] == {
        "name": "t",
        "uid": "u",
        "resourceVersion": "7",
        "generation": 1,
    }
    assert "spec" not in live


def test_fields_of_nobody_survive():
    live = applied(None, thing({"a": "1", "map": {"k": "1"}}))
    live["spec"]["map"]["defaulted"] = "d"
    live = applied(live, thing({"map": {"k": "1"}}))
    assert live["spec"] == {"map": {"k": "1", "defaulted": "d"}}


def test_field_of_an_updater_is_not_removed_by_omission():
    live = applied(None, thing({"a": "1", "b": "1"}))
    changed = {**live, "spec": {"a": "9", "b": "1"}}
    live = update_managed_fields(live, changed, "edit", "Update", "t2", SCHEMA)
    live = applied(live, thing({"b": "1"}))
    assert live["spec"] == {"a": "9", "b": "1"}
    assert owned(live, "edit", "Update") == {"f:spec": {"f:a": {}}}


def test_same_configuration_again_is_a_no_op():
    config = thing({"a": "1", "set": ["p"], "box": {}})
    live = applied(None, config)
    again = applied(live, config, now="t9")
    assert again == live
    assert entries(again)["one", "Apply", ""]["time"] == "t1"


def test_agreeing_with_others_gives_no_new_time():
    live = applied(None, thing({"a": "1", "b": "1"}), now="t1")
    live = applied(live, thing({"a": "1"}), "two", now="t2")
    live = applied(live, thing({"a": "1", "b": "1"}), "two", now="t3")
    times = {k[0]: e.get("time") for k, e in entries(live).items()}
    assert times["one"] == "t1"
    assert times["two"] != "t3"


def test_changing_something_gives_a_new_time_to_the_changer_only():
    live = applied(None, thing({"a": "1"}), now="t1")
    live = applied(live, thing({"b": "1"}), "two", now="t2")
    live = applied(live, thing({"b": "2"}), "two", now="t3")
    times = {k[0]: e["time"] for k, e in entries(live).items()}
    assert times == {"one": "t1", "two": "t3"}


def test_object_written_before_anybody_applied_conflicts():
    live = thing({"a": "1"})
    live["metadata"]["uid"] = "u"
    _, conflicts = apply(live, thing({"a": "2"}))
    assert [c.manager for c in conflicts] == ["before-first-apply"]
    result = applied(live, thing({"b": "1"}))
    assert result["spec"] == {"a": "1", "b": "1"}


def test_status_is_owned_apart_from_the_object():
    live = applied(None, thing({"a": "1"}))
    status = thing(status={"phase": "Up"})
    live = applied(live, status, subresource="status", now="t2")
    assert owned(live, "one") == {"f:spec": {"f:a": {}}}
    assert owned(live, "one", subresource="status") == {
        "f:status": {"f:phase": {}}
    }
    live = applied(live, thing({"a": "2"}), now="t3")
    assert live["status"] == {"phase": "Up"}
    assert owned(live, "one", subresource="status") is not None


def test_status_subresource_ignores_everything_but_status():
    live = applied(None, thing({"a": "1"}))
    config = thing({"a": "9"}, status={"phase": "Up"})
    config["metadata"]["labels"] = {"app": "x"}
    live = applied(live, config, subresource="status")
    assert live["spec"] == {"a": "1"}
    assert "labels" not in live["metadata"]


def test_conflict_with_a_subresource_says_so():
    live = applied(None, thing({"a": "1"}))
    up = thing(status={"phase": "Up"})
    live = applied(live, up, subresource="status")
    down = thing(status={"phase": "Down"})
    _, conflicts = apply(live, down, "two", subresource="status")
    assert [c.message() for c in conflicts] == [
        'conflict with "one" with subresource "status": .status.phase'
    ]


def test_reset_fields_are_neither_written_nor_owned():
    config = thing({"a": "1"}, status={"phase": "Up"})
    live = applied(None, config, reset=("status",))
    assert "status" not in live
    assert owned(live, "one") == {"f:spec": {"f:a": {}}}


def test_conditions_of_two_managers_live_side_by_side():
    def with_condition(kind, status):
        conditions = [{"type": kind, "status": status}]
        return thing(status={"conditions": conditions})

    live = applied(None, with_condition("Ready", "True"), "one")
    live = applied(live, with_condition("Healthy", "True"), "two")
    live = applied(live, with_condition("Ready", "False"), "one")
    assert live["status"]["conditions"] == [
        {"type": "Ready", "status": "False"},
        {"type": "Healthy", "status": "True"},
    ]


def test_what_only_the_server_writes_cannot_be_applied():
    live = applied(None, thing({"a": "1"}))
    live["metadata"].update(uid="u", creationTimestamp="c")
    config = thing({"a": "1"})
    config["metadata"].update(creationTimestamp=None, generation=99)
    assert applied(live, config) == live


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (thing({"nope": "1"}), ".spec.nope: field not declared in schema"),
        (
            thing({"items": [{"name": "n", "z": "1"}]}),
            '.spec.items[name="n"].z: field not declared in schema',
        ),
        (
            thing({"set": ["p", "p"]}),
            '.spec.set: duplicate entries for key [="p"]',
        ),
        (
            thing({"items": [{"name": "n"}, {"name": "n"}]}),
            '.spec.items: duplicate entries for key [name="n"]',
        ),
        (
            thing(metadata={"managedFields": [{"manager": "x"}]}),
            "metadata.managedFields must be nil",
        ),
    ],
)
def test_configuration_without_meaning_is_refused(config, message):
    with pytest.raises(PatchError) as caught:
        apply(None, config)
    assert caught.value.message == message
    assert caught.value.code == 400


def test_unreadable_managed_fields_own_nothing():
    live = thing({"a": "1"})
    live["metadata"]["managedFields"] = [
        {"manager": "x", "operation": "Apply", "fieldsV1": {"bad": {}}}
    ]
    _, conflicts = apply(live, thing({"a": "2"}))
    assert [c.manager for c in conflicts] == ["before-first-apply"]


def test_inputs_are_not_changed():
    live = applied(None, thing({"a": "1", "items": [{"name": "n"}]}))
    config = thing({"items": [{"name": "n", "v": "1"}]})
    before = copy.deepcopy((live, config))
    result = applied(live, config, "two")
    result["spec"]["items"][0]["v"] = "changed"
    assert (live, config) == before


@pytest.mark.parametrize(
    ("api_version", "kind", "first", "second", "merged"),
    [
        (
            "v1",
            "ConfigMap",
            {"data": {"a": "1"}},
            {"data": {"b": "2"}},
            {"data": {"a": "1", "b": "2"}},
        ),
        (
            "v1",
            "Namespace",
            {"status": {"conditions": [{"type": "A", "status": "True"}]}},
            {"status": {"conditions": [{"type": "B", "status": "True"}]}},
            None,
        ),
        (
            "other/v1",
            "Untyped",
            {"spec": {"m": {"a": 1}}},
            {"spec": {"m": {"b": [2]}}},
            {"spec": {"m": {"a": 1, "b": [2]}}},
        ),
    ],
)
def test_kinds_without_a_schema(api_version, kind, first, second, merged):
    def of_kind(content):
        identity = {"apiVersion": api_version, "kind": kind}
        return {**identity, "metadata": {"name": "x"}, **content}

    live, _ = server_side_apply(
        None, of_kind(first), "one", force=False, schema=None, now="t1"
    )
    live, conflicts = server_side_apply(
        live, of_kind(second), "two", force=False, schema=None, now="t2"
    )
    assert not conflicts
    if merged is None:
        found = live["status"]["conditions"]
        assert [c["type"] for c in found] == ["A", "B"]
    else:
        assert {k: live[k] for k in merged} == merged


def test_atomic_list_of_another_is_a_conflict_as_a_whole():
    live = applied(None, thing({"list": ["a"]}))
    _, conflicts = apply(live, thing({"list": ["a", "b"]}), "two")
    assert [c.field for c in conflicts] == [".spec.list"]


def test_finalizers_of_two_managers_are_a_set():
    config = thing()
    config["metadata"]["finalizers"] = ["x/one"]
    other = thing()
    other["metadata"]["finalizers"] = ["x/two"]
    live = applied(applied(None, config), other, "two")
    assert live["metadata"]["finalizers"] == ["x/one", "x/two"]
    live = applied(live, thing())
    assert live["metadata"]["finalizers"] == ["x/two"]
