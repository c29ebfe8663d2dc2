"""Structural checks: what a schema may say, place by place."""

import pytest

from reconciler.controlplane.schema import check_structural

AT = "spec.validation.openAPIV3Schema"
TEXT = {"type": "string"}
INT = {"type": "integer"}
OPEN = "x-kubernetes-preserve-unknown-fields"
EMBEDDED = "x-kubernetes-embedded-resource"
INT_OR_STRING = "x-kubernetes-int-or-string"
LIST_TYPE = "x-kubernetes-list-type"
LIST_KEYS = "x-kubernetes-list-map-keys"
RULES = "x-kubernetes-validations"


def found(schema, at=AT):
    return [e.message().replace(at, "@") for e in check_structural(schema, at)]


def spec(**keywords):
    return {"type": "object", "properties": {"spec": keywords}}


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        ({}, ["@.type: Required value: must not be empty at the root"]),
        (
            {"type": "string"},
            ['@.type: Invalid value: "string": must be object at the root'],
        ),
        (
            spec(),
            [
                (
                    "@.properties[spec].type: Required value: must not be "
                    "empty "
                    "for specified object fields"
                )
            ],
        ),
        (
            spec(type="array", items={}),
            [
                (
                    "@.properties[spec].items.type: Required value: must not "
                    "be "
                    "empty for specified array items"
                )
            ],
        ),
        (
            spec(type="array"),
            ["@.properties[spec].items: Required value: must be specified"],
        ),
        (
            spec(type="array", items=[TEXT]),
            [
                (
                    "@.properties[spec].items: Forbidden: items must be a "
                    "schema "
                    "object and not an array"
                )
            ],
        ),
        (
            spec(type="text"),
            [
                (
                    '@.properties[spec].type: Unsupported value: "text": '
                    'supported values: "array", "boolean", "integer", '
                    '"number", '
                    '"object", "string"'
                )
            ],
        ),
        (
            {"type": "object", "additionalProperties": TEXT},
            [
                (
                    "@.additionalProperties: Forbidden: must not be used at "
                    "the root"
                )
            ],
        ),
        (
            spec(
                type="object",
                properties={"a": TEXT},
                additionalProperties=TEXT,
            ),
            [
                (
                    "@.properties[spec].additionalProperties: Forbidden: "
                    "additionalProperties and properties are mutual exclusive"
                )
            ],
        ),
        (
            spec(type="array", items=TEXT, uniqueItems=True),
            [
                (
                    "@.properties[spec].uniqueItems: Forbidden: uniqueItems "
                    "cannot be set to true since the runtime complexity "
                    "becomes "
                    "quadratic"
                )
            ],
        ),
        (
            spec(**{"$ref": "#/a", "type": "string"}),
            ["@.properties[spec].$ref: Forbidden: $ref is not supported"],
        ),
        (
            {
                "type": "object",
                "properties": {
                    "metadata": {
                        "type": "object",
                        "properties": {"labels": {"type": "object"}},
                    }
                },
            },
            [
                (
                    "@.properties[metadata]: Forbidden: must not specify "
                    "anything other than name and generateName, but metadata "
                    "is "
                    "implicitly specified"
                )
            ],
        ),
        (
            {"type": "object", "properties": {"kind": INT}},
            [
                (
                    '@.properties[kind].type: Invalid value: "integer": must '
                    "be "
                    "string"
                )
            ],
        ),
        (
            spec(type="object", **{OPEN: False}),
            [
                (
                    f"@.properties[spec].{OPEN}: Invalid value: false: must "
                    f"be "
                    "true or undefined"
                )
            ],
        ),
        (
            spec(**{INT_OR_STRING: True, "type": "integer"}),
            [
                (
                    "@.properties[spec].type: Forbidden: must be empty if "
                    "x-kubernetes-int-or-string is true"
                )
            ],
        ),
        (
            spec(**{INT_OR_STRING: True, OPEN: True}),
            [
                (
                    f"@.properties[spec].{OPEN}: Invalid value: true: must be "
                    "false if x-kubernetes-int-or-string is true"
                )
            ],
        ),
        (
            spec(type="string", **{EMBEDDED: True, OPEN: True}),
            [
                (
                    '@.properties[spec].type: Invalid value: "string": must '
                    "be "
                    "object if x-kubernetes-embedded-resource is true"
                )
            ],
        ),
        (
            spec(type="object", **{EMBEDDED: True}),
            [
                (
                    "@.properties[spec].properties: Required value: must not "
                    "be "
                    "empty if x-kubernetes-embedded-resource is true without "
                    "x-kubernetes-preserve-unknown-fields"
                )
            ],
        ),
        (
            spec(
                type="object",
                additionalProperties=TEXT,
                **{EMBEDDED: True, OPEN: True},
            ),
            [
                (
                    "@.properties[spec].additionalProperties: Forbidden: must "
                    "not be used if x-kubernetes-embedded-resource is set"
                )
            ],
        ),
        (
            spec(type="object", **{LIST_TYPE: "set"}),
            [
                (
                    '@.properties[spec].type: Invalid value: "object": must '
                    "be "
                    "array if x-kubernetes-list-type is specified"
                )
            ],
        ),
        (
            spec(type="array", items=TEXT, **{LIST_TYPE: "bag"}),
            [
                (
                    f"@.properties[spec].{LIST_TYPE}: Unsupported value: "
                    f'"bag": '
                    'supported values: "atomic", "set", "map"'
                )
            ],
        ),
        (
            spec(type="array", items={"type": "object"}, **{LIST_TYPE: "map"}),
            [
                (
                    f"@.properties[spec].{LIST_KEYS}: Required value: must "
                    f"not "
                    "be empty if x-kubernetes-list-type is map"
                )
            ],
        ),
        (
            spec(
                type="array",
                items={"type": "object", "properties": {"b": TEXT}},
                **{LIST_TYPE: "map", LIST_KEYS: ["a"]},
            ),
            [
                (
                    f'@.properties[spec].{LIST_KEYS}[0]: Invalid value: "a": '
                    "entries must all be names of item properties"
                )
            ],
        ),
        (
            spec(
                type="array",
                items={"type": "object", "properties": {"a": TEXT}},
                **{LIST_TYPE: "map", LIST_KEYS: ["a"]},
            ),
            [
                (
                    "@.properties[spec].items.properties[a].default: Required "
                    "value: this property is in x-kubernetes-list-map-keys, "
                    "so "
                    "it must have a default or be a required property"
                )
            ],
        ),
        (
            spec(type="array", items=TEXT, **{LIST_KEYS: ["a"]}),
            [
                (
                    f"@.properties[spec].{LIST_TYPE}: Invalid value: null: "
                    f"must "
                    "be map if x-kubernetes-list-map-keys is non-empty"
                )
            ],
        ),
        (
            spec(type="object", **{"x-kubernetes-map-type": "set"}),
            [
                (
                    "@.properties[spec].x-kubernetes-map-type: Unsupported "
                    'value: "set": supported values: "atomic", "granular"'
                )
            ],
        ),
        (
            spec(type="string", anyOf=[{"type": "string"}]),
            [
                (
                    "@.properties[spec].anyOf[0].type: Forbidden: must be "
                    "empty "
                    "to be structural"
                )
            ],
        ),
        (
            spec(type="string", allOf=[{"default": "a"}]),
            [
                (
                    "@.properties[spec].allOf[0].default: Forbidden: must be "
                    "undefined to be structural"
                )
            ],
        ),
        (
            spec(type="object", allOf=[{"properties": {"a": {}}}]),
            [
                (
                    "@.properties[spec].properties[a]: Required value: "
                    "because "
                    "it is defined in "
                    "@.properties[spec].allOf[0].properties[a]"
                )
            ],
        ),
        (
            {
                "type": "object",
                "not": {"properties": {"metadata": {}}},
                "properties": {"metadata": {"type": "object"}},
            },
            [
                (
                    "@.not.properties[metadata]: Forbidden: must not be "
                    "specified in a nested context"
                )
            ],
        ),
        (
            spec(type="integer", default="a"),
            [
                (
                    '@.properties[spec].default: Invalid value: "string": '
                    "@.properties[spec].default in body must be of type "
                    'integer: "string"'
                )
            ],
        ),
        (
            spec(
                type="object",
                properties={"a": TEXT},
                default={"b": 1},
            ),
            [
                (
                    '@.properties[spec].default: Invalid value: {"b":1}: must '
                    "not have unknown fields"
                )
            ],
        ),
        (
            spec(type="string", enum=["a"], default="b"),
            [
                (
                    "@.properties[spec].default: Unsupported value: "
                    '"b": supported values: "a"'
                )
            ],
        ),
        (
            {"type": "object", "properties": []},
            ["@.properties: Invalid value: []: must be a map"],
        ),
        (
            spec(type="object", properties={"a": "text"}),
            [
                (
                    '@.properties[spec].properties[a]: Invalid value: "text": '
                    "must be a schema"
                )
            ],
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_not_structural(schema, wanted):
    assert found(schema) == wanted


def test_patterns_must_compile():
    (only,) = found(spec(type="string", pattern="("))
    assert only == (
        '@.properties[spec].pattern: Invalid value: "(": must be a valid '
        "regular expression, but isn't: error parsing regexp: "
        "missing closing ): `(`"
    )
    (only,) = found(spec(type="string", allOf=[{"pattern": "(?=a)"}]))
    assert only == (
        '@.properties[spec].allOf[0].pattern: Invalid value: "(?=a)": must '
        "be a valid regular expression, but isn't: error parsing regexp: "
        "invalid or unsupported Perl syntax: `(?=`"
    )


def test_errors_are_sorted_and_all_there():
    errors = found(
        {"type": "object", "properties": {"b": {}, "a": {}, "c": {}}}
    )
    assert errors == sorted(errors)
    assert len(errors) == 3


def rule(**entry):
    return spec(
        type="object",
        properties={"a": INT, "m": {"type": "object"}},
        **{RULES: [entry]},
    )


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        ({"rule": "self.a > 0"}, []),
        ({"rule": "self.a > 0", "fieldPath": ".a"}, []),
        ({"rule": "self.a > 0", "reason": "FieldValueForbidden"}, []),
        (
            {"rule": "self.a > oldSelf.orValue(self).a", "optionalOldSelf": 1},
            [],
        ),
        ({"rule": " "}, [".rule: Required value: rule is not specified"]),
        ({}, [".rule: Required value: rule is not specified"]),
        (
            {"rule": "true", "message": "a\nb"},
            [
                (
                    '.message: Invalid value: "a\\nb": message must not '
                    "contain "
                    "line breaks"
                )
            ],
        ),
        (
            {"rule": "true", "reason": "Because"},
            [
                (
                    '.reason: Unsupported value: "Because": supported values: '
                    '"FieldValueDuplicate", "FieldValueForbidden", '
                    '"FieldValueInvalid", "FieldValueRequired"'
                )
            ],
        ),
        (
            {"rule": "true", "fieldPath": ".b"},
            [
                (
                    '.fieldPath: Invalid value: ".b": fieldPath must be a '
                    "valid "
                    "path: does not refer to a valid field"
                )
            ],
        ),
        (
            {"rule": "true", "optionalOldSelf": True},
            [
                (
                    ".optionalOldSelf: Invalid value: true: may not be set if "
                    "oldSelf is not used in rule"
                )
            ],
        ),
        (
            {"rule": "self.b > 0"},
            [
                (
                    '.rule: Invalid value: {"rule":"self.b > 0"}: compilation '
                    "failed: undefined field 'b'"
                )
            ],
        ),
        (
            {"rule": "me > 0"},
            [
                (
                    '.rule: Invalid value: {"rule":"me > 0"}: compilation '
                    "failed: undeclared reference to 'me' (in container '')"
                )
            ],
        ),
    ],
    ids=repr,
)
def test_rules(entry, wanted):
    at = f"@.properties[spec].{RULES}[0]"
    assert found(rule(**entry)) == [at + text for text in wanted]


