"""What server-side apply promises for every configuration."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reconciler.controlplane.patch import managers as managed
from reconciler.controlplane.patch import (
    server_side_apply,
    update_managed_fields,
)
from reconciler.controlplane.schema import CompiledSchema

NAMES = st.sampled_from(["a", "b", "c", "d"])
SCALARS = st.sampled_from(["x", "y", 1, 2, True, None])
ITEM = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "v": {"type": "string"}},
}
SCHEMA = CompiledSchema.compile(
    {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "text": {"type": "string"},
                    "map": {
                        "type": "object",
                        "additionalProperties": {"type": "string"},
                    },
                    "set": {
                        "type": "array",
                        "items": {"type": "string"},
                        "x-kubernetes-list-type": "set",
                    },
                    "list": {
                        "type": "array",
                        "items": {"type": "string"},
                    },
                    "items": {
                        "type": "array",
                        "items": ITEM,
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["name"],
                    },
                    "any": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                    },
                },
            }
        },
    }
)


def items(values):
    return [{"name": name, "v": value} for name, value in values.items()]


def specs(words="xyz", names=NAMES):
    word = st.sampled_from(words)
    return st.fixed_dictionaries(
        {},
        optional={
            "text": word,
            "map": st.dictionaries(names, word, min_size=1, max_size=3),
            "set": st.lists(names, min_size=1, max_size=3, unique=True),
            "list": st.lists(word, min_size=1, max_size=2),
            "items": st.dictionaries(names, word, min_size=1, max_size=3).map(
                items
            ),
            "any": st.dictionaries(names, word, min_size=1, max_size=2),
        },
    )


def thing(spec):
    return {
        "apiVersion": "example.dev/v1",
        "kind": "Thing",
        "metadata": {"name": "t"},
        "spec": spec,
    }


def apply(live, spec, manager, now="t1", *, force=True):
    result, conflicts = server_side_apply(
        live, thing(spec), manager, force, SCHEMA, now
    )
    assert force or not conflicts
    return result


def content(obj):
    return normal(obj.get("spec", {}))


def normal(spec):
    """Return a spec in which the order of sets and items is fixed."""
    result = {k: v for k, v in spec.items() if v not in ({}, [])}
    if "set" in result:
        result["set"] = sorted(result["set"])
    if "items" in result:
        result["items"] = sorted(result["items"], key=lambda i: i["name"])
    return result


@given(specs(), specs())
def test_apply_is_idempotent(first, second):
    live = apply(apply(None, first, "one"), second, "two", "t2")
    assert apply(live, second, "two", "t3") == live


@given(specs())
def test_first_apply_gives_the_configuration(spec):
    assert content(apply(None, spec, "one")) == normal(spec)


@given(specs(), specs())
def test_second_apply_of_a_lone_manager_gives_the_configuration(first, second):
    live = apply(apply(None, first, "one"), second, "one", "t2")
    assert content(live) == normal(second)


@given(specs(), specs(names=st.sampled_from(["e", "f"])))
def test_omission_removes_exactly_what_only_that_manager_owned(mine, theirs):
    alone = apply(None, theirs, "two")
    both = apply(alone, mine, "one", "t2")
    if "text" in mine and "text" in theirs:
        theirs = {**theirs, "text": mine["text"]}
        both = apply(both, theirs, "two", "t3")
    if "list" in mine and "list" in theirs:
        theirs = {**theirs, "list": mine["list"]}
        both = apply(both, theirs, "two", "t4")
    left = apply(both, {}, "one", "t5")
    assert content(left) == normal(theirs)


@given(specs(names=st.sampled_from("ab")), specs(names=st.sampled_from("cd")))
def test_disjoint_applies_commute(first, second):
    assume(not {"text", "list"} & first.keys() & second.keys())
    one_two = apply(apply(None, first, "one"), second, "two", force=False)
    two_one = apply(apply(None, second, "two"), first, "one", force=False)
    assert content(one_two) == content(two_one)
    assert owners(one_two) == owners(two_one)


def owners(obj):
    raw = obj["metadata"].get("managedFields")
    return {m.name: m.owned for m in managed.decode(raw).values()}


@given(specs(), specs())
def test_without_force_the_values_of_others_never_change(first, second):
    live = apply(None, first, "one")
    result, conflicts = server_side_apply(
        live, thing(second), "two", force=False, schema=SCHEMA, now="t2"
    )
    if conflicts:
        assert result == live
        return
    again, conflicts = server_side_apply(
        result, thing(first), "one", force=False, schema=SCHEMA, now="t3"
    )
    assert conflicts == []
    assert content(again) == content(result)


@given(specs(), specs())
def test_force_wins_everywhere_it_names(first, second):
    live = apply(apply(None, first, "one"), second, "two", "t2")
    merged = apply(live, second, "two", "t3", force=False)
    assert merged == live
    for name in ("text", "list"):
        if name in second:
            assert live["spec"][name] == second[name]


@given(specs(), specs())
def test_an_update_owns_all_that_it_changed(first, second):
    live = apply(None, first, "one")
    new = {**live, "spec": second}
    result = update_managed_fields(live, new, "edit", "Update", "t2", SCHEMA)
    assert result["spec"] == second
    _, conflicts = server_side_apply(
        result, thing(first), "one", force=False, schema=SCHEMA, now="t3"
    )
    changed = [
        name
        for name in ("text", "list")
        if name in first and name in second and first[name] != second[name]
    ]
    named = {c.field.split("[")[0].split(".")[2] for c in conflicts}
    assert set(changed) <= named
    assert {c.manager for c in conflicts} <= {"edit"}


@given(specs(), specs(), specs())
def test_managed_fields_can_always_be_read_back(first, second, third):
    live = apply(None, first, "one")
    live = update_managed_fields(
        live, {**live, "spec": second}, "edit", "Update", "t2", SCHEMA
    )
    live = apply(live, third, "two", "t3")
    raw = live["metadata"].get("managedFields", [])
    assert managed.encode(managed.decode(raw)) == raw


JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)
    ),
    max_leaves=10,
)


@pytest.mark.parametrize("schema", [None, SCHEMA])
@given(first=JSON, second=JSON)
def test_values_of_the_wrong_type_do_no_harm(schema, first, second):
    live, _ = server_side_apply(
        None, thing({"any": first}), "one", force=True, schema=schema, now="t1"
    )
    both, _ = server_side_apply(
        live,
        thing({"any": second}),
        "two",
        force=True,
        schema=schema,
        now="t2",
    )
    again, _ = server_side_apply(
        both,
        thing({"any": second}),
        "two",
        force=True,
        schema=schema,
        now="t3",
    )
    assert again == both
