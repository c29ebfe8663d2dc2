"""JSON patch: operations, codes, and the server's own habits."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.controlplane.patch import PatchError, json_patch
from reconciler.controlplane.patch.json_patch import MAX_COPIED, REJECTED
from reconciler.controlplane.schema.values import same


def op(name, path, *value, **more):
    entry = {"op": name, "path": path, **more}
    return {**entry, "value": value[0]} if value else entry


DOC = {"a": {"b": 1, "c": [1, 2, 3]}, "x/y": 1, "m~n": 2, "": 3, "n": None}


@pytest.mark.parametrize(
    ("ops", "wanted"),
    [
        ([], DOC),
        ([op("add", "/d", 4)], {**DOC, "d": 4}),
        ([op("add", "/a/d", {"e": 1})], None),
        ([op("add", "/a", 9)], {**DOC, "a": 9}),
        ([op("remove", "/a")], {k: v for k, v in DOC.items() if k != "a"}),
        ([op("replace", "/a", [])], {**DOC, "a": []}),
        ([op("replace", "/x~1y", 5)], {**DOC, "x/y": 5}),
        ([op("replace", "/m~0n", 5)], {**DOC, "m~n": 5}),
        ([op("replace", "/", 5)], {**DOC, "": 5}),
        ([op("test", "/a/b", 1)], DOC),
        ([op("test", "/a/c", [1, 2, 3])], DOC),
        ([op("test", "/n", None)], DOC),
        ([op("test", "/absent", None)], DOC),
        ([op("test", "/absent")], DOC),
        ([op("test", "", DOC)], DOC),
        ([op("copy", "/d", **{"from": "/a/b"})], {**DOC, "d": 1}),
        (
            [op("move", "/d", **{"from": "/x~1y"})],
            {**{k: v for k, v in DOC.items() if k != "x/y"}, "d": 1},
        ),
        ([op("add", "/d")], {**DOC, "d": None}),
        ([op("replace", "", {"z": 1})], {"z": 1}),
    ],
    ids=repr,
)
def test_objects(ops, wanted):
    if wanted is None:
        wanted = copy.deepcopy(DOC)
        wanted["a"]["d"] = {"e": 1}
    assert same(json_patch(DOC, ops), wanted)


@pytest.mark.parametrize(
    ("ops", "wanted"),
    [
        ([op("add", "/l/0", 9)], [9, 1, 2, 3]),
        ([op("add", "/l/3", 9)], [1, 2, 3, 9]),
        ([op("add", "/l/-", 9)], [1, 2, 3, 9]),
        ([op("add", "/l/-1", 9)], [1, 2, 3, 9]),
        ([op("add", "/l/-4", 9)], [9, 1, 2, 3]),
        ([op("remove", "/l/0")], [2, 3]),
        ([op("remove", "/l/-1")], [1, 2]),
        ([op("replace", "/l/1", 9)], [1, 9, 3]),
        ([op("replace", "/l/-1", 9)], [1, 2, 9]),
        ([op("test", "/l/2", 3)], [1, 2, 3]),
        ([op("test", "/l/-3", 1)], [1, 2, 3]),
        ([op("move", "/l/0", **{"from": "/l/2"})], [3, 1, 2]),
        ([op("move", "/l/2", **{"from": "/l/0"})], [2, 3, 1]),
        ([op("copy", "/l/-", **{"from": "/l/0"})], [1, 2, 3, 1]),
        (
            [op("remove", "/l/0"), op("remove", "/l/0")],
            [3],
        ),
    ],
    ids=repr,
)
def test_lists(ops, wanted):
    assert json_patch({"l": [1, 2, 3]}, ops) == {"l": wanted}


def test_later_operations_see_earlier_ones():
    ops = [
        op("add", "/spec", {}),
        op("add", "/spec/list", []),
        op("add", "/spec/list/-", "a"),
        op("test", "/spec/list/0", "a"),
        op("copy", "/copy", **{"from": "/spec"}),
        op("replace", "/spec/list/0", "b"),
    ]
    assert json_patch({}, ops) == {
        "spec": {"list": ["b"]},
        "copy": {"list": ["a"]},
    }


def test_replace_adds_a_field_that_is_not_there():
    # So does the API server's library, and clients have come to rely on it.
    ops = [op("replace", "/a/b", 1)]
    assert json_patch({"a": {}}, ops) == {"a": {"b": 1}}


def test_copy_of_what_is_not_there_is_null():
    ops = [op("copy", "/b", **{"from": "/a"})]
    assert json_patch({}, ops) == {"b": None}


def refusal(doc, ops):
    with pytest.raises(PatchError) as caught:
        json_patch(doc, ops)
    return caught.value


@pytest.mark.parametrize(
    ("ops", "detail"),
    [
        (
            [op("remove", "/z")],
            (
                "error in remove for path: '/z': Unable to remove nonexistent "
                "key: z: missing value"
            ),
        ),
        (
            [op("add", "/z/y", 1)],
            (
                'add operation does not apply: doc is missing path: "/z/y": '
                "missing value"
            ),
        ),
        (
            [op("add", "/a/b/c", 1)],
            (
                'add operation does not apply: doc is missing path: "/a/b/c": '
                "missing value"
            ),
        ),
        (
            [op("add", "/a/c/4", 1)],
            (
                "error in add for path: '/a/c/4': Unable to access invalid "
                "index: 4: invalid index referenced"
            ),
        ),
        (
            [op("add", "/a/c/-5", 1)],
            (
                "error in add for path: '/a/c/-5': Unable to access invalid "
                "index: -5: invalid index referenced"
            ),
        ),
        (
            [op("replace", "/a/c/3", 1)],
            (
                "error in replace for path: '/a/c/3': Unable to access "
                "invalid "
                "index: 3: invalid index referenced"
            ),
        ),
        (
            [op("remove", "/a/c/3")],
            (
                "error in remove for path: '/a/c/3': Unable to access invalid "
                "index: 3: invalid index referenced"
            ),
        ),
        (
            [op("test", "/a/b", 2)],
            "testing value /a/b failed: test failed",
        ),
        (
            [{"op": "test", "path": "/a/b", "value": True}],
            "testing value /a/b failed: test failed",
        ),
        (
            [op("test", "/a/b")],
            "testing value /a/b failed: test failed",
        ),
        (
            [op("test", "/x~1y", "1")],
            "testing value /x~1y failed: test failed",
        ),
        ([op("jump", "/a", 1)], "Unexpected kind: jump"),
        ([{"path": "/a"}], "Unexpected kind: unknown"),
        ([{"op": "add", "value": 1}], "add operation missing path"),
        ([op("move", "/b")], "move operation missing from"),
        ([op("add", "a", 1)], "jsonpatch: invalid pointer 'a'"),
        (
            [op("replace", "", 5)],
            "replace operation value must be object or array",
        ),
        (
            [op("add", "", {})],
            (
                'add operation does not apply: doc is missing path: "": '
                "missing value"
            ),
        ),
        (
            [op("remove", "")],
            (
                'remove operation does not apply: doc is missing path: "": '
                "missing value"
            ),
        ),
        (
            [op("move", "/a/b/c", **{"from": "/a"})],
            (
                "move operation does not apply: doc is missing path: "
                '"/a/b/c": '
                "missing value"
            ),
        ),
    ],
    ids=repr,
)
def test_patches_that_do_not_fit(ops, detail):
    error = refusal(DOC, ops)
    assert (error.code, error.reason) == (422, "Invalid")
    assert error.message == REJECTED
    assert error.detail == detail


@pytest.mark.parametrize("ops", [{}, "x", None, 5, [1], ["x"], [None]])
def test_patches_that_are_none(ops):
    error = refusal(DOC, ops)
    assert (error.code, error.reason) == (400, "BadRequest")
    assert error.message.startswith("error decoding patch")


def test_patches_that_are_too_long():
    assert json_patch({}, [op("add", "/a", 1)] * 10_000) == {"a": 1}
    error = refusal({}, [op("add", "/a", 1)] * 10_001)
    assert (error.code, error.reason) == (413, "RequestEntityTooLarge")
    assert error.message == (
        "Request entity too large: The allowed maximum operations in a JSON "
        "patch is 10000, got 10001"
    )


def test_copies_that_explode_are_cut_off():
    double = op("copy", "/a/-", **{"from": "/a"})
    error = refusal({"a": ["x" * 1000]}, [double] * 100)
    assert error.code == 422
    assert str(MAX_COPIED) in error.detail


def test_a_failed_patch_changes_nothing():
    doc = copy.deepcopy(DOC)
    refusal(doc, [op("remove", "/a"), op("test", "/x~1y", 9)])
    assert doc == DOC


def test_the_result_shares_nothing_with_the_patch():
    value = {"deep": []}
    result = json_patch({}, [op("add", "/a", value), op("add", "/b", value)])
    result["a"]["deep"].append(1)
    assert result["b"] == value == {"deep": []}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("ab/~0", max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text("ab/~0", max_size=3), JSON, max_size=4)


def token(name):
    return name.replace("~", "~0").replace("/", "~1")


def difference(old, new, at=""):
    """Operations that turn one document into another."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in old.keys() - new.keys():
            yield op("remove", f"{at}/{token(name)}")
        for name, value in new.items():
            here = f"{at}/{token(name)}"
            if name in old:
                yield from difference(old[name], value, here)
            else:
                yield op("add", here, value)
    elif isinstance(old, list) and isinstance(new, list):
        for index in reversed(range(len(new), len(old))):
            yield op("remove", f"{at}/{index}")
        for index, value in enumerate(new):
            if index < len(old):
                yield from difference(old[index], value, f"{at}/{index}")
            else:
                yield op("add", f"{at}/-", value)
    elif not same(old, new):
        yield op("test", at, old)
        yield op("replace", at, new)


@given(OBJECTS, OBJECTS)
def test_the_patch_of_a_difference_round_trips(old, new):
    there = json_patch(old, list(difference(old, new)))
    assert same(there, new)
    assert same(json_patch(there, list(difference(new, old))), old)


@given(OBJECTS, OBJECTS)
def test_documents_are_not_changed(old, new):
    before = copy.deepcopy(old)
    json_patch(old, list(difference(old, new)))
    assert same(old, before)


NAMES = st.sampled_from(["add", "remove", "replace", "move", "copy", "test"])
POINTERS = st.lists(
    st.sampled_from(["a", "b", "0", "1", "-", "-1", "~0", "x y"]), max_size=3
).map(lambda parts: "".join(f"/{p}" for p in parts))
OPS = st.fixed_dictionaries(
    {"op": NAMES, "path": POINTERS},
    optional={"from": POINTERS, "value": JSON},
)


@given(OBJECTS, st.lists(OPS, max_size=5))
def test_every_patch_applies_or_is_refused(doc, ops):
    code = 200
    try:
        json_patch(doc, ops)
    except PatchError as error:
        code = error.code
    assert code in (200, 400, 422)
