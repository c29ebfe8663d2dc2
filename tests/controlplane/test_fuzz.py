"""No request gives a 5xx or stops the server: hypothesis against it."""

import asyncio
import json

import pytest
from controlplane_support import (
    APPLY,
    CRDS,
    JSON_PATCH,
    MERGE,
    WIDGETS,
    Client,
    widget,
    widget_crd,
)
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from reconciler.controlplane.server import ControlPlane

KEYS = st.sampled_from(
    [
        "apiVersion",
        "kind",
        "metadata",
        "spec",
        "status",
        "name",
        "namespace",
        "labels",
        "annotations",
        "finalizers",
        "ownerReferences",
        "managedFields",
        "resourceVersion",
        "uid",
        "generation",
        "size",
        "color",
        "tags",
        "conditions",
        "type",
        "data",
        "versions",
        "names",
        "schema",
        "fieldsV1",
        "f:spec",
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["a", "v1", "example.dev/v1", "Widget", "default"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
PATHS = st.sampled_from(
    [
        WIDGETS,
        f"{WIDGETS}/a",
        f"{WIDGETS}/a/status",
        f"{WIDGETS}/a/scale",
        "/api/v1/namespaces",
        "/api/v1/namespaces/a",
        "/api/v1/namespaces/a/finalize",
        "/api/v1/namespaces/default/secrets",
        "/api/v1/namespaces/default/configmaps/a",
        "/api/v1/namespaces/default/events",
        "/apis/events.k8s.io/v1/namespaces/default/events/a",
        "/apis/coordination.k8s.io/v1/namespaces/default/leases",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        "/apis/example.dev/v1/widgets",
        f"{CRDS}/widgets.other.dev",
        CRDS,
    ]
)
METHODS = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"])
TYPES = st.sampled_from(
    [
        "application/json",
        "application/yaml",
        "application/vnd.kubernetes.protobuf",
        "application/strategic-merge-patch+json",
        MERGE,
        JSON_PATCH,
        APPLY,
        "text/html",
    ]
)
OPTIONS = st.dictionaries(
    st.sampled_from(
        [
            "labelSelector",
            "fieldSelector",
            "limit",
            "continue",
            "resourceVersion",
            "resourceVersionMatch",
            "fieldManager",
            "fieldValidation",
            "dryRun",
            "force",
            "propagationPolicy",
            "includeObject",
        ]
    ),
    st.text(max_size=8)
    | st.sampled_from(
        [
            "1",
            "0",
            "true",
            "All",
            "Exact",
            "a=b",
            "a in (b)",
            "metadata.name=a",
        ]
    ),
    max_size=3,
)


class Target:
    """A control plane and a loop, for synchronous hypothesis tests."""

    def __init__(self, state):
        self._loop = asyncio.new_event_loop()
        self._plane = ControlPlane(state)
        self.run(self._plane.start())
        self.client = self.run(self._client())
        self.run(self.client.ok("POST", CRDS, widget_crd()))

    async def _client(self):
        return Client(self._plane.kubeconfig)

    def run(self, waiting):
        return self._loop.run_until_complete(asyncio.wait_for(waiting, 20))

    def close(self):
        self.run(self.client.close())
        self.run(self._plane.stop())
        self._loop.close()


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    target = Target(tmp_path_factory.mktemp("fuzz") / "state")
    yield target
    target.close()


async def _send(client, method, path, body, kind, options):
    # Without the kind of the test nothing would be left to try.
    assume(not (method == "DELETE" and path == CRDS))
    headers = {"Content-Type": kind, "Accept": "application/json"}
    code, answer = await client.call(
        method, path, body, headers=headers, params=options
    )
    assert code != 500, (method, path, body, kind, options, answer)
    assert code < 500 or answer["reason"] == "Timeout", answer
    if code >= 400:
        assert answer["kind"] == "Status"


async def _ensure(client):
    await client.call("POST", WIDGETS, widget())


FUZZ = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@FUZZ
@given(METHODS, PATHS, VALUES, TYPES, OPTIONS)
def test_any_value_anywhere(target, method, path, body, kind, options):
    target.run(_ensure(target.client))
    target.run(
        _send(
            target.client,
            method,
            path,
            json.dumps(body).encode(),
            kind,
            options,
        )
    )


@FUZZ
@given(METHODS, PATHS, st.binary(max_size=60), TYPES)
def test_any_bytes(target, method, path, body, kind):
    target.run(_send(target.client, method, path, body, kind, {}))


@FUZZ
@given(st.text(max_size=30), METHODS)
def test_any_path(target, path, method):
    async def send():
        from yarl import URL

        url = URL(target.client.url).with_path("/api/v1/" + path)
        async with target.client.session.request(method, url) as response:
            assert response.status < 500

    target.run(send())


@FUZZ
@given(KEYS, VALUES, st.sampled_from(["", "/status"]))
def test_a_sound_object_with_one_odd_field(target, key, value, part):
    target.run(_ensure(target.client))
    for where in ("metadata", "spec", "status", None):
        body = widget() | {"status": {}}
        holder = body if where is None else body[where]
        holder[key] = value
        text = json.dumps(body).encode()
        for kind, method in (
            (MERGE, "PATCH"),
            (APPLY, "PATCH"),
            ("application/json", "PUT"),
        ):
            target.run(
                _send(
                    target.client,
                    method,
                    f"{WIDGETS}/a{part}",
                    text,
                    kind,
                    {"fieldManager": "fuzz", "dryRun": "All"},
                )
            )


@FUZZ
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "op": st.sampled_from(
                    ["add", "remove", "replace", "move", "copy", "test", "x"]
                ),
                "path": st.sampled_from(
                    [
                        "",
                        "/",
                        "/spec",
                        "/spec/tags/0",
                        "/spec/tags/-",
                        "/metadata",
                        "/metadata/finalizers",
                        "/metadata/name",
                        "/a~2",
                    ]
                ),
            },
            optional={"value": VALUES, "from": st.text(max_size=6)},
        ),
        max_size=4,
    )
)
def test_any_json_patch(target, operations):
    target.run(_ensure(target.client))
    target.run(
        _send(
            target.client,
            "PATCH",
            f"{WIDGETS}/a",
            json.dumps(operations).encode(),
            JSON_PATCH,
            {},
        )
    )


@FUZZ
@given(KEYS, VALUES, st.integers(0, 3))
def test_an_odd_definition(target, key, value, depth):
    crd = widget_crd()
    crd["metadata"]["name"] = "gadgets.other.dev"
    crd["spec"]["group"] = "other.dev"
    crd["spec"]["names"] = {"plural": "gadgets", "kind": "Gadget"}
    holder = [
        crd["spec"],
        crd["spec"]["names"],
        crd["spec"]["versions"][0],
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"],
    ][depth]
    holder[key] = value
    target.run(
        _send(
            target.client,
            "POST",
            CRDS,
            json.dumps(crd).encode(),
            "application/json",
            {"dryRun": "All"},
        )
    )


def test_the_server_still_works(target):
    target.run(_ensure(target.client))
    obj = target.run(target.client.ok("GET", f"{WIDGETS}/a"))
    assert obj["kind"] == "Widget"
    code, text = target.run(target.client.call("GET", "/readyz"))
    assert (code, text) == (200, "ok")
