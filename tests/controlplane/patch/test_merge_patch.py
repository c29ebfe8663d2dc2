"""JSON merge patch."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.controlplane.patch import merge_patch
from reconciler.controlplane.schema.values import same


@pytest.mark.parametrize(
    ("obj", "patch", "wanted"),
    [
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": None}, {}),
        ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
        ({"a": 1}, {"b": None}, {"a": 1}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": [1]}, {"a": 5}, {"a": 5}),
        ({"a": 5}, {"a": [1]}, {"a": [1]}),
        (
            {"a": {"b": 1, "c": 2}},
            {"a": {"b": None, "d": 3}},
            {"a": {"c": 2, "d": 3}},
        ),
        ({"a": [{"b": 1}]}, {"a": [{"c": 2}]}, {"a": [{"c": 2}]}),
        ({"a": [1]}, {"a": [None, {"x": None}]}, {"a": [None, {"x": None}]}),
        ([1, 2], {"a": 1}, {"a": 1}),
        ("text", {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
        ({"a": 1}, [1], [1]),
        ({"a": 1}, "x", "x"),
        ({"a": 1}, None, None),
        ({"a": None}, {"b": 1}, {"a": None, "b": 1}),
        ({}, {"a": {"b": {"c": None}}}, {"a": {"b": {}}}),
        ({"a": 1}, {"a": {"b": 2}}, {"a": {"b": 2}}),
        ({"a": {"b": 2}}, {"a": 1}, {"a": 1}),
    ],
    ids=repr,
)
def test_merge(obj, patch, wanted):
    assert merge_patch(obj, patch) == wanted


JSON = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), JSON, max_size=4)


def difference(old, new):
    """The merge patch from one object to another."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    patch = dict.fromkeys(old.keys() - new.keys())
    for name, value in new.items():
        if name not in old:
            patch[name] = value
        elif not same(old[name], value):
            patch[name] = difference(old[name], value)
    return patch


@given(OBJECTS, OBJECTS)
def test_the_patch_of_a_difference_makes_it(old, new):
    assert same(merge_patch(old, difference(old, new)), new)


@given(OBJECTS, OBJECTS)
def test_merging_is_idempotent(obj, patch):
    once = merge_patch(obj, patch)
    assert same(merge_patch(once, patch), once)


@given(OBJECTS, OBJECTS)
def test_neither_side_is_changed(obj, patch):
    before = copy.deepcopy((obj, patch))
    result = merge_patch(obj, patch)
    assert (obj, patch) == before
    for value in result.values():
        if isinstance(value, list):
            value.append("changed")
    assert patch == before[1]


@given(OBJECTS)
def test_an_empty_patch_changes_nothing(obj):
    assert merge_patch(obj, {}) == obj
