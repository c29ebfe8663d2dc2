"""Server-side apply: ownership, conflicts, removal, sharing."""

import copy

import pytest
from apply_support import (
    NOTHING,
    SCHEMA,
    T1,
    T2,
    T3,
    VERSION,
    apply,
    attempt,
    entry,
    owned,
    update,
    widget,
)

from reconciler.controlplane.patch import (
    Conflict,
    PatchError,
    conflict_message,
)

# What a manager owns.


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({"size": 1}, {"f:size": {}}),
        ({"deep": {"a": 1}}, {"f:deep": {"f:a": {}}}),
        ({"deep": {}}, {"f:deep": {}}),
        (
            {"labels": {"x": "1"}},
            {"f:labels": {"f:x": {}}},
        ),
        ({"labels": {}}, {"f:labels": {}}),
        ({"ref": {"name": "n"}}, {"f:ref": {}}),
        ({"args": ["a", "b"]}, {"f:args": {}}),
        ({"args": []}, {"f:args": {}}),
        ({"tags": ["a", "b"]}, {"f:tags": {'v:"a"': {}, 'v:"b"': {}}}),
        (
            {"ports": [{"name": "a", "port": 1}]},
            {
                "f:ports": {
                    'k:{"name":"a","proto":"TCP"}': {
                        ".": {},
                        "f:name": {},
                        "f:port": {},
                    }
                }
            },
        ),
        (
            {"ports": [{"name": "a", "proto": "UDP", "tags": ["x"]}]},
            {
                "f:ports": {
                    'k:{"name":"a","proto":"UDP"}': {
                        ".": {},
                        "f:name": {},
                        "f:proto": {},
                        "f:tags": {'v:"x"': {}},
                    }
                }
            },
        ),
        (
            {"free": {"x": {"y": 1}, "l": [1]}},
            {"f:free": {"f:x": {".": {}, "f:y": {}}, "f:l": {}}},
        ),
        ({"size": None}, {"f:size": {}}),
    ],
    ids=repr,
)
def test_fields_of_a_configuration(spec, fields):
    assert owned(apply(None, spec)) == fields


def test_empty_lists_that_merge_by_item_own_nothing():
    assert entry(apply(None, {"tags": []})) is None


def test_an_entry():
    assert entry(apply(None, {"size": 1}, now=T2)) == {
        "manager": "one",
        "operation": "Apply",
        "apiVersion": VERSION,
        "time": T2,
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:size": {}}},
    }


def test_nobody_owns_what_the_server_writes():
    config = widget(
        {"size": 1},
        namespace="ns",
        labels={"a": "b"},
        annotations={"c": "d"},
        finalizers=["f"],
        uid="u",
        resourceVersion="5",
        creationTimestamp=T1,
        generation=7,
    )
    obj = apply(None, config)
    assert entry(obj)["fieldsV1"] == {
        "f:metadata": {
            "f:labels": {"f:a": {}},
            "f:annotations": {"f:c": {}},
            "f:finalizers": {'v:"f"': {}},
        },
        "f:spec": {"f:size": {}},
    }
    assert "uid" not in obj["metadata"]
    assert obj["metadata"]["namespace"] == "ns"


def test_owner_references_are_known_by_uid_and_atomic():
    reference = {"apiVersion": "v1", "kind": "K", "name": "n", "uid": "u1"}
    obj = apply(None, widget(ownerReferences=[reference]))
    assert entry(obj)["fieldsV1"] == {
        "f:metadata": {"f:ownerReferences": {'k:{"uid":"u1"}': {}}}
    } or entry(obj)["fieldsV1"] == {
        "f:metadata": {"f:ownerReferences": {'k:{"uid":"u1"}': {".": {}}}}
    }


# Merging.


