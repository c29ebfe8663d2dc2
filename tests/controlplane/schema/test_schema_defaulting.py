"""Defaults and nulls, as the API server treats them."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.controlplane.schema import CompiledSchema


def compiled(**properties):
    return CompiledSchema.compile({"type": "object", "properties": properties})


def defaulted(schema, value):
    return compiled(spec=schema).default({"spec": value}).get("spec", "gone")


TEXT = {"type": "string", "default": "x"}
NESTED = {
    "type": "object",
    "properties": {
        "a": {"type": "integer", "default": 1},
        "b": {
            "type": "object",
            "properties": {"c": {"type": "boolean", "default": False}},
        },
    },
}


@pytest.mark.parametrize(
    ("schema", "value", "wanted"),
    [
        pytest.param(NESTED, {}, {"a": 1}, id="absent field"),
        pytest.param(NESTED, {"a": 5}, {"a": 5}, id="present field"),
        pytest.param(NESTED, {"a": 0}, {"a": 0}, id="zero is present"),
        pytest.param(
            NESTED,
            {"b": {}},
            {"a": 1, "b": {"c": False}},
            id="below a present parent",
        ),
        pytest.param(
            {**NESTED, "default": {}},
            None,
            {"a": 1},
            id="null parent with a default",
        ),
        pytest.param(
            {**NESTED, "default": {"b": {}}},
            None,
            {"a": 1, "b": {"c": False}},
            id="a default is defaulted, too",
        ),
        pytest.param(
            {"type": "array", "items": NESTED},
            [{}, {"a": 2}],
            [{"a": 1}, {"a": 2}],
            id="items of a list",
        ),
        pytest.param(
            {"type": "array", "items": TEXT},
            ["a", None],
            ["a", "x"],
            id="null item with a default",
        ),
        pytest.param(
            {"type": "array", "items": {"type": "string"}},
            ["a", None],
            ["a", None],
            id="null item without a default stays",
        ),
        pytest.param(
            {"type": "object", "additionalProperties": NESTED},
            {"k": {}},
            {"k": {"a": 1}},
            id="values of a map",
        ),
        pytest.param(
            {"type": "object", "additionalProperties": TEXT},
            {"k": None, "l": "y"},
            {"k": "x", "l": "y"},
            id="null value of a map",
        ),
        pytest.param(
            {
                "type": "object",
                "additionalProperties": {"type": "string"},
            },
            {"k": None, "l": "y"},
            {"l": "y"},
            id="null value of a map without a default goes",
        ),
        pytest.param(
            {"type": "object", "properties": {"a": TEXT}},
            {"a": None},
            {"a": "x"},
            id="null is replaced where it is not allowed",
        ),
        pytest.param(
            {
                "type": "object",
                "properties": {"a": {**TEXT, "nullable": True}},
            },
            {"a": None},
            {"a": None},
            id="null stays where it is allowed",
        ),
        pytest.param(
            {
                "type": "object",
                "properties": {"a": {**TEXT, "nullable": True}},
            },
            {},
            {"a": "x"},
            id="absent is not null",
        ),
        pytest.param(
            {
                "type": "object",
                "properties": {"a": {"type": "string", "default": None}},
            },
            {},
            {},
            id="a default of null is none",
        ),
        pytest.param(
            {
                "type": "object",
                "properties": {
                    "a": {"type": "string", "nullable": True, "default": None}
                },
            },
            {},
            {},
            id="a default of null is none, nullable or not",
        ),
        pytest.param(
            {
                "type": "object",
                "properties": {"a": {"type": "string"}},
            },
            {"a": None},
            {},
            id="null goes where it is not allowed",
        ),
        pytest.param(
            {
                "x-kubernetes-int-or-string": True,
                "default": "50%",
            },
            None,
            "50%",
            id="int or string",
        ),
        pytest.param(
            {
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": True,
                "properties": {"a": TEXT},
            },
            {"unknown": None},
            {"unknown": None, "a": "x"},
            id="unknown fields keep their nulls",
        ),
    ],
)
def test_default(schema, value, wanted):
    assert defaulted(schema, value) == wanted


def test_no_default_below_an_absent_parent():
    assert compiled(spec=NESTED).default({}) == {}


def test_a_default_is_copied_for_each_object():
    schema = compiled(spec={**NESTED, "default": {"b": {}}})
    first, second = schema.default({}), schema.default({})
    first["spec"]["b"]["c"] = True
    assert second["spec"]["b"] == {"c": False}
    assert schema.default({})["spec"]["b"] == {"c": False}


def test_a_value_of_the_wrong_type_is_left_to_validation():
    assert defaulted(NESTED, "text") == "text"
    assert defaulted({"type": "array", "items": NESTED}, {"a": None}) == {
        "a": None
    }


def test_the_object_is_changed_in_place():
    obj = {"spec": {}}
    assert compiled(spec=NESTED).default(obj) is obj
    assert obj == {"spec": {"a": 1}}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("abcdk"), inner, max_size=3)
    ),
    max_leaves=10,
)
DEEP = compiled(
    spec={
        "type": "object",
        "properties": {
            "a": {"type": "integer", "default": 1},
            "b": {**NESTED, "default": {}},
            "c": {"type": "array", "items": {**NESTED, "default": {}}},
            "d": {
                "type": "object",
                "additionalProperties": {"type": "string", "default": "v"},
                "nullable": True,
            },
        },
    }
)


@given(VALUES)
def test_defaulting_is_idempotent(value):
    once = DEEP.default({"spec": copy.deepcopy(value)})
    again = DEEP.default(copy.deepcopy(once))
    assert again == once


@given(VALUES)
def test_defaulting_only_adds_or_replaces_nulls(value):
    done = DEEP.default({"spec": copy.deepcopy(value)})
    if isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(item, list | dict) and item is not None:
                assert done["spec"][name] == item
