"""Rules of schemas: when they run and what they say."""

import pytest

from reconciler.controlplane.schema import CompiledSchema
from reconciler.controlplane.schema.cel import rules as cel_rules
from reconciler.controlplane.schema.cel.compiler import CompileError
from reconciler.controlplane.schema.cel.rules import field_path
from reconciler.controlplane.schema.node import read_node

RULES = "x-kubernetes-validations"
INT = {"type": "integer"}
TEXT = {"type": "string"}
BOTH = {"a": INT, "b": INT, "t": TEXT}


def ruled(*rules, **keywords):
    return {
        "type": "object",
        "properties": BOTH,
        RULES: list(rules),
        **keywords,
    }


def check(schema, value, old=None):
    """Sentences and types about `value` as the spec."""
    compiled = CompiledSchema.compile(
        {"type": "object", "properties": {"spec": schema}}
    )
    before = None if old is None else {"spec": old}
    found = compiled.validate({"spec": value}, before)
    return [(e.message(), e.type) for e in found]


def said(schema, value, old=None):
    return [message for message, _ in check(schema, value, old)]


LESS = {"rule": "self.a < self.b"}


def test_a_rule_that_holds_says_nothing():
    assert said(ruled(LESS), {"a": 1, "b": 2}) == []


@pytest.mark.parametrize(
    ("more", "sentence", "reason"),
    [
        (
            {},
            'spec: Invalid value: "object": failed rule: self.a < self.b',
            "FieldValueInvalid",
        ),
        (
            {"message": "a must be less"},
            'spec: Invalid value: "object": a must be less',
            "FieldValueInvalid",
        ),
        (
            {"message": " a must be less "},
            'spec: Invalid value: "object": a must be less',
            "FieldValueInvalid",
        ),
        (
            {"messageExpression": "'a is %d'.format([self.a])"},
            'spec: Invalid value: "object": a is 2',
            "FieldValueInvalid",
        ),
        (
            {"messageExpression": "string(self.a)", "message": "unused"},
            'spec: Invalid value: "object": 2',
            "FieldValueInvalid",
        ),
        (
            {"messageExpression": "string(1 / 0)", "message": "plain"},
            'spec: Invalid value: "object": plain',
            "FieldValueInvalid",
        ),
        (
            {"messageExpression": "'  '", "message": "plain"},
            'spec: Invalid value: "object": plain',
            "FieldValueInvalid",
        ),
        (
            {"messageExpression": "'a\\nb'"},
            'spec: Invalid value: "object": failed rule: self.a < self.b',
            "FieldValueInvalid",
        ),
        (
            {"messageExpression": "self.a", "message": "plain"},
            'spec: Invalid value: "object": plain',
            "FieldValueInvalid",
        ),
        (
            {"reason": "FieldValueForbidden", "message": "no"},
            "spec: Forbidden: no",
            "FieldValueForbidden",
        ),
        (
            {"reason": "FieldValueRequired", "message": "needed"},
            "spec: Required value: needed",
            "FieldValueRequired",
        ),
        (
            {"reason": "FieldValueDuplicate", "message": "twice"},
            'spec: Duplicate value: "object"',
            "FieldValueDuplicate",
        ),
        (
            {"reason": "FieldValueInvalid", "message": "no"},
            'spec: Invalid value: "object": no',
            "FieldValueInvalid",
        ),
        (
            {"fieldPath": ".a", "message": "no"},
            'spec.a: Invalid value: "object": no',
            "FieldValueInvalid",
        ),
        (
            {
                "fieldPath": ".a",
                "message": "no",
                "reason": "FieldValueForbidden",
            },
            "spec.a: Forbidden: no",
            "FieldValueForbidden",
        ),
    ],
    ids=repr,
)
def test_what_a_broken_rule_says(more, sentence, reason):
    assert check(ruled({**LESS, **more}), {"a": 2, "b": 1}) == [
        (sentence, reason)
    ]