@pytest.mark.parametrize(
    ("live", "spec", "wanted"),
    [
        ({"size": 1}, {"color": "red"}, {"size": 1, "color": "red"}),
        ({"deep": {"a": 1}}, {"deep": {"b": 2}}, {"deep": {"a": 1, "b": 2}}),
        (
            {"labels": {"x": "1"}},
            {"labels": {"y": "2"}},
            {"labels": {"x": "1", "y": "2"}},
        ),
        ({"tags": ["a"]}, {"tags": ["b"]}, {"tags": ["a", "b"]}),
        ({"tags": ["a", "b"]}, {"tags": ["b"]}, {"tags": ["a", "b"]}),
        ({"tags": ["a", "b"]}, {"tags": ["b", "a"]}, {"tags": ["b", "a"]}),
        ({"tags": ["a", "x", "b"]}, {"tags": ["b", "a"]}, None),
        (
            {"ports": [{"name": "a", "port": 1}]},
            {"ports": [{"name": "b", "port": 2}]},
            {
                "ports": [
                    {"name": "a", "port": 1},
                    {"name": "b", "port": 2},
                ]
            },
        ),
        (
            {"ports": [{"name": "a", "port": 1}]},
            {"ports": [{"name": "a", "tags": ["x"]}]},
            {"ports": [{"name": "a", "port": 1, "tags": ["x"]}]},
        ),
        (
            {"ports": [{"name": "a", "proto": "TCP", "port": 1}]},
            {"ports": [{"name": "a", "proto": "UDP", "port": 2}]},
            {
                "ports": [
                    {"name": "a", "proto": "TCP", "port": 1},
                    {"name": "a", "proto": "UDP", "port": 2},
                ]
            },
        ),
        (
            {"free": {"x": {"y": 1}}},
            {"free": {"x": {"z": 2}}},
            {"free": {"x": {"y": 1, "z": 2}}},
        ),
    ],
    ids=repr,
)
def test_two_managers_merge(live, spec, wanted):
    first = apply(None, live, "first")
    result = apply(first, spec, "second")["spec"]
    if wanted is None:
        assert sorted(result["tags"]) == ["a", "b", "x"]
        assert result["tags"].index("b") < result["tags"].index("a")
    else:
        assert result == wanted


# Conflicts.


@pytest.mark.parametrize(
    ("live", "spec", "fields"),
    [
        ({"size": 1}, {"size": 2}, [".spec.size"]),
        ({"deep": {"a": 1}}, {"deep": {"a": 2}}, [".spec.deep.a"]),
        ({"labels": {"x": "1"}}, {"labels": {"x": "2"}}, [".spec.labels.x"]),
        ({"ref": {"name": "a"}}, {"ref": {"name": "b"}}, [".spec.ref"]),
        (
            {"ref": {"name": "a"}},
            {"ref": {"name": "a", "namespace": "n"}},
            [".spec.ref"],
        ),
        ({"args": ["a"]}, {"args": ["a", "b"]}, [".spec.args"]),
        (
            {"ports": [{"name": "a", "port": 1}]},
            {"ports": [{"name": "a", "port": 2}]},
            ['.spec.ports[name="a",proto="TCP"].port'],
        ),
        (
            {"size": 1, "color": "red"},
            {"size": 2, "color": "blue"},
            [".spec.color", ".spec.size"],
        ),
        ({"size": 1}, {"size": None}, [".spec.size"]),
        ({"tags": ["a"]}, {"tags": ["b"]}, []),
        ({"size": 1}, {"size": 1}, []),
        ({"size": 1}, {"size": 1.0}, []),
    ],
    ids=repr,
)
def test_conflicts(live, spec, fields):
    first = apply(None, live, "first")
    obj, conflicts = attempt(first, spec, "second")
    assert [c.field for c in conflicts] == fields
    assert {c.manager for c in conflicts} <= {"first"}
    if fields:
        assert obj == first


