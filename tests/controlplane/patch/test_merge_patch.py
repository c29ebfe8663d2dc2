"""JSON merge patch: the RFC's examples, and what must always hold."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.controlplane.patch import merge_patch

SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3)
NAMES = st.sampled_from("abcd")
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)
    ),
    max_leaves=12,
)


def without_nulls(value):
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return value


OBJECTS = st.dictionaries(NAMES, VALUES, max_size=4).map(without_nulls)


@pytest.mark.parametrize(
    ("original", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        (
            {"a": {"b": "c"}},
            {"a": {"b": "d", "c": None}},
            {"a": {"b": "d"}},
        ),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": {"x": 1}}, {"a": {}}, {"a": {"x": 1}}),
    ],
)
def test_patch_gives_what_the_rfc_says(original, patch, result):
    assert merge_patch(original, patch) == result


@given(OBJECTS, OBJECTS)
def test_neither_side_is_changed(original, patch):
    before = copy.deepcopy((original, patch))
    result = merge_patch(original, patch)
    result["extra"] = 1
    assert (original, patch) == before


def test_result_shares_no_list_with_the_patch():
    patch = {"a": {"b": [1]}}
    merge_patch({}, patch)["a"]["b"].append(2)
    assert patch == {"a": {"b": [1]}}


@given(OBJECTS, VALUES)
def test_patching_twice_changes_nothing_more(original, patch):
    once = merge_patch(original, patch)
    assert merge_patch(once, patch) == once


def difference(old, new):
    """Return the merge patch that turns `old` into `new`."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    patch = {name: None for name in old if name not in new}
    for name, value in new.items():
        if name not in old:
            patch[name] = value
        elif old[name] != value or type(old[name]) is not type(value):
            patch[name] = difference(old[name], value)
    return patch


@given(OBJECTS, OBJECTS)
def test_patch_of_the_difference_leads_from_one_to_the_other(old, new):
    assert merge_patch(old, difference(old, new)) == new


@given(OBJECTS)
def test_empty_patch_is_the_identity(original):
    assert merge_patch(original, {}) == original
