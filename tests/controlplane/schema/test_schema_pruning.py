"""Removal of unknown fields, and the paths that are reported."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.controlplane.schema import CompiledSchema

OPEN = "x-kubernetes-preserve-unknown-fields"
EMBEDDED = "x-kubernetes-embedded-resource"
PORT = {"type": "object", "properties": {"port": {"type": "integer"}}}


def pruned(schema, value):
    """What is left of a spec, and what went."""
    compiled = CompiledSchema.compile(
        {"type": "object", "properties": {"spec": schema}}
    )
    obj = {"spec": copy.deepcopy(value)}
    gone = compiled.prune(obj)
    return obj["spec"], gone


@pytest.mark.parametrize(
    ("schema", "value", "left", "gone"),
    [
        pytest.param(
            PORT,
            {"port": 1, "prot": 2},
            {"port": 1},
            ["spec.prot"],
            id="unknown field",
        ),
        pytest.param(PORT, {"port": 1}, {"port": 1}, [], id="known field"),
        pytest.param(
            {"type": "object"},
            {"a": {"b": 1}},
            {},
            ["spec.a"],
            id="nothing is declared",
        ),
        pytest.param(
            {"type": "array", "items": PORT},
            [{"port": 1}, {"x": 1, "port": 2}],
            [{"port": 1}, {"port": 2}],
            ["spec[1].x"],
            id="items of a list",
        ),
        pytest.param(
            {"type": "object", "additionalProperties": PORT},
            {"http": {"port": 1, "x": 2}},
            {"http": {"port": 1}},
            ["spec.http.x"],
            id="values of a map",
        ),
        pytest.param(
            {"type": "object", "additionalProperties": True},
            {"a": 1},
            {"a": 1},
            [],
            id="any additional property",
        ),
        pytest.param(
            {"type": "object", OPEN: True},
            {"a": {"b": [{"c": 1}]}},
            {"a": {"b": [{"c": 1}]}},
            [],
            id="all is preserved",
        ),
        pytest.param(
            {"type": "object", OPEN: True, "properties": {"known": PORT}},
            {"a": {"b": 1}, "known": {"port": 1, "x": 2}},
            {"a": {"b": 1}, "known": {"port": 1}},
            ["spec.known.x"],
            id="what is declared is pruned below what is preserved",
        ),
        pytest.param(
            {"type": "string"},
            {"a": 1},
            {},
            ["spec.a"],
            id="a map where a scalar belongs",
        ),
        pytest.param(
            PORT, "text", "text", [], id="a scalar where a map belongs"
        ),
    ],
)
def test_prune(schema, value, left, gone):
    assert pruned(schema, value) == (left, gone)


def test_identity_needs_no_declaration():
    schema = CompiledSchema.compile({"type": "object"})
    obj = {"apiVersion": "v1", "kind": "K", "metadata": {"name": "a"}}
    assert schema.prune(obj) == []
    assert obj["metadata"] == {"name": "a"}


def test_metadata_has_the_servers_fields_only():
    schema = CompiledSchema.compile({"type": "object"})
    obj = {"metadata": {"name": "a", "nmae": "b", "labels": {"x": "y"}}}
    assert schema.prune(obj) == ["metadata.nmae"]
    assert obj == {"metadata": {"name": "a", "labels": {"x": "y"}}}


def test_unknown_fields_at_the_root():
    schema = CompiledSchema.compile({"type": "object"})
    obj = {"kind": "K", "spce": {}}
    assert schema.prune(obj) == ["spce"]
    assert obj == {"kind": "K"}


EMBEDDED_SCHEMA = {
    "type": "object",
    EMBEDDED: True,
    "properties": {"spec": PORT},
}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "a", "x": 1},
    "spec": {"port": 1, "y": 2},
    "z": 3,
}


def test_embedded_resources_have_an_identity():
    left, gone = pruned(EMBEDDED_SCHEMA, POD)
    assert left == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {"port": 1},
    }
    assert gone == ["spec.metadata.x", "spec.spec.y", "spec.z"]


def test_embedded_resources_in_lists():
    schema = {"type": "array", "items": EMBEDDED_SCHEMA}
    left, gone = pruned(schema, [POD])
    assert "apiVersion" in left[0]
    assert gone == [
        "spec[0].metadata.x",
        "spec[0].spec.y",
        "spec[0].z",
    ]


def test_open_embedded_resources_keep_everything_but_odd_metadata():
    left, gone = pruned({"type": "object", EMBEDDED: True, OPEN: True}, POD)
    assert left == {**POD, "metadata": {"name": "a"}}
    assert gone == ["spec.metadata.x"]


VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["a", "port", "kind", "metadata", "open"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
ANY = CompiledSchema.compile(
    {
        "type": "object",
        "properties": {
            "a": {"type": "array", "items": PORT},
            "port": PORT,
            "open": {"type": "object", OPEN: True, "properties": {"a": PORT}},
        },
    }
)


def paths(value, at=""):
    """Every path in a value."""
    if isinstance(value, dict):
        for name, item in value.items():
            here = f"{at}.{name}" if at else name
            yield here
            yield from paths(item, here)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from paths(item, f"{at}[{index}]")


@given(st.dictionaries(st.sampled_from(["a", "port", "x", "open"]), VALUES))
def test_pruning_is_idempotent(value):
    obj = copy.deepcopy(value)
    ANY.prune(obj)
    once = copy.deepcopy(obj)
    assert ANY.prune(obj) == []
    assert obj == once


@given(st.dictionaries(st.sampled_from(["a", "port", "x", "open"]), VALUES))
def test_pruning_removes_exactly_what_it_reports(value):
    obj = copy.deepcopy(value)
    gone = ANY.prune(obj)
    before, after = set(paths(value)), set(paths(obj))
    assert after <= before
    assert set(gone) <= before - after
    for path in before - after:
        assert any(
            path == one or path.startswith((f"{one}.", f"{one}["))
            for one in gone
        )