def test_a_conflict_with_an_applier_in_kubectls_words():
    first = apply(None, {"size": 1}, "kubectl")
    _, conflicts = attempt(first, {"size": 2}, "second")
    assert conflict_message(conflicts) == (
        'Apply failed with 1 conflict: conflict with "kubectl": .spec.size'
    )
    assert conflicts[0].cause() == {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "kubectl"',
        "field": ".spec.size",
    }


def test_a_conflict_with_an_updater_names_its_version():
    first = update(None, {"size": 1}, "kubectl-edit")
    first = apply(first, {"color": "red"}, "other")
    _, conflicts = attempt(first, {"size": 2}, "second")
    assert conflict_message(conflicts) == (
        'Apply failed with 1 conflict: conflict with "kubectl-edit" using '
        "example.dev/v1: .spec.size"
    )


def test_a_conflict_with_a_subresource_names_it():
    conflict = Conflict("hpa", ".spec.size", VERSION, "Update", "scale")
    assert conflict.message() == (
        'conflict with "hpa" with subresource "scale" using '
        "example.dev/v1: .spec.size"
    )


def test_several_conflicts_are_listed_by_manager():
    obj = apply(None, {"size": 1, "deep": {"a": 1}}, "b")
    obj = apply(obj, {"color": "red"}, "a")
    wanted = {"size": 2, "deep": {"a": 2}, "color": "blue"}
    _, conflicts = attempt(obj, wanted, "c")
    assert conflict_message(conflicts) == (
        "Apply failed with 3 conflicts: "
        'conflicts with "a":\n'
        "- .spec.color\n"
        'conflicts with "b":\n'
        "- .spec.deep.a\n"
        "- .spec.size"
    )


def test_one_field_of_two_owners_is_two_conflicts():
    obj = apply(apply(None, {"size": 1}, "a"), {"size": 1}, "b")
    _, conflicts = attempt(obj, {"size": 2}, "c")
    assert [(c.manager, c.field) for c in conflicts] == [
        ("a", ".spec.size"),
        ("b", ".spec.size"),
    ]


def test_force_takes_over():
    first = apply(None, {"size": 1, "color": "red"}, "first")
    obj = apply(first, {"size": 2}, "second", force=True)
    assert obj["spec"] == {"size": 2, "color": "red"}
    assert owned(obj, "first") == {"f:color": {}}
    assert owned(obj, "second") == {"f:size": {}}


def test_force_takes_the_last_field_and_the_entry_goes():
    first = apply(None, {"size": 1}, "first")
    obj = apply(first, {"size": 2}, "second", force=True)
    assert entry(obj, "first") is None


def test_force_against_nobody_is_an_apply():
    obj = apply(None, {"size": 1}, force=True)
    assert obj == apply(None, {"size": 1})


def test_the_loser_may_apply_again_and_conflicts():
    obj = apply(None, {"size": 1}, "first")
    obj = apply(obj, {"size": 2}, "second", force=True)
    _, conflicts = attempt(obj, {"size": 1}, "first")
    assert [c.manager for c in conflicts] == ["second"]


# Sharing and removal.


