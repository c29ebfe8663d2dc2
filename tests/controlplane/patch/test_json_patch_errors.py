"""JSON patch: what operations do, and how the server words failures."""

import copy

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reconciler.controlplane.patch import PatchError, json_patch
from reconciler.controlplane.patch.json_patch import (
    MAX_COPIED,
    MAX_OPERATIONS,
)
from reconciler.controlplane.schema.values import same

NAMES = st.sampled_from(["a", "b", "c/d", "e~f", "", "0"])
VALUES = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.text(max_size=3) | st.none(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4)
    ),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=4)


def op(kind, path, **more):
    return {"op": kind, "path": path, **more}


@pytest.mark.parametrize(
    ("document", "operation", "result"),
    [
        ({"a": 1}, op("add", "/b", value=2), {"a": 1, "b": 2}),
        ({"a": 1}, op("add", "/a", value=2), {"a": 2}),
        ({"a": [1, 3]}, op("add", "/a/1", value=2), {"a": [1, 2, 3]}),
        ({"a": [1]}, op("add", "/a/1", value=2), {"a": [1, 2]}),
        ({"a": [1]}, op("add", "/a/-", value=[2]), {"a": [1, [2]]}),
        ({}, op("add", "/a", value=None), {"a": None}),
        ({"": 1}, op("replace", "/", value=2), {"": 2}),
        ({"a": 1, "b": 2}, op("remove", "/a"), {"b": 2}),
        ({"a": [1, 2, 3]}, op("remove", "/a/1"), {"a": [1, 3]}),
        ({"a": 1}, op("replace", "/a", value={"b": 1}), {"a": {"b": 1}}),
        ({"a": [1, 2]}, op("replace", "/a/0", value=5), {"a": [5, 2]}),
        ({"x/y": 1}, op("replace", "/x~1y", value=2), {"x/y": 2}),
        ({"x~y": 1}, op("replace", "/x~0y", value=2), {"x~y": 2}),
        ({"x~1y": 1}, op("remove", "/x~01y"), {}),
        (
            {"a": {"b": 1}, "c": {}},
            {"op": "move", "from": "/a/b", "path": "/c/d"},
            {"a": {}, "c": {"d": 1}},
        ),
        (
            {"a": [1, 2, 3]},
            {"op": "move", "from": "/a/0", "path": "/a/2"},
            {"a": [2, 3, 1]},
        ),
        (
            {"a": {"b": [1]}},
            {"op": "copy", "from": "/a/b", "path": "/c"},
            {"a": {"b": [1]}, "c": [1]},
        ),
        ({"a": 1}, op("test", "/a", value=1), {"a": 1}),
        ({"a": {"b": [1]}}, op("test", "/a", value={"b": [1]}), None),
        ({"a": 1}, op("test", "/absent", value=None), {"a": 1}),
        ({"a": 1}, op("test", "", value={"a": 1}), {"a": 1}),
    ],
)
def test_operation_gives(document, operation, result):
    wanted = document if result is None else result
    assert json_patch(document, [operation]) == wanted


def test_operations_build_on_each_other():
    ops = [
        op("add", "/l", value=[]),
        op("add", "/l/-", value="x"),
        op("test", "/l/0", value="x"),
        {"op": "copy", "from": "/l/0", "path": "/l/-"},
        op("remove", "/l/0"),
    ]
    assert json_patch({}, ops) == {"l": ["x"]}


def test_copy_shares_nothing_with_its_source():
    ops = [
        {"op": "copy", "from": "/a", "path": "/b"},
        op("add", "/b/-", value=2),
    ]
    assert json_patch({"a": [1]}, ops) == {"a": [1], "b": [1, 2]}


@pytest.mark.parametrize(
    ("operation", "detail"),
    [
        (
            op("test", "/a", value=2),
            "testing value /a failed: test failed",
        ),
        (
            op("test", "/t", value=1),
            "testing value /t failed: test failed",
        ),
        (
            op("remove", "/nope"),
            (
                "error in remove for path: '/nope': Unable to remove "
                "nonexistent "
                "key: nope: missing value"
            ),
        ),
        (
            op("add", "/x/y", value=1),
            (
                'add operation does not apply: doc is missing path: "/x/y": '
                "missing value"
            ),
        ),
        (
            op("add", "/l/9", value=1),
            (
                "error in add for path: '/l/9': Unable to access invalid "
                "index: "
                "9: invalid index referenced"
            ),
        ),
        (
            op("remove", "/l/2"),
            (
                "error in remove for path: '/l/2': Unable to access invalid "
                "index: 2: invalid index referenced"
            ),
        ),
        (op("spoil", "/a"), "Unexpected kind: spoil"),
        ({"path": "/a"}, "Unexpected kind: unknown"),
    ],
)
def test_patch_that_does_not_fit_is_422(operation, detail):
    with pytest.raises(PatchError) as caught:
        json_patch({"a": 1, "t": True, "l": [1, 2]}, [operation])
    assert (caught.value.code, caught.value.reason) == (422, "Invalid")
    assert caught.value.detail == detail
    assert caught.value.message == (
        "the server rejected our request due to an error in our request"
    )