@pytest.mark.parametrize(
    ("rule", "value", "wanted"),
    [
        (
            "self.a < self.b",
            {"a": 1},
            (
                'spec: Invalid value: "object": no such key: b evaluating '
                "rule: "
                "self.a < self.b"
            ),
        ),
        (
            "self.a / self.b > 0",
            {"a": 1, "b": 0},
            (
                'spec: Invalid value: "object": division by zero evaluating '
                "rule: self.a / self.b > 0"
            ),
        ),
        (
            "self.a + 9223372036854775807 > 0",
            {"a": 1},
            (
                'spec: Invalid value: "object": integer overflow evaluating '
                "rule: self.a + 9223372036854775807 > 0"
            ),
        ),
        (
            "self.t + self.a == self.t",
            {"a": 1, "t": "x"},
            (
                "spec: Invalid value: \"object\": 'no such overload': call "
                "arguments did not match a supported operator, function or "
                "macro "
                "signature for rule: self.t + self.a == self.t"
            ),
        ),
        (
            "self.a",
            {"a": 1},
            'spec: Invalid value: "object": failed rule: self.a',
        ),
        (
            "self.missing > 0",
            {"a": 1},
            (
                'spec: Invalid value: "object": rule compile error: undefined '
                "field 'missing'"
            ),
        ),
        (
            "self.a >",
            {"a": 1},
            (
                'spec: Invalid value: "object": rule compile error: ERROR: '
                "<input>:1:8: Syntax error"
            ),
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_rule_that_cannot_be_evaluated_refuses(rule, value, wanted):
    assert said(ruled({"rule": rule}), value) == [wanted]


def test_an_error_names_the_rule_by_its_message():
    rule = {"rule": "self.a < self.b", "message": "a before b"}
    assert said(ruled(rule), {"a": 1}) == [
        (
            'spec: Invalid value: "object": no such key: b evaluating rule: '
            "a before b"
        )
    ]


def test_a_rule_that_costs_too_much_refuses():
    schema = {
        "type": "array",
        "items": INT,
        RULES: [{"rule": "self.all(a, self.all(b, self.all(c, true)))"}],
    }
    (only,) = said(schema, list(range(300)))
    assert only.startswith(
        'spec: Invalid value: "array": \'operation cancelled: actual cost '
        "limit exceeded': no further validation rules will be run due to "
        "call cost exceeds limit for rule: self.all("
    )


def test_the_rules_of_an_object_share_what_they_may_cost(monkeypatch):
    """One rule of the server's limit, times ten thousand items, is hours."""
    monkeypatch.setattr(cel_rules, "ALL", 3000)
    rule = {"rule": "self.all(a, self.all(b, true))"}
    row = {"type": "array", "items": INT, RULES: [rule]}
    table = {"type": "array", "items": row}
    full = [list(range(30))] * 5
    assert said(table, full[:3]) == []
    *_, last = said(table, full)
    assert last == (
        'spec[4]: Invalid value: "array": validation failed due to running '
        "out of cost budget, no further validation rules will be run"
    )


def test_every_broken_rule_is_reported():
    rules = [LESS, {"rule": "self.a == 0"}, {"rule": "self.b == 0"}]
    assert said(ruled(*rules), {"a": 3, "b": 0}) == [
        'spec: Invalid value: "object": failed rule: self.a < self.b',
        'spec: Invalid value: "object": failed rule: self.a == 0',
    ]


def test_rules_wait_for_a_valid_shape():
    note = (
        "<nil>: Invalid value: null: some validation rules were not checked "
        "because the object was invalid; correct the existing errors to "
        "complete validation"
    )
    assert said(ruled(LESS), {"a": "x", "b": 1}) == [
        (
            'spec.a: Invalid value: "string": spec.a in body must be of type '
            'integer: "string"'
        ),
        note,
    ]
    schema = ruled(LESS, properties={"a": {**INT, "enum": [1]}, "b": INT})
    assert said(schema, {"a": 2, "b": 1})[-1] == note
    required = ruled(LESS, required=["t"])
    assert said(required, {"a": 2, "b": 1})[-1] == note


def test_rules_run_beside_errors_of_values():
    schema = ruled(LESS, properties={"a": {**INT, "maximum": 1}, "b": INT})
    assert said(schema, {"a": 2, "b": 1}) == [
        (
            "spec.a: Invalid value: 2: spec.a in body should be less than or "
            "equal to 1"
        ),
        'spec: Invalid value: "object": failed rule: self.a < self.b',
    ]


# Where rules are.

EVEN = [{"rule": "self % 2 == 0", "message": "odd"}]
EVEN_INT = {**INT, RULES: EVEN}


@pytest.mark.parametrize(
    ("schema", "value", "paths"),
    [
        (EVEN_INT, 3, ["spec"]),
        (EVEN_INT, 2, []),
        ({"type": "object", "properties": {"n": EVEN_INT}}, {}, []),
        (
            {"type": "object", "properties": {"n": EVEN_INT}},
            {"n": 1},
            ["spec.n"],
        ),
        (
            {"type": "array", "items": EVEN_INT},
            [1, 2, 3],
            ["spec[0]", "spec[2]"],
        ),
        (
            {"type": "object", "additionalProperties": EVEN_INT},
            {"k": 1, "l": 2},
            ["spec[k]"],
        ),
        ({**EVEN_INT, "nullable": True}, None, []),
    ],
    ids=lambda value: str(value)[:50],
)
def test_places_of_rules(schema, value, paths):
    found = said(schema, value)
    assert [text.partition(":")[0] for text in found] == paths


def test_rules_at_the_root_see_the_name():
    schema = CompiledSchema.compile(
        {
            "type": "object",
            "properties": {"spec": ruled()},
            RULES: [
                {"rule": "self.metadata.name.startsWith('x-')"},
                {"rule": "self.kind == 'K' && self.apiVersion == 'v1'"},
                {"rule": "!has(self.metadata.generateName)"},
            ],
        }
    )
    good = {"apiVersion": "v1", "kind": "K", "metadata": {"name": "x-a"}}
    assert schema.validate(good, None) == []
    bad = {**good, "metadata": {"name": "a"}}
    (only,) = schema.validate(bad, None)
    assert only.message() == (
        '<nil>: Invalid value: "object": failed rule: '
        "self.metadata.name.startsWith('x-')"
    )


def test_rules_at_the_root_do_not_see_labels():
    schema = CompiledSchema.compile(
        {
            "type": "object",
            RULES: [{"rule": "has(self.metadata.labels)"}],
        }
    )
    (only,) = schema.validate({"metadata": {"labels": {}}}, None)
    assert "undefined field 'labels'" in only.detail


def test_rules_of_embedded_resources_see_their_names():
    schema = ruled(
        {"rule": "self.metadata.name == self.t"},
        **{"x-kubernetes-embedded-resource": True},
    )
    value = {
        "apiVersion": "v1",
        "kind": "K",
        "metadata": {"name": "n"},
        "t": "n",
    }
    assert said(schema, value) == []
    assert len(said(schema, {**value, "t": "m"})) == 1


# Old and new.

KEEP = {"rule": "self == oldSelf", "message": "immutable"}
GROW = {"rule": "self.a >= oldSelf.a", "message": "must not shrink"}


def test_transition_rules_do_not_run_on_create():
    assert said({**INT, RULES: [KEEP]}, 1) == []


@pytest.mark.parametrize(
    ("value", "old", "count"), [(1, 1, 0), (2, 1, 1), (1, None, 0)]
)
def test_immutable_fields(value, old, count):
    schema = {"type": "object", "properties": {"n": {**INT, RULES: [KEEP]}}}
    before = {} if old is None else {"n": old}
    assert len(said(schema, {"n": value}, before)) == count


def test_transition_rules_do_not_run_when_a_field_goes():
    schema = {"type": "object", "properties": {"n": {**INT, RULES: [KEEP]}}}
    assert said(schema, {}, {"n": 1}) == []


def test_transition_rules_of_objects():
    schema = ruled(GROW)
    assert said(schema, {"a": 2}, {"a": 1}) == []
    assert said(schema, {"a": 1}, {"a": 2}) == [
        'spec: Invalid value: "object": must not shrink'
    ]
    assert said(schema, {"a": 1}, {}) == [
        (
            'spec: Invalid value: "object": no such key: a evaluating rule: '
            "must not shrink"
        )
    ]


MAP = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["k"],
    "items": {
        "type": "object",
        "required": ["k"],
        "properties": {"k": TEXT, "v": {**INT, RULES: [KEEP]}},
    },
}


def test_items_of_map_lists_are_found_by_key():
    old = [{"k": "a", "v": 1}, {"k": "b", "v": 2}]
    assert said(MAP, [old[1], old[0]], old) == []
    assert said(MAP, [{"k": "c", "v": 9}, *old], old) == []
    assert said(MAP, [old[1], {"k": "a", "v": 3}], old) == [
        'spec[1].v: Invalid value: "integer": immutable'
    ]


def test_items_of_other_lists_have_no_old_self():
    schema = {"type": "array", "items": {**INT, RULES: [KEEP]}}
    assert said(schema, [2], [1]) == []


def test_atomic_maps_have_no_old_fields():
    schema = {
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {"n": {**INT, RULES: [KEEP]}},
    }
    assert said(schema, {"n": 2}, {"n": 1}) == []


def test_values_of_maps_are_found_by_key():
    schema = {
        "type": "object",
        "additionalProperties": {**INT, RULES: [KEEP]},
    }
    assert said(schema, {"x": 1, "y": 2}, {"x": 1}) == []
    assert said(schema, {"x": 2}, {"x": 1}) == [
        'spec[x]: Invalid value: "integer": immutable'
    ]


OPTIONAL = {
    "rule": "oldSelf.hasValue() ? self.a >= oldSelf.value().a : self.a == 0",
    "message": "starts at 0, grows",
    "optionalOldSelf": True,
}


@pytest.mark.parametrize(
    ("value", "old", "count"),
    [
        ({"a": 0}, None, 0),
        ({"a": 1}, None, 1),
        ({"a": 1}, {"a": 0}, 0),
        ({"a": 0}, {"a": 1}, 1),
    ],
)
def test_optional_old_self(value, old, count):
    assert len(said(ruled(OPTIONAL), value, old)) == count


@pytest.mark.parametrize(
    "rule",
    [
        "self.a >= oldSelf.orValue(self).a",
        "self.a >= oldSelf.a.orValue(0)",
        "oldSelf.optMap(o, self.a >= o.a).orValue(true)",
        "!has(oldSelf.a) || self.a >= oldSelf.a.value()",
    ],
)
def test_ways_to_write_optional_rules(rule):
    schema = ruled({"rule": rule, "optionalOldSelf": True})
    assert said(schema, {"a": 1}) == []
    assert said(schema, {"a": 2}, {"a": 1}) == []
    assert len(said(schema, {"a": 1}, {"a": 2})) == 1


def test_a_rule_broken_before_does_not_block_other_edits():
    schema = {
        "type": "object",
        "properties": {"in": ruled(LESS), "other": INT},
    }
    old = {"in": {"a": 5, "b": 1}, "other": 1}
    assert said(schema, {**old, "other": 2}, old) == []
    assert len(said(schema, {"in": {"a": 6, "b": 1}, "other": 1}, old)) == 1


def test_transition_rules_run_on_unchanged_values():
    schema = ruled({"rule": "oldSelf.a != self.a", "message": "must move"})
    outer = {"type": "object", "properties": {"in": schema, "x": INT}}
    old = {"in": {"a": 1}, "x": 1}
    assert said(outer, {"in": {"a": 1}, "x": 2}, old) == [
        'spec.in: Invalid value: "object": must move'
    ]


# fieldPath.

PLACES = read_node(
    {
        "type": "object",
        "properties": {
            "a": {"type": "object", "properties": {"b": INT, "c-d": INT}},
            "m": {
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "properties": {"x": INT},
                },
            },
        },
    }
)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", ""),
        (".a", "a"),
        (".a.b", "a.b"),
        ("['a'].b", "a.b"),
        (".a['c-d']", "a.c-d"),
        (".m['k.l']", "m[k.l]"),
        (".m['k'].x", "m[k].x"),
    ],
)
def test_field_paths(text, path):
    assert field_path(text, PLACES) == path


@pytest.mark.parametrize(
    "text", ["a", ".x", ".a.x", ".a[0]", ".a.b.c", "[a]", ".m['k'].y", "."]
)
def test_field_paths_that_lead_nowhere(text):
    with pytest.raises(CompileError, match="fieldPath must be a valid path"):
        field_path(text, PLACES)


def test_schemas_without_rules_load_no_rules():
    schema = CompiledSchema.compile({"type": "object", "properties": BOTH})
    assert schema.validate({"a": 1}, None) == []
    assert schema._rules is None
