"""Where a rule may look at the old value: where the schema finds it."""

import pytest

from reconciler.controlplane.schema import check_structural

AT = "spec.validation.openAPIV3Schema"
TEXT = {"type": "string"}
LIST_TYPE = "x-kubernetes-list-type"
LIST_KEYS = "x-kubernetes-list-map-keys"
KEEP = [{"rule": "self == oldSelf"}]
KEPT = {"type": "integer", "x-kubernetes-validations": KEEP}


@pytest.mark.parametrize(
    ("schema", "within"),
    [
        ({"type": "object", "properties": {"a": KEPT}}, None),
        ({"type": "object", "additionalProperties": KEPT}, None),
        (
            {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["k"],
                    "properties": {"k": TEXT, "a": KEPT},
                },
                LIST_TYPE: "map",
                LIST_KEYS: ["k"],
            },
            None,
        ),
        ({"type": "array", "items": KEPT}, "@.properties[spec]"),
        (
            {"type": "array", "items": KEPT, LIST_TYPE: "set"},
            "@.properties[spec]",
        ),
        (
            {
                "type": "object",
                "x-kubernetes-map-type": "atomic",
                "properties": {"a": KEPT},
            },
            "@.properties[spec]",
        ),
        (
            {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"l": {"type": "array", "items": KEPT}},
                },
            },
            "@.properties[spec]",
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_transition_rules_need_old_values(schema, within):
    whole = {"type": "object", "properties": {"spec": schema}}
    errors = [
        error.message().replace(AT, "@")
        for error in check_structural(whole, AT)
    ]
    if within is None:
        assert errors == []
        return
    (only,) = errors
    assert only.endswith(
        '.rule: Invalid value: "self == oldSelf": oldSelf cannot be used on '
        f"the uncorrelatable portion of the schema within {within}"
    )
