"""Strategic merge patch of the built-in kinds."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.controlplane.patch import PatchError, strategic_merge


def patched(obj, patch, kind="ConfigMap"):
    return strategic_merge(obj, patch, kind)


@pytest.mark.parametrize(
    ("obj", "patch", "result"),
    [
        pytest.param(
            {"data": {"a": "1"}},
            {"data": {"b": "2"}},
            {"data": {"a": "1", "b": "2"}},
            id="maps merge",
        ),
        pytest.param(
            {"data": {"a": "1", "b": "2"}},
            {"data": {"a": None}},
            {"data": {"b": "2"}},
            id="null deletes",
        ),
        pytest.param(
            {"data": {"a": "1"}},
            {"data": {"$patch": "replace", "b": "2"}},
            {"data": {"b": "2"}},
            id="a map can be replaced",
        ),
        pytest.param(
            {"data": {"a": "1"}},
            {"data": {"$patch": "delete"}},
            {"data": {}},
            id="a map can be emptied",
        ),
        pytest.param(
            {"data": {"a": "1", "b": "2"}},
            {"data": {"$retainKeys": ["b", "c"], "c": "3"}},
            {"data": {"b": "2", "c": "3"}},
            id="only retained keys stay",
        ),
        pytest.param(
            {"list": [1, 2]},
            {"list": [3]},
            {"list": [3]},
            id="other lists are replaced",
        ),
        pytest.param(
            {},
            {"data": {"a": None, "b": {"c": None}}},
            {"data": {"b": {}}},
            id="nulls leave nothing behind",
        ),
    ],
)
def test_maps(obj, patch, result):
    assert patched(obj, patch) == result


def meta(**fields):
    return {"metadata": fields}


def owner(uid, **more):
    return {"uid": uid, **more}


@pytest.mark.parametrize(
    ("old", "new", "result"),
    [
        pytest.param(
            [owner("1", name="a")],
            [owner("2", name="b")],
            [owner("1", name="a"), owner("2", name="b")],
            id="another key is added",
        ),
        pytest.param(
            [owner("1", name="a", kind="K")],
            [owner("1", name="b")],
            [owner("1", name="b", kind="K")],
            id="the same key merges",
        ),
        pytest.param(
            [owner("1"), owner("2")],
            [owner("1", **{"$patch": "delete"})],
            [owner("2")],
            id="an item is deleted by its key",
        ),
        pytest.param(
            [owner("1")],
            [owner("9", **{"$patch": "delete"})],
            [owner("1")],
            id="deleting what is not there does nothing",
        ),
        pytest.param(
            [owner("1"), owner("2")],
            [{"$patch": "replace"}, owner("3")],
            [owner("3")],
            id="the whole list is replaced",
        ),
    ],
)
def test_lists_that_merge_by_key(old, new, result):
    merged = patched(meta(ownerReferences=old), meta(ownerReferences=new))
    assert merged["metadata"]["ownerReferences"] == result


def test_conditions_of_a_namespace_merge_by_type():
    old = {"status": {"conditions": [{"type": "A", "status": "True"}]}}
    new = {"status": {"conditions": [{"type": "B", "status": "True"}]}}
    merged = patched(old, new, "Namespace")["status"]["conditions"]
    assert [c["type"] for c in merged] == ["A", "B"]
    assert patched(old, new)["status"]["conditions"] == [
        {"type": "B", "status": "True"}
    ]


def test_finalizers_are_a_set():
    merged = patched(meta(finalizers=["a", "b"]), meta(finalizers=["b", "c"]))
    assert merged["metadata"]["finalizers"] == ["a", "b", "c"]


def test_members_of_a_set_are_deleted_by_value():
    patch = meta(
        **{
            "$deleteFromPrimitiveList/finalizers": ["a"],
            "finalizers": ["c"],
        }
    )
    merged = patched(meta(finalizers=["a", "b"]), patch)
    assert merged["metadata"]["finalizers"] == ["b", "c"]


def test_element_order_is_set():
    patch = meta(
        **{
            "$setElementOrder/finalizers": ["c", "a"],
            "finalizers": ["c"],
        }
    )
    merged = patched(meta(finalizers=["a", "b"]), patch)
    assert merged["metadata"]["finalizers"] == ["c", "b", "a"]


def test_element_order_of_keyed_items():
    patch = meta(
        **{
            "$setElementOrder/ownerReferences": [owner("2"), owner("1")],
            "ownerReferences": [owner("2")],
        }
    )
    merged = patched(meta(ownerReferences=[owner("1")]), patch)
    uids = [o["uid"] for o in merged["metadata"]["ownerReferences"]]
    assert uids == ["2", "1"]


@pytest.mark.parametrize(
    "patch",
    [
        [],
        None,
        "x",
        {"data": {"$patch": "explode"}},
        {"data": {"$retainKeys": ["b"], "c": "1"}},
        {"data": {"$retainKeys": "b"}},
        {"data": {"$retainKeys": [{}, []], "c": "1"}},
        meta(ownerReferences=[{"name": "no uid"}]),
        meta(ownerReferences=["text"]),
        {"data": {"$deleteFromPrimitiveList/x": "a"}},
    ],
)
def test_what_has_no_meaning_is_400(patch):
    with pytest.raises(PatchError) as caught:
        patched({"data": {"a": "1"}}, patch)
    assert caught.value.code == 400


NAMES = st.sampled_from(
    [
        "a",
        "data",
        "metadata",
        "finalizers",
        "ownerReferences",
        "uid",
        "$patch",
        "$retainKeys",
        "$setElementOrder/finalizers",
        "$deleteFromPrimitiveList/finalizers",
    ]
)
VALUES = st.recursive(
    st.none() | st.sampled_from(["a", "delete", "replace", "merge", 1, True]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)
    ),
    max_leaves=15,
)
OBJECTS = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries(
            {
                "finalizers": st.lists(st.sampled_from("abc"), unique=True),
                "ownerReferences": st.lists(
                    st.sampled_from("123"), unique=True
                ).map(lambda uids: [owner(uid) for uid in uids]),
            }
        )
    }
)


@given(OBJECTS, st.dictionaries(NAMES, VALUES, max_size=4))
def test_no_patch_does_anything_but_apply_or_be_refused(obj, patch):
    before, result, code = copy.deepcopy((obj, patch)), {}, 200
    try:
        result = patched(obj, patch)
    except PatchError as error:
        code = error.code
    assert code in (200, 400)
    assert not any(k.startswith("$") for k in result)
    assert (obj, patch) == before


@given(OBJECTS, OBJECTS)
def test_patching_twice_changes_nothing_more(obj, patch):
    once = patched(obj, patch)
    assert patched(once, patch) == once


def test_long_lists_are_merged_without_searching():
    """Each of these compared everything with everything: for minutes."""
    count = 20_000
    names = [f"example.dev/{n}" for n in range(count)]
    owners = [{"uid": str(n), "name": "a"} for n in range(count)]
    obj = {"metadata": {"finalizers": names, "ownerReferences": owners}}
    changed = [{"uid": o["uid"], "name": "b"} for o in owners]
    patch = {
        "metadata": {
            "finalizers": [*names, "example.dev/last"],
            "ownerReferences": changed,
            "$setElementOrder/finalizers": names[::-1],
            "$deleteFromPrimitiveList/finalizers": names[1:],
        }
    }
    merged = strategic_merge(obj, patch, "Namespace")["metadata"]
    assert merged["ownerReferences"] == changed
    assert merged["finalizers"] == [names[0], "example.dev/last"]
