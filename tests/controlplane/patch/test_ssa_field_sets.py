"""FieldsV1, and the walks that compare, merge and remove fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.controlplane.patch import fields
from reconciler.controlplane.patch.shapes import Shape
from reconciler.controlplane.patch.typed import (
    compare,
    field_set,
    merge,
    merge_order,
    remove,
    with_named,
)
from reconciler.controlplane.schema.node import read_node

TEXT = {"type": "string"}
SHAPE = Shape(
    read_node(
        {
            "type": "object",
            "properties": {
                "a": TEXT,
                "box": {"type": "object", "properties": {"x": TEXT}},
                "map": {"type": "object", "additionalProperties": TEXT},
                "maps": {
                    "type": "object",
                    "additionalProperties": {
                        "type": "object",
                        "properties": {"x": TEXT},
                    },
                },
                "whole": {
                    "type": "object",
                    "x-kubernetes-map-type": "atomic",
                    "additionalProperties": TEXT,
                },
                "list": {"type": "array", "items": TEXT},
                "set": {
                    "type": "array",
                    "items": TEXT,
                    "x-kubernetes-list-type": "set",
                },
                "ports": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["port", "protocol"],
                    "items": {
                        "type": "object",
                        "properties": {
                            "port": {"type": "integer"},
                            "protocol": {**TEXT, "default": "TCP"},
                            "name": TEXT,
                        },
                    },
                },
            },
        }
    )
)
TCP80 = 'k:{"port":80,"protocol":"TCP"}'


@pytest.mark.parametrize(
    ("value", "owned"),
    [
        ({"a": "1"}, {"f:a": {}}),
        ({"a": None}, {"f:a": {}}),
        ({"box": {"x": "1"}}, {"f:box": {"f:x": {}}}),
        ({"box": {}}, {"f:box": {}}),
        ({"map": {"k": "1"}}, {"f:map": {"f:k": {}}}),
        (
            {"maps": {"k": {"x": "1"}}},
            {"f:maps": {"f:k": {".": {}, "f:x": {}}}},
        ),
        ({"whole": {"k": "1"}}, {"f:whole": {}}),
        ({"list": ["a", "b"]}, {"f:list": {}}),
        ({"list": []}, {"f:list": {}}),
        ({"set": ["a", "b"]}, {"f:set": {'v:"a"': {}, 'v:"b"': {}}}),
        (
            {"ports": [{"port": 80, "name": "n"}]},
            {"f:ports": {TCP80: {".": {}, "f:name": {}, "f:port": {}}}},
        ),
        (
            {"ports": [{"port": 80, "protocol": "TCP"}]},
            {"f:ports": {TCP80: {".": {}, "f:port": {}, "f:protocol": {}}}},
        ),
    ],
)
def test_applying_a_value_owns(value, owned):
    assert fields.encode(field_set(value, SHAPE)) == owned


def test_untyped_maps_are_granular_and_lists_atomic():
    value = {"m": {"n": {"o": 1}}, "l": [{"name": "a"}]}
    assert fields.encode(field_set(value, Shape())) == {
        "f:m": {".": {}, "f:n": {".": {}, "f:o": {}}},
        "f:l": {},
    }


@pytest.mark.parametrize(
    ("old", "new", "added", "modified", "removed"),
    [
        ({}, {"a": "1"}, [".a"], [], []),
        ({"a": "1"}, {"a": "2"}, [], [".a"], []),
        ({"a": "1"}, {}, [], [], [".a"]),
        ({}, {"box": {"x": "1"}}, [".box", ".box.x"], [], []),
        ({"box": {"x": "1"}}, {}, [], [], [".box", ".box.x"]),
        ({"box": {}}, {"box": {"x": "1"}}, [".box.x"], [], []),
        ({"whole": {"k": "1"}}, {"whole": {"j": "1"}}, [], [".whole"], []),
        ({"list": ["a"]}, {"list": ["b"]}, [], [".list"], []),
        ({"set": ["a"]}, {"set": ["b"]}, ['.set[="b"]'], [], ['.set[="a"]']),
        ({"set": ["a", "b"]}, {"set": ["b", "a"]}, [], [], []),
        ({"a": "1"}, {"a": {"x": 1}}, [".a.x"], [".a"], []),
        (
            {"ports": [{"port": 80, "name": "n"}]},
            {"ports": [{"port": 80, "protocol": "TCP", "name": "m"}]},
            ['.ports[port=80,protocol="TCP"].protocol'],
            ['.ports[port=80,protocol="TCP"].name'],
            [],
        ),
    ],
)
def test_comparison_names(old, new, added, modified, removed):
    found = compare(old, new, SHAPE)
    assert sorted(map(fields.path_text, found.added)) == added
    assert sorted(map(fields.path_text, found.modified)) == modified
    assert sorted(map(fields.path_text, found.removed)) == removed


@pytest.mark.parametrize(
    ("live", "config", "result"),
    [
        ({"a": "1"}, {"a": "2"}, {"a": "2"}),
        ({"map": {"x": "1"}}, {"map": {"y": "2"}}, None),
        ({"whole": {"x": "1"}}, {"whole": {"y": "2"}}, {"whole": {"y": "2"}}),
        ({"list": ["a"]}, {"list": ["b"]}, {"list": ["b"]}),
        ({"set": ["a"]}, {"set": ["b"]}, {"set": ["a", "b"]}),
        ({"set": ["a"]}, {"set": []}, {"set": ["a"]}),
        ({"box": {"x": "1"}}, {"box": {}}, {"box": {"x": "1"}}),
    ],
)
def test_merge_gives(live, config, result):
    wanted = {"map": {"x": "1", "y": "2"}} if result is None else result
    assert merge(live, config, SHAPE) == wanted


def test_items_merge_by_their_keys_and_defaults_count():
    live = {"ports": [{"port": 80, "protocol": "TCP", "name": "n"}]}
    config = {"ports": [{"port": 80, "name": "m"}, {"port": 81}]}
    assert merge(live, config, SHAPE) == {
        "ports": [
            {"port": 80, "protocol": "TCP", "name": "m"},
            {"port": 81},
        ]
    }


@pytest.mark.parametrize(
    ("live", "config", "result"),
    [
        ("abc", "abc", "abc"),
        ("abc", "cba", "cba"),
        ("a", "b", "ab"),
        ("axb", "ab", "axb"),
        ("axb", "ba", "xba"),
        ("ab", "anb", "anb"),
        ("xab", "ab", "xab"),
        ("abx", "ab", "abx"),
        ("", "ab", "ab"),
        ("ab", "", "ab"),
    ],
)
def test_merged_lists_keep_the_order_of_the_configuration(
    live, config, result
):
    assert "".join(merge_order(list(live), list(config))) == result


LETTERS = st.lists(st.sampled_from("abcdefgh"), unique=True)


@given(LETTERS, LETTERS)
def test_merged_order_has_everything_once_and_respects_the_applied(
    live, config
):
    merged = merge_order(live, config)
    assert sorted(merged) == sorted({*live, *config})
    assert [e for e in merged if e in config] == config
    others = [e for e in live if e not in config]
    assert [e for e in merged if e not in config] == others


def path(*elements):
    return tuple(elements)


@pytest.mark.parametrize(
    ("value", "gone", "left"),
    [
        ({"a": "1", "box": {"x": "1"}}, [path("f:a")], None),
        ({"box": {"x": "1"}}, [path("f:box", "f:x")], {"box": {}}),
        ({"set": ["a", "b"]}, [path("f:set", 'v:"a"')], {"set": ["b"]}),
        (
            {"ports": [{"port": 80}, {"port": 81}]},
            [path("f:ports", TCP80)],
            {"ports": [{"port": 81}]},
        ),
        (
            {"ports": [{"port": 80, "name": "n"}]},
            [path("f:ports", TCP80, "f:name")],
            {"ports": [{"port": 80}]},
        ),
        ({"list": ["a"]}, [path("f:list", "i:0")], {"list": ["a"]}),
        ({"a": "1"}, [path("f:absent")], {"a": "1"}),
    ],
)
def test_removal_leaves(value, gone, left):
    wanted = {"box": {"x": "1"}} if left is None else left
    assert remove(value, gone, SHAPE) == wanted


def test_declared_parents_belong_to_a_path_and_map_keys_do_not():
    named = with_named([path("f:maps", "f:k", "f:x")], SHAPE)
    assert named == {
        path("f:maps"),
        path("f:maps", "f:k", "f:x"),
    }


ELEMENTS = st.one_of(
    st.text(max_size=4).map(fields.field_element),
    st.dictionaries(
        st.text(min_size=1, max_size=3),
        st.text(max_size=3) | st.integers() | st.booleans(),
        min_size=1,
        max_size=2,
    ).map(fields.key_element),
    (st.text(max_size=3) | st.integers()).map(fields.value_element),
    st.integers(0, 9).map("i:{}".format),
)
PATHS = st.lists(ELEMENTS, min_size=1, max_size=4).map(tuple)


@given(st.frozensets(PATHS, max_size=12))
def test_fields_v1_round_trip(paths):
    assert fields.decode(fields.encode(paths)) == paths


@pytest.mark.parametrize(
    ("element", "text"),
    [
        ("f:a", ".a"),
        ("f:a.b/c", ".a.b/c"),
        ('k:{"name":"x"}', '[name="x"]'),
        ('k:{"a":1,"b":true}', "[a=1,b=true]"),
        ('v:"x"', '[="x"]'),
        ("i:3", "[3]"),
    ],
)
def test_paths_are_shown_as_kubectl_shows_them(element, text):
    assert fields.path_text((element,)) == text


@pytest.mark.parametrize(
    "tree",
    [
        {"a": {}},
        {"f:a": 1},
        {"f:a": []},
        {"k:[1]": {}},
        {"k:{": {}},
        {"v:": {}},
        {"i:x": {}},
        [],
        "x",
    ],
)
def test_malformed_fields_v1_is_a_value_error(tree):
    with pytest.raises(ValueError, match=r"."):
        fields.decode(tree)


def test_spaces_and_key_order_in_fields_v1_do_not_matter():
    tree = {'k:{ "b": 1, "a": 2 }': {}}
    assert fields.decode(tree) == {('k:{"a":2,"b":1}',)}


JSON = st.recursive(
    st.none() | st.integers(0, 3) | st.sampled_from(["a", "b"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=10,
)
MAPS = st.dictionaries(st.sampled_from("abc"), JSON, max_size=3)


@given(MAPS, MAPS)
def test_merging_what_differs_leaves_no_difference(old, new):
    merged = merge(old, new, Shape())
    again = compare(merged, merge(merged, new, Shape()), Shape())
    assert not again.changed()
    assert not again.removed


@given(MAPS)
def test_removing_every_field_leaves_nothing(value):
    assert remove(value, field_set(value, Shape()), Shape()) in ({}, value)
    if value:
        gone = {p[:1] for p in field_set(value, Shape())}
        assert remove(value, gone, Shape()) == {}