def test_the_same_value_is_shared():
    obj = apply(apply(None, {"size": 1}, "a"), {"size": 1}, "b")
    assert owned(obj, "a") == owned(obj, "b") == {"f:size": {}}


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ({"size": 1, "color": "r"}, {"size": 1}, {"size": 1}),
        ({"size": 1}, {}, {}),
        ({"deep": {"a": 1, "b": 2}}, {"deep": {"a": 1}}, {"deep": {"a": 1}}),
        ({"size": 1, "deep": {"a": 1}}, {"size": 1}, {"size": 1}),
        (
            {"labels": {"x": "1", "y": "2"}},
            {"labels": {"y": "2"}},
            {"labels": {"y": "2"}},
        ),
        ({"size": 1, "labels": {"x": "1"}}, {"size": 1}, {"size": 1}),
        ({"tags": ["a", "b"]}, {"tags": ["b"]}, {"tags": ["b"]}),
        ({"size": 1, "ref": {"name": "a"}}, {"size": 1}, {"size": 1}),
        ({"size": 1, "args": ["a"]}, {"size": 1}, {"size": 1}),
        (
            {"ports": [{"name": "a"}, {"name": "b"}]},
            {"ports": [{"name": "b"}]},
            {"ports": [{"name": "b"}]},
        ),
        (
            {"ports": [{"name": "a", "port": 1, "tags": ["x", "y"]}]},
            {"ports": [{"name": "a", "tags": ["y"]}]},
            {"ports": [{"name": "a", "tags": ["y"]}]},
        ),
        (
            {"free": {"x": {"y": 1}, "z": 1}},
            {"free": {"z": 1}},
            {"free": {"z": 1}},
        ),
    ],
    ids=repr,
)
def test_what_a_manager_omits_goes(before, after, wanted):
    obj = apply(apply(None, before), after, now=T2)
    assert (obj.get("spec") or {}) == wanted


@pytest.mark.parametrize(
    ("mine", "theirs", "left"),
    [
        ({"size": 1}, {"size": 1}, {"size": 1}),
        ({"deep": {"a": 1}}, {"deep": {"b": 1}}, {"deep": {"b": 1}}),
        ({"tags": ["a"]}, {"tags": ["a", "b"]}, {"tags": ["a", "b"]}),
        ({"tags": ["a"]}, {"tags": ["b"]}, {"tags": ["b"]}),
        (
            {"ports": [{"name": "a", "port": 1}]},
            {"ports": [{"name": "a", "tags": ["x"]}]},
            {"ports": [{"name": "a", "tags": ["x"]}]},
        ),
        (
            {"labels": {"x": "1"}},
            {"labels": {"y": "2"}},
            {"labels": {"y": "2"}},
        ),
        ({"ref": {"name": "a"}}, {"ref": {"name": "a"}}, None),
    ],
    ids=repr,
)
def test_what_others_own_stays(mine, theirs, left):
    obj = apply(apply(None, mine, "me"), theirs, "them")
    obj = apply(obj, NOTHING, "me", now=T2)
    assert obj["spec"] == (theirs if left is None else left)
    assert entry(obj, "me") is None


def test_what_an_updater_added_stays():
    obj = apply(None, {"size": 1, "color": "red"})
    obj = update(obj, {"size": 1, "color": "red", "deep": {"a": 1}})
    obj = apply(obj, {"size": 1})
    assert obj["spec"] == {"size": 1, "deep": {"a": 1}}


def test_what_an_updater_changed_stays_when_omitted():
    obj = apply(None, {"size": 1, "color": "red"})
    obj = update(obj, {"size": 1, "color": "blue"})
    assert owned(obj) == {"f:size": {}}
    obj = apply(obj, {"size": 1})
    assert obj["spec"] == {"size": 1, "color": "blue"}


def test_an_item_goes_with_its_owner_though_others_wrote_inside():
    # Whoever wants to keep an item has to apply its keys.
    obj = apply(None, {"ports": [{"name": "a", "port": 1}]}, "me")
    new = {"ports": [{"name": "a", "port": 1, "tags": ["x"]}]}
    obj = update(obj, new, "them")
    obj = apply(obj, NOTHING, "me")
    assert obj["spec"] == {"ports": []}
    assert entry(obj, "them", "Update") is None


def test_omitting_everything_removes_the_entry():
    obj = apply(apply(None, {"size": 1}), NOTHING)
    assert obj == NOTHING


def test_an_empty_map_is_applied_and_owned():
    obj = apply(apply(None, {"size": 1}), {})
    assert obj["spec"] == {}
    assert entry(obj)["fieldsV1"] == {"f:spec": {}}


# No-ops and times.


def test_a_no_op_keeps_the_entry_and_its_time():
    obj = apply(None, {"size": 1}, now=T1)
    assert apply(obj, {"size": 1}, now=T2) == obj


