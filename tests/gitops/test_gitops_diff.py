"""Differences between a folder and the live objects."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.gitops.diff import (
    changes,
    comparable,
    difference,
    overlay,
    render,
)
from reconciler.gitops.manifest import DesiredObject, ObjectId


def desired(kind: str, name: str, **rest: Any) -> DesiredObject:
    body = {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        **rest,
    }
    where = ObjectId("default", name, "", kind)
    return DesiredObject(where, "v1", body, "f.yaml", 3)


def live(item: DesiredObject, **rest: Any) -> dict[str, Any]:
    body = copy.deepcopy(item.body) | rest
    body["metadata"] |= {"uid": "u", "resourceVersion": "7", "generation": 2}
    return body | {"status": {"x": 1}}


def test_added_changed_and_pruned_read_well() -> None:
    new = desired("ConfigMap", "new")
    old = desired("ConfigMap", "old", data={"a": "1", "b.c": "2"})
    same = desired("ConfigMap", "same", data={"a": "1"})
    gone = ObjectId("default", "gone", "", "ConfigMap")
    never = ObjectId("default", "never", "", "ConfigMap")
    there = {
        old.id: live(old, data={"a": "0", "b.c": "2"}),
        same.id: live(same),
        gone: {"kind": "ConfigMap"},
    }
    found = difference([new, old, same], there, [old.id, gone, never])
    assert render(found) == (
        "+ configmap/default/new  (f.yaml:3)\n"
        "~ configmap/default/old  (f.yaml:3)\n"
        '    data.a: "0" -> "1"\n'
        "- configmap/default/gone"
    )


def test_defaults_and_fields_of_others_are_no_difference() -> None:
    item = desired("Model", "m", spec={"a": {"x": 1}})
    there = live(item, spec={"a": {"x": 1, "y": 2}, "b": "default"})
    assert difference([item], {item.id: there}) == ()


def test_values_of_secrets_are_not_shown() -> None:
    item = desired("Secret", "s", data={"password": "bmV1"})
    there = live(item, data={"password": "YWx0"})
    text = render(difference([item], {item.id: there}))
    assert "data.password" in text
    assert "bmV1" not in text
    assert "YWx0" not in text


def test_named_items_are_compared_by_name() -> None:
    old = [{"name": "a", "v": 1}, {"name": "b", "v": 2}]
    new = [{"name": "b", "v": 3}, {"name": "c", "v": 1}]
    found = [c.describe() for c in changes({"l": old}, {"l": new})]
    assert found == [
        'l[a]: {"name": "a", "v": 1} -> (none)',
        "l[b].v: 2 -> 3",
        'l[c]: (none) -> {"name": "c", "v": 1}',
    ]


def test_true_is_not_one() -> None:
    assert [c.path for c in changes({"a": True}, {"a": 1})] == ["a"]


values = st.recursive(
    st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["p", "q.r", "name"]), inner)
    ),
    max_leaves=8,
)
bodies = st.dictionaries(st.sampled_from(["spec", "data"]), values)


@given(values, values)
def test_no_change_means_equal(old: Any, new: Any) -> None:
    found = changes(old, new)
    if not found:
        assert old == new
    assert changes(new, new) == ()


@given(bodies, bodies)
def test_after_the_overlay_nothing_is_left_to_change(
    wanted: Any, there: Any
) -> None:
    after = overlay(wanted, there)
    assert changes(after, overlay(wanted, after)) == ()


@given(bodies)
def test_comparable_ignores_what_the_server_writes(body: Any) -> None:
    seen = body | {
        "metadata": {"name": "x", "uid": "1", "managedFields": []},
        "status": {"a": 1},
    }
    assert comparable(seen) == body | {"metadata": {"name": "x"}}
