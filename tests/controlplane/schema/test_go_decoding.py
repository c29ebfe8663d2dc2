"""Bodies of wrong types: the sentences of Go's decoder."""

import pytest

from reconciler.controlplane.schema.builtins import BUILTINS
from reconciler.controlplane.schema.go_decoding import (
    cannot_unmarshal,
    decoding_fault,
)
from reconciler.controlplane.schema.node import read_node


def fault(api_version, kind, **fields):
    node = read_node(BUILTINS[api_version, kind])
    return decoding_fault(fields, node, kind)


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"data": {"a": 1}}, ("number into Go struct field ConfigMap.data of "
         "type string")),
        ({"data": []}, ("array into Go struct field ConfigMap.data of type "
         "map[string]string")),
        ({"immutable": "yes"}, ("string into Go struct field "
         "ConfigMap.immutable of type bool")),
        ({"metadata": 1}, ("number into Go struct field ConfigMap.metadata of "
         "type v1.ObjectMeta")),
        ({"metadata": {"labels": {"a": True}}}, ("bool into Go struct field "
         "ObjectMeta.metadata.labels of type string")),
        ({"metadata": {"finalizers": "x"}}, ("string into Go struct field "
         "ObjectMeta.metadata.finalizers of type []string")),
        ({"metadata": {"generation": 1 << 63}}, ("number into Go struct field "
         "ObjectMeta.metadata.generation of type int64")),
        ({"metadata": {"ownerReferences": [{"uid": 1}]}}, ("number into Go "
         "struct field OwnerReference.metadata.ownerReferences.uid of type "
         "types.UID")),
        ({"metadata": {"ownerReferences": {}}}, ("object into Go struct field "
         "ObjectMeta.metadata.ownerReferences of type []v1.OwnerReference")),
    ],
)  # fmt: skip
def test_wrong_types_of_a_config_map(fields, what):
    found = fault("v1", "ConfigMap", **fields)
    assert found == f"json: cannot unmarshal {what}"


def test_structs_are_named_after_the_kind_or_the_field():
    found = fault(
        "coordination.k8s.io/v1", "Lease", spec={"leaseDurationSeconds": "1"}
    )
    assert found.endswith(
        "string into Go struct field LeaseSpec.spec.leaseDurationSeconds of "
        "type int32"
    )
    found = fault("v1", "Namespace", status={"conditions": [{"type": 1}]})
    assert "NamespaceCondition.status.conditions.type " in found
    found = fault("v1", "Event", involvedObject=[])
    assert found.endswith("Event.involvedObject of type v1.ObjectReference")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"data": None, "metadata": None},
        {"data": {"a": "b"}, "unknown": 1},
        {"metadata": {"labels": {"a": None}, "finalizers": [None]}},
    ],
)
def test_nulls_and_unknown_fields_are_no_fault(fields):
    assert not fault("v1", "ConfigMap", **fields)


def test_a_value_without_a_field():
    assert cannot_unmarshal("x", "[]interface {}") == (
        "json: cannot unmarshal string into Go value of type []interface {}"
    )