def test_syntax_errors_of_rules_have_a_place():
    (only,) = found(rule(rule="self.a >"))
    assert "compilation failed: ERROR: <input>:1:" in only
    assert only.endswith("Syntax error")


def test_the_place_is_the_callers():
    at = "spec.versions[2].schema.openAPIV3Schema"
    assert found({}, at) == [
        "@.type: Required value: must not be empty at the root"
    ]


SETS = {LIST_TYPE: "set"}
ATOMIC = "must be atomic as item of a list with x-kubernetes-list-type=set"


@pytest.mark.parametrize(
    ("items", "more", "wanted"),
    [
        ({"type": "object", "x-kubernetes-map-type": "atomic"}, SETS, []),
        ({"type": "array", "items": TEXT}, SETS, []),
        (
            {"type": "object"},
            SETS,
            [f".x-kubernetes-map-type: Invalid value: null: {ATOMIC}"],
        ),
        (
            {"type": "array", "items": TEXT, LIST_TYPE: "set"},
            SETS,
            [f'.{LIST_TYPE}: Invalid value: "set": {ATOMIC}'],
        ),
        (
            {**TEXT, "nullable": True},
            SETS,
            [
                (
                    ".nullable: Forbidden: cannot be nullable when "
                    "x-kubernetes-list-type is set"
                )
            ],
        ),
        (
            TEXT,
            {LIST_TYPE: "map", LIST_KEYS: ["a"]},
            [
                (
                    '.type: Invalid value: "string": must be object if parent '
                    "array's x-kubernetes-list-type is map"
                )
            ],
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_items_of_lists(items, more, wanted):
    schema = spec(type="array", items=items, **more)
    assert found(schema) == [f"@.properties[spec].items{t}" for t in wanted]
