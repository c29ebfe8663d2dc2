"""What keeps a schema from being structural."""

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
    "schema",
    [
        {"type": "object"},
        spec(type="object", properties={"a": TEXT}),
        spec(type="object", additionalProperties=TEXT),
        spec(type="array", items=TEXT),
        spec(**{INT_OR_STRING: True}),
        spec(
            **{INT_OR_STRING: True, "anyOf": [{"type": "integer"}, TEXT]},
        ),
        spec(**{OPEN: True}),
        spec(type="object", **{EMBEDDED: True, OPEN: True}),
        spec(type="object", properties={"a": INT}, anyOf=[{"required": "a"}]),
        spec(
            type="object",
            properties={"a": INT},
            oneOf=[{"properties": {"a": {"minimum": 1}}}],
        ),
        {
            "type": "object",
            "properties": {
                "metadata": {
                    "type": "object",
                    "properties": {"name": {"type": "string"}},
                }
            },
        },
        spec(type="string", nullable=True, default="a"),
        spec(type="string", nullable=True, default=None),
        spec(type="string", default=None),
    ],
    ids=repr,
)
def test_structural(schema):
    assert found(schema) == []