def test_a_change_has_a_new_time():
    obj = apply(apply(None, {"size": 1}, now=T1), {"size": 2}, now=T2)
    assert entry(obj)["time"] == T2


def test_giving_up_a_shared_field_keeps_the_time():
    # The object stays as it is; only who owns it changes.
    obj = apply(None, {"size": 1, "color": "red"}, "a", now=T1)
    obj = apply(obj, {"size": 1}, "b", now=T2)
    later = apply(obj, {"color": "red"}, "a", now=T3)
    assert entry(later, "a")["time"] == T1
    assert owned(later, "a") == {"f:color": {}}
    assert later["spec"] == obj["spec"]


def test_agreeing_with_what_is_there_has_no_time():
    obj = apply(None, {"size": 1}, "a", now=T1)
    obj = apply(obj, {"size": 1}, "b", now=T2)
    assert "time" not in entry(obj, "b")
    assert entry(obj, "a")["time"] == T1


def test_a_no_op_leaves_the_live_object_itself():
    live = apply(None, {"size": 1})
    before = copy.deepcopy(live)
    apply(live, {"color": "red"}, "b")
    attempt(live, {"size": 2}, "b")
    apply(live, {"size": 3}, "b", force=True)
    assert live == before


def test_a_configuration_is_not_changed():
    config = widget({"deep": {"a": 1}}, labels={"a": "b"}, uid="u")
    before = copy.deepcopy(config)
    result = apply(None, config)
    result["spec"]["deep"]["a"] = 2
    assert config == before


# Subresources.


def test_status_is_applied_through_its_path():
    obj = apply(None, {"size": 1}, "user")
    config = widget({"size": 9}, {"phase": "Up"}, labels={"x": "y"})
    obj = apply(obj, config, "controller", subresource="status", now=T2)
    assert obj["spec"] == {"size": 1}
    assert obj["status"] == {"phase": "Up"}
    assert "labels" not in obj["metadata"]
    mine = entry(obj, "controller", subresource="status")
    assert mine["subresource"] == "status"
    assert mine["fieldsV1"] == {"f:status": {"f:phase": {}}}
    assert owned(obj, "user") == {"f:size": {}}


def test_a_manager_has_an_entry_for_each_subresource():
    obj = apply(None, {"size": 1})
    obj = apply(
        obj, widget(status={"phase": "Up"}), subresource="status", now=T2
    )
    assert owned(obj) == {"f:size": {}}
    assert entry(obj, subresource="status")["time"] == T2
    assert len(obj["metadata"]["managedFields"]) == 2


def test_the_main_path_ignores_what_it_resets():
    config = widget({"size": 1}, {"phase": "Mine"})
    obj = apply(None, config, reset=("status",))
    assert "status" not in obj
    assert entry(obj)["fieldsV1"] == {"f:spec": {"f:size": {}}}


def test_conditions_of_two_controllers_merge():
    ready = widget(status={"conditions": [{"type": "Ready", "status": "T"}]})
    drift = widget(status={"conditions": [{"type": "Drift", "status": "F"}]})
    obj = apply(None, {"size": 1}, "user")
    obj = apply(obj, ready, "a", subresource="status")
    obj = apply(obj, drift, "b", subresource="status")
    kinds = [c["type"] for c in obj["status"]["conditions"]]
    assert kinds == ["Ready", "Drift"]
    gone = apply(obj, widget(status={}), "a", subresource="status")
    assert [c["type"] for c in gone["status"]["conditions"]] == ["Drift"]


# Objects that nobody applied before.


def test_the_first_apply_to_an_unmanaged_object():
    live = widget({"size": 1, "color": "red"})
    obj = apply(live, {"size": 1}, "me")
    assert owned(obj, "me") == {"f:size": {}}
    before = entry(obj, "before-first-apply", "Update")
    assert set(before["fieldsV1"]["f:spec"]) == {".", "f:color", "f:size"}
    _, conflicts = attempt(live, {"size": 2}, "me")
    assert [c.manager for c in conflicts] == ["before-first-apply"]


