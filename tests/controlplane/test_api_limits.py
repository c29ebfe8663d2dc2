"""What no patch, number or odd character may do to an object."""

import pytest
import pytest_asyncio
from controlplane_support import (
    CRDS,
    JSON_PATCH,
    WIDGETS,
    Client,
    widget,
    widget_crd,
)

FREE = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": True,
        }
    },
}
A = f"{WIDGETS}/a"
LEVELS = 90


@pytest_asyncio.fixture
async def free(shared_plane):
    """A client of a server whose widgets may have any spec; one is new."""
    client = Client(shared_plane.kubeconfig)
    crd = widget_crd(
        schema={"openAPIV3Schema": FREE},
        additionalPrinterColumns=[],
        selectableFields=[],
    )
    code, _ = await client.call("POST", CRDS, crd)
    assert code in (201, 409)
    await client.ok("POST", WIDGETS, widget())
    yield client
    await client.ok("DELETE", A)
    await client.close()


def nested(levels):
    """A map in a map in a map."""
    value = 0
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("before", "after"), [(1, True), (0, False), ([1], [True])]
)
async def test_a_number_that_becomes_a_boolean_is_a_change(
    free, before, after
):
    """They are equal in Python, and in no other place."""
    await free.patch(A, {"spec": {"size": before}})
    old = await free.ok("GET", A)
    code, new = await free.patch(A, {"spec": {"size": after}})
    assert code == 200
    assert repr(new["spec"]["size"]) == repr(after)
    generations = [o["metadata"]["generation"] for o in (old, new)]
    assert generations[1] == generations[0] + 1


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"80.0", b"80"),
        (b"2e3", b"2000"),
        (b"-0.0", b"0"),
        (b"0.5", b"0.5"),
        (b"1e300", b"1e+300"),
    ],
)
async def test_whole_numbers_are_written_without_a_point(free, sent, kept):
    """A client in Go cannot read 80.0 as an integer."""
    await free.patch(A, b'{"spec":{"size":' + sent + b"}}")
    async with free.session.get(free.url + A) as response:
        assert b'"spec":{"size":' + kept + b"}" in await response.read()


async def test_patches_cannot_nest_deeper_than_bodies(free):
    code, _ = await free.patch(A, {"spec": {"deep": nested(LEVELS)}})
    assert code == 200
    deeper = {
        "op": "add",
        "path": "/spec/deep" + "/a" * LEVELS,
        "value": nested(LEVELS),
    }
    code, answer = await free.patch(A, [deeper], JSON_PATCH)
    assert (code, answer["message"]) == (
        400,
        "the patched object is nested deeper than 100 levels",
    )


async def test_json_patches_of_any_depth_are_refused(free):
    steps = [{"op": "add", "path": "/spec/deep", "value": nested(LEVELS)}]
    for turn in range(1, 20):
        path = "/spec/deep" + "/a" * (LEVELS * turn)
        steps.append({"op": "add", "path": path, "value": nested(LEVELS)})
    code, _ = await free.patch(A, steps, JSON_PATCH)
    assert code == 400
    steps.append({"op": "copy", "from": "/spec/deep", "path": "/spec/more"})
    code, _ = await free.patch(A, steps, JSON_PATCH)
    assert code == 422


async def test_the_deepest_object_can_be_read_and_written_back(free):
    """Its managedFields are deeper than the object itself."""
    code, _ = await free.patch(A, {"spec": {"deep": nested(97)}})
    assert code == 200
    obj = await free.ok("GET", A)
    obj["metadata"]["labels"] = {"seen": "yes"}
    await free.ok("PUT", A, obj)
    code, _ = await free.patch(A, {"metadata": {"labels": {"seen": "no"}}})
    assert code == 200


async def test_patches_cannot_make_an_object_grow_for_ever(free):
    big = "x" * 2_000_000
    code, _ = await free.patch(A, {"spec": {"one": big}})
    assert code == 200
    code, answer = await free.patch(A, {"spec": {"two": big}})
    assert (code, answer["reason"]) == (413, "RequestEntityTooLarge")
    code, shrunk = await free.patch(A, {"spec": {"one": None, "two": big}})
    assert code == 200
    assert sorted(shrunk["spec"]) == ["size", "two"]


async def test_half_a_character_owns_no_field(free):
    obj = await free.ok("GET", A)
    entry = obj["metadata"]["managedFields"][0]
    entry["fieldsV1"] = {"f:spec": {'v:"\\ud800"': {}}}
    await free.ok("PUT", A, obj)


async def test_apply_means_the_object_with_that_uid(free):
    """Whoever names a uid does not mean a successor of the same name."""
    live = (await free.ok("GET", A))["metadata"]["uid"]
    config = widget(labels={"a": "b"}, uid="of-another")
    code, answer = await free.apply(A, config, query="&force=true")
    assert (code, answer["reason"]) == (409, "Conflict")
    code, _ = await free.apply(A, widget(labels={"a": "b"}, uid=live))
    assert code == 200
    code, answer = await free.apply(f"{WIDGETS}/b", widget("b", uid=live))
    assert (code, answer["reason"]) == (409, "Conflict")
    assert "no existing object was found" in answer["message"]
