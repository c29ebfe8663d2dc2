"""Server-side apply: ownership, conflicts, removal, sharing."""

import pytest
from apply_support import (
    T1,
    T2,
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
