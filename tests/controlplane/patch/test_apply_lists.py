"""Server-side apply: lists by key, take-over and what is left behind."""

import copy

import pytest
from apply_support import (
    NOTHING,
    SCHEMA,
    T1,
    T2,
    T3,
    apply,
    attempt,
    entry,
    owned,
    update,
    widget,
)

from reconciler.controlplane.patch import (
    PatchError,
)

# What a manager owns.


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