@pytest.mark.parametrize("ops", [{}, "x", None, 3, ["x"], [None], [[]]])
def test_what_is_no_patch_is_400(ops):
    with pytest.raises(PatchError) as caught:
        json_patch({}, ops)
    assert (caught.value.code, caught.value.reason) == (400, "BadRequest")


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add"},
        {"op": "add", "path": 3, "value": 1},
        {"op": "add", "path": "a", "value": 1},
        {"op": "move", "path": "/a"},
        {"op": "copy", "path": "/a", "from": None},
        {"op": "remove", "path": ""},
        {"op": ["add"], "path": "/a"},
        op("add", "/a/b", value=1),
        op("add", "/l/x", value=1),
        op("add", "/l/1_0", value=1),
        op("add", "/l/²", value=1),
    ],
)
def test_malformed_operation_is_refused_not_a_crash(operation):
    with pytest.raises(PatchError) as caught:
        json_patch({"a": 1, "l": []}, [operation])
    assert caught.value.code in (400, 422)


def test_failed_patch_leaves_the_document_alone():
    document = {"a": [1]}
    ops = [op("add", "/a/-", value=2), op("test", "/a", value=[])]
    with pytest.raises(PatchError):
        json_patch(document, ops)
    assert document == {"a": [1]}


def test_number_of_operations_is_bounded():
    ops = [op("test", "/a", value=1)] * (MAX_OPERATIONS + 1)
    with pytest.raises(PatchError) as caught:
        json_patch({"a": 1}, ops)
    assert caught.value.code == 413
    assert json_patch({"a": 1}, ops[1:]) == {"a": 1}


def test_copies_cannot_grow_a_document_without_bound():
    double = [{"op": "copy", "from": "/a", "path": "/a/-"}] * 40
    with pytest.raises(PatchError) as caught:
        json_patch({"a": ["x" * 1000]}, double)
    assert str(MAX_COPIED) in caught.value.detail


def pointer(path):
    return "".join(
        "/" + str(t).replace("~", "~0").replace("/", "~1") for t in path
    )


def difference(old, new, path=()):
    """Return operations that turn `old` into `new`."""
    if isinstance(old, dict) and isinstance(new, dict):
        return _map_difference(old, new, path)
    if isinstance(old, list) and isinstance(new, list):
        return _list_difference(old, new, path)
    if same(old, new):
        return []
    return [op("replace", pointer(path), value=new)]


def _map_difference(old, new, path):
    ops = [op("remove", pointer((*path, k))) for k in old if k not in new]
    for key, value in new.items():
        here = (*path, key)
        if key in old:
            ops += difference(old[key], value, here)
        else:
            ops.append(op("add", pointer(here), value=value))
    return ops


def _list_difference(old, new, path):
    ops = []
    for at, (left, right) in enumerate(zip(old, new, strict=False)):
        ops += difference(left, right, (*path, at))
    ops += [op("remove", pointer((*path, len(new))))] * (len(old) - len(new))
    ops += [op("add", pointer((*path, "-")), value=v) for v in new[len(old) :]]
    return ops


@given(DOCUMENTS, DOCUMENTS)
def test_patch_of_the_difference_leads_from_one_to_the_other(old, new):
    before = copy.deepcopy(old)
    assert same(json_patch(old, difference(old, new)), new)
    assert same(old, before)


@given(DOCUMENTS, NAMES, VALUES)
def test_removing_what_was_added_restores(document, name, value):
    assume(name not in document)
    path = pointer((name,))
    ops = [op("add", path, value=value), op("remove", path)]
    assert same(json_patch(document, ops), document)


PATHS = st.lists(NAMES | st.sampled_from(["-", "1", "-1", "99"]), max_size=3)
OPERATIONS = st.fixed_dictionaries(
    {
        "op": st.sampled_from(
            ["add", "remove", "replace", "move", "copy", "test", "x", ""]
        ),
        "path": PATHS.map(pointer) | VALUES,
    },
    optional={"from": PATHS.map(pointer) | VALUES, "value": VALUES},
)


@given(DOCUMENTS, st.lists(OPERATIONS | VALUES, max_size=5))
def test_no_patch_does_anything_but_apply_or_be_refused(document, ops):
    before, code = copy.deepcopy(document), 200
    try:
        json_patch(document, ops)
    except PatchError as error:
        code = error.code
    assert code in (200, 400, 413, 422)
    assert same(document, before)
