"""Strategic merge patch of built-in kinds."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.controlplane.patch import (
    PatchError,
    merge_patch,
    strategic_merge,
)


def account(*secrets, **more):
    return {"secrets": [{"name": n, **more} for n in secrets]}


def merged(obj, patch, kind="ServiceAccount"):
    return strategic_merge(obj, patch, kind)


@pytest.mark.parametrize(
    ("obj", "patch", "wanted"),
    [
        ({"a": 1}, {}, {"a": 1}),
        ({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
        ({"a": {"b": 1}}, {"a": {"b": None}}, {"a": {}}),
        ({"a": 1}, {"a": None, "b": None}, {}),
        ({"l": [1, 2]}, {"l": [3]}, {"l": [3]}),
        ({}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
    ],
    ids=repr,
)
def test_maps_merge_and_other_lists_are_replaced(obj, patch, wanted):
    assert merged(obj, patch) == wanted


@pytest.mark.parametrize(
    ("old", "patch", "wanted"),
    [
        (account("a"), account("b"), account("a", "b")),
        (account("a", "b"), account("b"), account("a", "b")),
        ({}, account("a"), account("a")),
        (
            account("a", "b"),
            {"secrets": [{"name": "a", "namespace": "x"}]},
            {"secrets": [{"name": "a", "namespace": "x"}, {"name": "b"}]},
        ),
        (
            account("a", "b"),
            {"secrets": [{"name": "a", "$patch": "delete"}]},
            account("b"),
        ),
        (
            account("a"),
            {"secrets": [{"name": "z", "$patch": "delete"}]},
            account("a"),
        ),
        (
            account("a", "b"),
            {"secrets": [{"$patch": "replace"}, {"name": "c"}]},
            account("c"),
        ),
        (
            account("a", "b"),
            {"secrets": [{"$patch": "replace"}]},
            {"secrets": []},
        ),
        (
            account("a", "b", "c"),
            {
                "$setElementOrder/secrets": [
                    {"name": "c"},
                    {"name": "b"},
                    {"name": "a"},
                ]
            },
            account("c", "b", "a"),
        ),
        (
            account("a", "x", "b"),
            {"$setElementOrder/secrets": [{"name": "b"}, {"name": "a"}]},
            account("b", "x", "a"),
        ),
        (
            account("a"),
            {
                "$setElementOrder/secrets": [{"name": "b"}, {"name": "a"}],
                "secrets": [{"name": "b"}],
            },
            account("b", "a"),
        ),
        (account("a"), {"secrets": None}, {}),
    ],
    ids=repr,
)
def test_lists_with_a_key_merge_by_it(old, patch, wanted):
    assert merged(old, patch) == wanted


META = {"metadata": {"finalizers": ["a", "b"]}}


@pytest.mark.parametrize(
    ("patch", "wanted"),
    [
        ({"finalizers": ["c"]}, ["a", "b", "c"]),
        ({"finalizers": ["a"]}, ["a", "b"]),
        ({"$deleteFromPrimitiveList/finalizers": ["a"]}, ["b"]),
        ({"$deleteFromPrimitiveList/finalizers": ["z"]}, ["a", "b"]),
        ({"$setElementOrder/finalizers": ["b", "a"]}, ["b", "a"]),
        (
            {
                "$deleteFromPrimitiveList/finalizers": ["a"],
                "$setElementOrder/finalizers": ["c", "b"],
                "finalizers": ["c"],
            },
            ["c", "b"],
        ),
    ],
    ids=repr,
)
def test_finalizers_are_a_set_in_every_kind(patch, wanted):
    result = merged(META, {"metadata": patch}, "ConfigMap")
    assert result == {"metadata": {"finalizers": wanted}}


def test_owners_merge_by_uid():
    old = {"metadata": {"ownerReferences": [{"uid": "1", "name": "a"}]}}
    patch = {
        "metadata": {
            "ownerReferences": [
                {"uid": "2", "name": "b"},
                {"uid": "1", "controller": True},
            ]
        }
    }
    assert merged(old, patch, "Secret")["metadata"]["ownerReferences"] == [
        {"uid": "1", "name": "a", "controller": True},
        {"uid": "2", "name": "b"},
    ]


def test_conditions_of_namespaces_merge_by_type():
    old = {"status": {"conditions": [{"type": "A", "status": "True"}]}}
    patch = {"status": {"conditions": [{"type": "B", "status": "False"}]}}
    result = merged(old, patch, "Namespace")
    assert [c["type"] for c in result["status"]["conditions"]] == ["A", "B"]
    assert merged(old, patch, "ConfigMap") == patch


def test_directives_of_maps():
    old = {"data": {"a": 1, "b": 2}, "type": "x"}
    replace = {"data": {"$patch": "replace", "c": 3}}
    assert merged(old, replace) == {"data": {"c": 3}, "type": "x"}
    delete = {"data": {"$patch": "delete"}}
    assert merged(old, delete) == {"data": {}, "type": "x"}
    retain = {"data": {"$retainKeys": ["b", "c"], "c": 3}}
    assert merged(old, retain) == {"data": {"b": 2, "c": 3}, "type": "x"}
    merge = {"data": {"$patch": "merge", "c": 3}}
    assert merged(old, merge)["data"] == {"a": 1, "b": 2, "c": 3}


def test_no_directive_is_stored():
    patch = {
        "new": {"$setElementOrder/l": [1], "l": [{"x": None, "$patch": "m"}]}
    }
    assert "$" not in repr(merged({}, patch))


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        (None, "error decoding patch"),
        ([], "error decoding patch"),
        ({"$patch": "explode"}, "Unknown type of patch: explode"),
        (
            {"a": {"$retainKeys": ["b"], "c": 1}},
            "$retainKeys list doesn't contain all fields in the patch",
        ),
        (
            {"secrets": [{"namespace": "x"}]},
            "map: {'namespace': 'x'} does not contain declared merge key",
        ),
        ({"secrets": ["x"]}, "map: x does not contain declared merge key"),
        (
            {"$deleteFromPrimitiveList/x": "y"},
            "$deleteFromPrimitiveList/x is not a list",
        ),
    ],
    ids=repr,
)
def test_patches_that_are_none(patch, message):
    with pytest.raises(PatchError) as caught:
        merged({"secrets": [{"name": "a"}]}, patch)
    assert (caught.value.code, caught.value.reason) == (400, "BadRequest")
    assert caught.value.message.startswith(message)


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3)
    ),
    max_leaves=8,
)
PLAIN = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), PLAIN, max_size=3)


@given(OBJECTS, OBJECTS)
def test_without_lists_it_is_a_merge_patch(obj, patch):
    assert merged(obj, patch) == merge_patch(obj, patch)


@given(
    st.lists(st.sampled_from("abcdef"), unique=True),
    st.lists(st.sampled_from("abcdef"), unique=True),
)
def test_merging_by_key_keeps_all_and_is_idempotent(old, new):
    once = merged(account(*old), account(*new))
    names = [s["name"] for s in once["secrets"]]
    assert set(names) == set(old) | set(new)
    assert names[: len(old)] == old
    assert merged(once, account(*new)) == once


@given(st.dictionaries(st.sampled_from("abcd"), JSON), JSON)
def test_every_patch_applies_or_is_refused(obj, patch):
    before = copy.deepcopy(obj)
    code = 200
    try:
        merged(obj, patch)
    except PatchError as error:
        code = error.code
    assert code in (200, 400)
    assert obj == before