def test_managed_fields_that_cannot_be_read_own_nothing():
    live = widget({"size": 1}, managedFields=[{"manager": "x"}])
    obj = apply(live, {"size": 1}, "me")
    assert owned(obj, "me") == {"f:size": {}}


# Configurations that mean nothing.


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            widget({"size": 1}, managedFields=[{"manager": "x"}]),
            "metadata.managedFields must be nil",
        ),
        (
            widget({"sise": 1}),
            ".spec.sise: field not declared in schema",
        ),
        (
            widget({"deep": {"a": 1, "c": 2}}),
            ".spec.deep.c: field not declared in schema",
        ),
        (
            widget({"ports": [{"name": "a", "prt": 1}]}),
            (
                '.spec.ports[name="a",proto="TCP"].prt: field not declared in '
                "schema"
            ),
        ),
        (
            widget({"tags": ["a", "a"]}),
            '.spec.tags: duplicate entries for key [="a"]',
        ),
        (
            widget({"ports": [{"name": "a"}, {"name": "a", "port": 2}]}),
            ('.spec.ports: duplicate entries for key [name="a",proto="TCP"]'),
        ),
    ],
    ids=lambda value: str(value)[-40:],
)
def test_configurations_that_are_refused(config, message):
    with pytest.raises(PatchError) as caught:
        attempt(None, config)
    assert caught.value.code == 400
    assert caught.value.message == message


def test_duplicates_of_the_live_object_are_borne():
    live = widget({"tags": ["a", "a"]})
    obj = apply(live, {"size": 1})
    assert obj["spec"]["size"] == 1


# Kinds without a schema.


def test_untyped_objects_have_granular_maps_and_atomic_lists():
    config = {
        "apiVersion": "other.dev/v1",
        "kind": "Thing",
        "metadata": {"name": "t"},
        "spec": {"m": {"a": 1}, "l": [1, 2]},
    }
    obj = apply(None, config, "a", schema=None)
    assert owned(obj, "a") == {
        ".": {},
        "f:m": {".": {}, "f:a": {}},
        "f:l": {},
    }
    more = {**config, "spec": {"m": {"b": 2}}}
    obj = apply(obj, more, "b", schema=None)
    assert obj["spec"] == {"m": {"a": 1, "b": 2}, "l": [1, 2]}
    _, conflicts = attempt(
        obj, {**config, "spec": {"l": [3]}}, "b", schema=None
    )
    assert [c.field for c in conflicts] == [".spec.l"]


def test_built_in_kinds_have_their_own_shapes():
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c"},
        "data": {"a": "1"},
    }
    obj = apply(None, config, "a", schema=None)
    assert entry(obj, "a")["fieldsV1"] == {"f:data": {"f:a": {}}}
    obj = apply(obj, {**config, "data": {"b": "2"}}, "b", schema=None)
    assert obj["data"] == {"a": "1", "b": "2"}
    obj = apply(obj, {**config, "data": {}}, "a", schema=None)
    assert obj["data"] == {"b": "2"}


def test_the_version_of_an_applier_may_change():
    obj = apply(None, {"size": 1, "color": "red"}, api_version="e/v1")
    obj = apply(obj, {"size": 1}, api_version="e/v2", now=T2)
    assert [e["apiVersion"] for e in obj["metadata"]["managedFields"]] == [
        "e/v2"
    ]
    assert obj["spec"] == {"size": 1}


def test_schemas_are_shared_between_objects():
    first = apply(None, {"tags": ["a"]}, schema=SCHEMA)
    second = apply(None, {"tags": ["b"]}, schema=SCHEMA)
    assert first["spec"]["tags"] != second["spec"]["tags"]
