"""What validation says, in the API server's words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.controlplane.schema import CompiledSchema


def errors(schema, value, old=None):
    """The sentences about `value` as the spec of an object."""
    compiled = CompiledSchema.compile(
        {"type": "object", "properties": {"spec": schema}}
    )
    before = None if old is None else {"spec": old}
    return [e.message() for e in compiled.validate({"spec": value}, before)]


def kinds(schema, value):
    """Types of the errors."""
    compiled = CompiledSchema.compile(
        {"type": "object", "properties": {"spec": schema}}
    )
    return [e.type for e in compiled.validate({"spec": value}, None)]


INT = {"type": "integer"}
TEXT = {"type": "string"}
INT_OR_STRING = {"x-kubernetes-int-or-string": True}


def must_be(wanted, actual):
    body = f'spec in body must be of type {wanted}: "{actual}"'
    return [f'spec: Invalid value: "{actual}": {body}']


@pytest.mark.parametrize(
    ("schema", "value", "wanted"),
    [
        (INT, "a", must_be("integer", "string")),
        (INT, True, must_be("integer", "boolean")),
        (INT, 1.5, must_be("integer", "number")),
        (INT, [], must_be("integer", "array")),
        (INT, {}, must_be("integer", "object")),
        (INT, None, must_be("integer", "null")),
        (INT, 3, []),
        (INT, 3.0, []),
        (TEXT, 3, must_be("string", "integer")),
        (TEXT, "", []),
        ({"type": "number"}, 3, []),
        ({"type": "number"}, 3.5, []),
        ({"type": "number"}, "3", must_be("number", "string")),
        ({"type": "boolean"}, 1, must_be("boolean", "integer")),
        ({"type": "boolean"}, False, []),
        (
            {"type": "array", "items": INT},
            {},
            must_be("array", "object"),
        ),
        ({"type": "object"}, [], must_be("object", "array")),
        ({"type": "object"}, {}, []),
        ({**INT, "nullable": True}, None, []),
        (INT_OR_STRING, 3, []),
        (INT_OR_STRING, "50%", []),
        (INT_OR_STRING, True, must_be("integer,string", "boolean")),
        (INT_OR_STRING, 1.5, must_be("integer,string", "number")),
        (INT_OR_STRING, None, must_be("integer,string", "null")),
        ({"x-kubernetes-preserve-unknown-fields": True}, "any", []),
        (
            {**TEXT, "format": "date-time"},
            5,
            must_be("date-time", "int64"),
        ),
        ({**TEXT, "format": "date-time"}, True, must_be("date-time", "")),
    ],
    ids=repr,
)
def test_types(schema, value, wanted):
    assert errors(schema, value) == wanted


def invalid(value, detail):
    return [f"spec: Invalid value: {value}: spec in body {detail}"]


@pytest.mark.parametrize(
    ("schema", "value", "wanted"),
    [
        (
            {**INT, "minimum": 1},
            0,
            invalid("0", "should be greater than or equal to 1"),
        ),
        ({**INT, "minimum": 1}, 1, []),
        (
            {**INT, "minimum": 1, "exclusiveMinimum": True},
            1,
            invalid("1", "should be greater than 1"),
        ),
        (
            {**INT, "maximum": 5},
            6,
            invalid("6", "should be less than or equal to 5"),
        ),
        ({**INT, "maximum": 5}, 5, []),
        (
            {**INT, "maximum": 5, "exclusiveMaximum": True},
            5,
            invalid("5", "should be less than 5"),
        ),
        (
            {"type": "number", "maximum": 0.5},
            0.75,
            invalid("0.75", "should be less than or equal to 0.5"),
        ),
        (
            {**INT, "multipleOf": 5},
            7,
            invalid("7", "should be a multiple of 5"),
        ),
        ({**INT, "multipleOf": 5}, 10, []),
        ({"type": "number", "multipleOf": 0.1}, 0.3, []),
        (
            {"type": "number", "multipleOf": 0.1},
            0.35,
            invalid("0.35", "should be a multiple of 0.1"),
        ),
        (
            {**TEXT, "minLength": 2},
            "é",
            invalid('"é"', "should be at least 2 chars long"),
        ),
        (
            {**TEXT, "maxLength": 2},
            "abc",
            ["spec: Too long: may not be more than 2 bytes"],
        ),
        (
            {**TEXT, "maxLength": 1},
            "abc",
            ["spec: Too long: may not be more than 1 byte"],
        ),
        ({**TEXT, "maxLength": 2}, "éé", []),
        (
            {**TEXT, "pattern": "^[a-z]+$"},
            "A1",
            invalid('"A1"', "should match '^[a-z]+$'"),
        ),
        ({**TEXT, "pattern": "b"}, "abc", []),
        (
            {**TEXT, "pattern": "^a$"},
            "a\n",
            invalid('"a\\n"', "should match '^a$'"),
        ),
        (
            {**TEXT, "enum": ["A", "B"]},
            "C",
            ['spec: Unsupported value: "C": supported values: "A", "B"'],
        ),
        ({**TEXT, "enum": ["A", "B"]}, "B", []),
        (
            {**INT, "enum": [1, 2]},
            3,
            ['spec: Unsupported value: 3: supported values: "1", "2"'],
        ),
        (
            {"type": "array", "items": INT, "minItems": 2},
            [1],
            invalid("1", "should have at least 2 items"),
        ),
        (
            {"type": "array", "items": INT, "maxItems": 1},
            [1, 2],
            ["spec: Too many: 2: must have at most 1 item"],
        ),
        (
            {"type": "array", "items": INT, "maxItems": 2},
            [1, 2, 3],
            ["spec: Too many: 3: must have at most 2 items"],
        ),
        (
            {"type": "object", "maxProperties": 1},
            {"a": 1, "b": 2},
            ["spec: Too many: 2: must have at most 1 item"],
        ),
        (
            {"type": "object", "minProperties": 2},
            {"a": 1},
            invalid("2", "should have at least 2 properties"),
        ),
        (
            {"type": "object", "required": ["a", "b"]},
            {"b": 1},
            ["spec.a: Required value"],
        ),
        (
            {**TEXT, "format": "ipv4"},
            "no",
            [
                (
                    'spec: Invalid value: "no": spec in body must be of type '
                    'ipv4: "no"'
                )
            ],
        ),
        ({**TEXT, "format": "made-up"}, "anything", []),
        (
            {**INT, "format": "int32"},
            2**31,
            [
                (
                    '<nil>: Invalid value: "": Checked value must be of type '
                    "integer with format int32 in spec"
                )
            ],
        ),
        ({**INT, "format": "int32"}, 2**31 - 1, []),
    ],
    ids=repr,
)
def test_values(schema, value, wanted):
    assert errors(schema, value) == wanted


NESTED = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": TEXT,
        "ports": {
            "type": "array",
            "items": {"type": "object", "properties": {"port": INT}},
        },
        "limits": {"type": "object", "additionalProperties": INT},
    },
}


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"name": 1}, "spec.name"),
        ({"name": "a", "ports": [{}, {"port": "x"}]}, "spec.ports[1].port"),
        ({"name": "a", "ports": ["x"]}, "spec.ports[0]"),
        ({"name": "a", "limits": {"cpu": "x"}}, "spec.limits.cpu"),
        ({}, "spec.name"),
    ],
    ids=repr,
)
def test_paths(value, field):
    found = errors(NESTED, value)
    assert [text.partition(":")[0] for text in found] == [field]


def test_all_errors_are_reported():
    value = {"ports": ["x", {"port": "y"}], "limits": {"a": 1, "b": None}}
    fields = {text.partition(":")[0] for text in errors(NESTED, value)}
    assert fields == {
        "spec.name",
        "spec.ports[0]",
        "spec.ports[1].port",
        "spec.limits.b",
    }


def test_types_of_errors_are_the_causes_reasons():
    assert kinds(INT, "a") == ["FieldValueTypeInvalid"]
    assert kinds({**INT, "minimum": 1}, 0) == ["FieldValueInvalid"]
    assert kinds({**TEXT, "enum": ["a"]}, "b") == ["FieldValueNotSupported"]
    assert kinds({**TEXT, "maxLength": 1}, "ab") == ["FieldValueTooLong"]
    assert kinds({"type": "array", "items": INT, "maxItems": 0}, [1]) == [
        "FieldValueTooMany"
    ]
    assert kinds({"type": "object", "required": ["a"]}, {}) == [
        "FieldValueRequired"
    ]


WHOLE = {
    "type": "object",
    "properties": {
        "replicas": {"type": "integer", "minimum": 0},
        "mode": {"type": "string", "enum": ["on", "off"]},
    },
}


@pytest.mark.parametrize(
    ("junctor", "value", "wanted"),
    [
        (
            {"anyOf": [{"required": ["mode"]}, {"required": ["replicas"]}]},
            {"mode": "on"},
            [],
        ),
        (
            {"anyOf": [{"required": ["mode"]}, {"required": ["replicas"]}]},
            {},
            [
                (
                    '<nil>: Invalid value: "": "spec" must validate at least '
                    "one schema (anyOf)"
                ),
                "spec.mode: Required value",
            ],
        ),
        (
            {"oneOf": [{"required": ["mode"]}, {"required": ["replicas"]}]},
            {"mode": "on", "replicas": 1},
            [
                (
                    '<nil>: Invalid value: "": "spec" must validate one and '
                    "only one schema (oneOf). Found 2 valid alternatives"
                )
            ],
        ),
        (
            {"oneOf": [{"required": ["mode"]}, {"required": ["replicas"]}]},
            {},
            [
                (
                    '<nil>: Invalid value: "": "spec" must validate one and '
                    "only one schema (oneOf). Found none valid"
                ),
                "spec.mode: Required value",
            ],
        ),
        (
            {"oneOf": [{"required": ["mode"]}, {"required": ["replicas"]}]},
            {"replicas": 1},
            [],
        ),
        (
            {"allOf": [{"required": ["mode"]}, {"required": ["replicas"]}]},
            {"mode": "on"},
            [
                "spec.replicas: Required value",
                (
                    '<nil>: Invalid value: "": "spec" must validate all the '
                    "schemas (allOf)"
                ),
            ],
        ),
        (
            {"allOf": [{"required": ["mode"]}]},
            {},
            [
                "spec.mode: Required value",
                (
                    '<nil>: Invalid value: "": "spec" must validate all the '
                    "schemas (allOf). None validated"
                ),
            ],
        ),
        (
            {"not": {"required": ["mode"]}},
            {"mode": "on"},
            [
                (
                    '<nil>: Invalid value: "": "spec" must not validate the '
                    "schema (not)"
                )
            ],
        ),
        ({"not": {"required": ["mode"]}}, {}, []),
    ],
    ids=repr,
)
def test_junctors(junctor, value, wanted):
    assert errors({**WHOLE, **junctor}, value) == wanted


def test_int_or_string_with_its_usual_junctor():
    usual = {
        "x-kubernetes-int-or-string": True,
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "pattern": "^[0-9]+%$",
    }
    assert errors(usual, 5) == []
    assert errors(usual, "5%") == []
    assert errors(usual, "5") == [
        "spec: Invalid value: \"5\": spec in body should match '^[0-9]+%$'"
    ]


# Lists that are sets and maps.

SET = {"type": "array", "items": TEXT, "x-kubernetes-list-type": "set"}
MAP = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
    "items": {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": TEXT,
            "proto": {"type": "string", "default": "TCP"},
            "value": {**INT, "maximum": 9},
        },
    },
}
MAP2 = {**MAP, "x-kubernetes-list-map-keys": ["name", "proto"]}


@pytest.mark.parametrize(
    ("schema", "value", "wanted"),
    [
        (SET, ["a", "b"], []),
        (SET, ["a", "b", "a"], ['spec[2]: Duplicate value: "a"']),
        (
            SET,
            ["a", "a", "a", "b", "b"],
            [
                'spec[1]: Duplicate value: "a"',
                'spec[4]: Duplicate value: "b"',
            ],
        ),
        (
            {**SET, "items": {"x-kubernetes-preserve-unknown-fields": True}},
            [1, True, 1.0],
            ["spec[2]: Duplicate value: 1"],
        ),
        (MAP, [{"name": "a"}, {"name": "b"}], []),
        (
            MAP,
            [{"name": "a", "value": 1}, {"name": "a", "value": 2}],
            ['spec[1]: Duplicate value: {"name":"a"}'],
        ),
        (
            MAP2,
            [{"name": "a", "proto": "UDP"}, {"name": "a", "proto": "TCP"}],
            [],
        ),
        (
            MAP2,
            [{"name": "a", "proto": "TCP"}, {"name": "a", "proto": "TCP"}],
            ['spec[1]: Duplicate value: {"name":"a","proto":"TCP"}'],
        ),
        (
            {
                "type": "object",
                "properties": {"tags": SET},
            },
            {"tags": ["a", "a"]},
            ['spec.tags[1]: Duplicate value: "a"'],
        ),
        (
            {"type": "object", "additionalProperties": SET},
            {"k": ["a", "a"]},
            ['spec[k][1]: Duplicate value: "a"'],
        ),
        (
            {"type": "array", "items": SET},
            [["a"], ["a", "a"]],
            ['spec[1][1]: Duplicate value: "a"'],
        ),
    ],
    ids=repr,
)
def test_list_types(schema, value, wanted):
    assert errors(schema, value) == wanted


def test_items_of_a_map_list_are_objects():
    assert errors(MAP, ["a"]) == [
        (
            'spec[0]: Invalid value: "string": spec[0] in body must be of '
            "type "
            'object: "string"'
        ),
        (
            'spec[0]: Invalid value: "a": must be an object for an array of '
            "list-type map"
        ),
    ]


# Embedded resources.

EMBEDDED = {
    "type": "object",
    "x-kubernetes-embedded-resource": True,
    "x-kubernetes-preserve-unknown-fields": True,
}


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ({"apiVersion": "v1", "kind": "Pod"}, []),
        (
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}},
            [],
        ),
        (
            {},
            [
                "spec.apiVersion: Required value",
                "spec.kind: Required value",
            ],
        ),
        (
            {"apiVersion": "", "kind": 5},
            [
                "spec.apiVersion: Required value",
                "spec.kind: Invalid value: 5: must be a string",
            ],
        ),
        (
            {"apiVersion": "v1", "kind": "Pod", "metadata": 3},
            ["spec.metadata: Invalid value: 3: must be an object"],
        ),
    ],
    ids=repr,
)
def test_embedded_resources(value, wanted):
    assert errors(EMBEDDED, value) == wanted


def test_embedded_resources_in_lists_and_maps():
    assert errors({"type": "array", "items": EMBEDDED}, [{"kind": "A"}]) == [
        "spec[0].apiVersion: Required value"
    ]
    schema = {"type": "object", "additionalProperties": EMBEDDED}
    assert errors(schema, {"x": {"apiVersion": "v1"}}) == [
        "spec[x].kind: Required value"
    ]


# Unchanged values are not judged again.


def test_an_update_does_not_judge_what_it_leaves():
    schema = {
        "type": "object",
        "properties": {"a": {**INT, "maximum": 5}, "b": INT},
    }
    old = {"a": 9, "b": 1}
    assert errors(schema, {"a": 9, "b": 2}, old) == []
    assert errors(schema, {"a": 8, "b": 1}, old) != []
    assert errors(schema, {"a": 9, "b": 2}) != []


def test_items_of_map_lists_are_compared_by_key():
    old = [{"name": "a", "value": 99}]
    moved = [{"name": "b", "value": 1}, {"name": "a", "value": 99}]
    assert errors(MAP, moved, old) == []
    changed = [{"name": "a", "value": 98}]
    assert errors(MAP, changed, old) != []


def test_items_of_other_lists_are_judged_again():
    schema = {"type": "array", "items": {**INT, "maximum": 5}}
    assert errors(schema, [9], [9]) == []
    assert errors(schema, [9, 1], [9]) != []


def test_a_stricter_schema_lets_unchanged_duplicates_pass():
    schema = {"type": "object", "properties": {"tags": SET, "b": INT}}
    old = {"tags": ["a", "a"], "b": 1}
    assert errors(schema, {"tags": ["a", "a"], "b": 2}, old) == []
    assert errors(schema, {"tags": ["a", "a", "c"], "b": 2}, old) != []


def test_a_required_field_may_stay_away_but_not_go():
    schema = {"type": "object", "required": ["a"], "properties": {"b": INT}}
    outer = {"type": "object", "properties": {"in": schema, "c": INT}}
    assert errors(outer, {"in": {}, "c": 2}, {"in": {}, "c": 1}) == []
    assert errors(outer, {"in": {}}, {"in": {"a": 1}}) == [
        "spec.in.a: Required value"
    ]


@given(st.integers(-20, 20), st.integers(-5, 5), st.integers(1, 10))
def test_ranges_accept_exactly_what_is_inside(value, low, width):
    schema = {**INT, "minimum": low, "maximum": low + width}
    assert (errors(schema, value) == []) == (low <= value <= low + width)


@given(st.text(max_size=6), st.integers(0, 4), st.integers(0, 4))
def test_lengths_count_characters(value, low, more):
    schema = {**TEXT, "minLength": low, "maxLength": low + more}
    assert (errors(schema, value) == []) == (low <= len(value) <= low + more)


@given(st.lists(st.sampled_from("abc"), max_size=5))
def test_sets_accept_exactly_lists_without_duplicates(value):
    assert (errors(SET, value) == []) == (len(set(value)) == len(value))
