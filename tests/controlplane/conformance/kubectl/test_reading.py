"""get, describe, explain, events and what tells of the server itself."""

import json

import pytest
from controlplane_support import config_map, widget


def conformance(behaviour):
    return pytest.mark.conformance("kubectl", behaviour)


@pytest.fixture
def widgets(kubectl):
    """Five widgets of falling size; returns their short name."""
    items = [widget(f"w{n}", 9 - n, kubectl.names) for n in range(5)]
    listed = {"apiVersion": "v1", "kind": "List", "items": items}
    kubectl("create", "-f", "-", given=listed)
    return kubectl.names.short


@conformance("get: printer columns, -o wide, categories, short names")
def test_tables(kubectl, widgets):
    table = kubectl("get", widgets).splitlines()
    assert table[0].split() == ["NAME", "SIZE", "READY"]
    assert table[1].split()[:2] == ["w0", "9"]
    assert kubectl("get", kubectl.names.category) == kubectl("get", widgets)
    wide = kubectl("get", widgets, "-o", "wide").splitlines()
    assert wide[0].split() == ["NAME", "SIZE", "READY", "COLOR"]
    labelled = kubectl("get", widgets, "--show-labels").splitlines()
    assert labelled[0].split()[-1] == "LABELS"
    assert labelled[1].split()[-1] == "<none>"


@conformance("get -o yaml|json|name|jsonpath|custom-columns|go-template")
def test_forms(kubectl, widgets):
    where = f"{widgets}/w1"
    assert json.loads(kubectl("get", where, "-o", "json"))["spec"]["size"] == 8
    assert "size: 8\n" in kubectl("get", where, "-o", "yaml")
    full = f"widget.{kubectl.names.group}/w1\n"
    assert kubectl("get", where, "-o", "name") == full
    assert kubectl("get", where, "-o", "jsonpath={.spec.size}") == "8"
    assert kubectl("get", where, "-o", "go-template={{.spec.size}}") == "8"
    columns = kubectl("get", widgets, "-o", "custom-columns=S:.spec.size")
    assert columns.split() == ["S", "9", "8", "7", "6", "5"]


@conformance("get --sort-by, --chunk-size, --no-headers")
def test_order_and_chunks(kubectl, widgets):
    names = kubectl("get", widgets, "--chunk-size=2", "-o", "name")
    assert len(names.splitlines()) == 5
    ordered = kubectl(
        *("get", widgets, "--sort-by=.spec.size", "--no-headers"),
        *("-o", "custom-columns=N:.metadata.name"),
    )
    assert ordered.split() == ["w4", "w3", "w2", "w1", "w0"]


@conformance("get -l and --field-selector (metadata, selectableFields)")
def test_selectors(kubectl, widgets):
    full = f"widget.{kubectl.names.group}"
    kubectl("label", widgets, "w0", "tier=gold")
    for selector in ("tier=gold", "tier in (gold)", "tier"):
        found = kubectl("get", widgets, "-l", selector, "-o", "name")
        assert found == f"{full}/w0\n"
    others = kubectl("get", widgets, "-l", "tier!=gold", "-o", "name")
    assert len(others.splitlines()) == 4
    by_name = ("--field-selector", "metadata.name=w2", "-o", "name")
    assert kubectl("get", widgets, *by_name) == f"{full}/w2\n"
    by_field = ("--field-selector", "spec.color=red", "-o", "name")
    assert len(kubectl("get", widgets, *by_field).splitlines()) == 5
    refused = kubectl.fails("get", widgets, "--field-selector", "spec.size=1")
    assert "field label not supported: spec.size" in refused


@conformance("get -A, get of several kinds, get of what is not there")
def test_everywhere_and_nowhere(kubectl, widgets):
    kubectl("create", "cm", "m", "--from-literal=a=b")
    rows = kubectl("get", widgets, "-A", "--no-headers").splitlines()
    assert [kubectl.namespace, "w0"] in [row.split()[:2] for row in rows]
    several = kubectl("get", "cm/m", f"{widgets}/w0", "-o", "name")
    assert several.splitlines()[0] == "configmap/m"
    assert len(several.splitlines()) == 2
    missing = kubectl.fails("get", widgets, "absent")
    assert missing == (
        "Error from server (NotFound): "
        f'{kubectl.names.plural}.{kubectl.names.group} "absent" not found\n'
    )
    code, out, error = kubectl.run("get", "secrets")
    assert (code, out) == (0, "")
    assert error == f"No resources found in {kubectl.namespace} namespace.\n"
    assert 'the server doesn\'t have a resource type "nonsense"' in (
        kubectl.fails("get", "nonsense")
    )


@conformance("get -w and --output-watch-events print changes as they come")
def test_watching(kubectl, widgets):
    watching = kubectl.start(
        *("get", widgets, "-w", "--output-watch-events", "--no-headers"),
        "--request-timeout=20s",
    )
    try:
        first = [watching.stdout.readline().split() for _ in range(5)]
        assert {row[0] for row in first} == {"ADDED"}
        size = '{"spec":{"size":2}}'
        kubectl("patch", widgets, "w0", "--type=merge", "-p", size)
        assert watching.stdout.readline().split()[:3] == [
            *("MODIFIED", "w0", "2"),
        ]
        kubectl("delete", widgets, "w1")
        assert watching.stdout.readline().split()[:2] == ["DELETED", "w1"]
    finally:
        watching.kill()
        watching.communicate(timeout=10)


@conformance("describe with events; events; get events by field selector")
def test_events(kubectl, widgets):
    uid = kubectl("get", widgets, "w0", "-o", "jsonpath={.metadata.uid}")
    event = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "w0.1", "namespace": kubectl.namespace},
        "eventTime": "2026-11-25T00:00:00.000000Z",
        "reportingController": "example.dev/tester",
        "reportingInstance": "here",
        "action": "Look",
        "reason": "Looked",
        "note": "It was looked at",
        "type": "Normal",
        "regarding": {
            "apiVersion": f"{kubectl.names.group}/v1",
            "kind": "Widget",
            "name": "w0",
            "namespace": kubectl.namespace,
            "uid": uid,
        },
    }
    kubectl("create", "-f", "-", given=event)
    shown = kubectl("describe", widgets, "w0")
    assert shown.splitlines()[0].split() == ["Name:", "w0"]
    assert "It was looked at" in shown
    assert "Looked" in kubectl("events", "--for", f"{widgets}/w0")
    chosen = ("--field-selector", "involvedObject.name=w0,reason=Looked")
    assert "It was looked at" in kubectl("get", "events", *chosen)
    none = ("--field-selector", "involvedObject.name=w0,type=Warning")
    assert kubectl("get", "events", *none, "-o", "name") == ""


@conformance("explain, explain --recursive with the fields' descriptions")
def test_explain(kubectl):
    what = kubectl.names.plural
    field = kubectl("explain", f"{what}.spec.size")
    assert "KIND:       Widget" in field
    assert "FIELD: size <integer>" in field
    assert "How big it is." in field
    tree = kubectl("explain", what, "--recursive")
    assert "spec\t<Object> -required-" in tree or "spec\t<Object>" in tree
    assert "size\t<integer> -required-" in tree
    assert "name\t<string>" in kubectl("explain", "configmap.metadata")
    assert 'field "nothing" does not exist' in (
        kubectl.fails("explain", f"{what}.nothing")
    )


@conformance("version, api-resources, api-versions")
def test_the_server(kubectl, widgets):
    names = kubectl.names
    assert "Server Version: v1." in kubectl("version")
    rows = kubectl("api-resources", "--api-group", names.group).splitlines()
    assert rows[1].split() == [
        *(names.plural, widgets, f"{names.group}/v1", "true", "Widget"),
    ]
    by_verb = ("--verbs=list,watch", "--namespaced=true", "-o", "name")
    assert f"{names.plural}.{names.group}" in (
        kubectl("api-resources", *by_verb).splitlines()
    )
    versions = kubectl("api-versions").splitlines()
    assert {f"{names.group}/v1", "v1", "events.k8s.io/v1"} <= set(versions)


@conformance("get --raw")
@pytest.mark.usefixtures("widgets")
def test_raw(kubectl):
    names = kubectl.names
    path = f"/apis/{names.group}/v1/namespaces/{kubectl.namespace}"
    listed = json.loads(kubectl("get", "--raw", f"{path}/{names.plural}"))
    assert len(listed["items"]) == 5
    assert kubectl("get", "--raw", "/readyz") == "ok"
    assert "NotFound" in kubectl.fails("get", "--raw", f"{path}/nothing")


@conformance("auth can-i, auth can-i --list, auth whoami")
def test_access(kubectl, widgets):
    assert kubectl("auth", "can-i", "delete", widgets) == "yes\n"
    nobody = ("--as", "system:serviceaccount:nobody:nobody")
    code, out, _ = kubectl.run("auth", "can-i", "delete", widgets, *nobody)
    assert (code, out) == (1, "no\n")
    assert "selfsubjectaccessreviews.authorization.k8s.io" in (
        kubectl("auth", "can-i", "--list", *nobody)
    )
    assert "Username" in kubectl("auth", "whoami")


@conformance("get --subresource=status and scale")
def test_subresources(kubectl, widgets):
    status = kubectl(
        "get", widgets, "w0", "--subresource=status", "-o", "name"
    )
    assert status.endswith("/w0\n")
    kubectl("scale", f"{widgets}/w0", "--replicas=3")
    scale = ("--subresource=scale", "-o", "jsonpath={.kind} {.spec.replicas}")
    assert kubectl("get", widgets, "w0", *scale) == "Scale 3"


@conformance("describe, get and create of configmaps, secrets, accounts")
def test_built_in_kinds(kubectl):
    kubectl("create", "secret", "generic", "s", "--from-literal=a=b")
    kubectl("create", "-f", "-", given=config_map("c"))
    kubectl("create", "serviceaccount", "robot")
    table = kubectl("get", "secret", "s").splitlines()
    assert table[0].split() == ["NAME", "TYPE", "DATA", "AGE"]
    assert table[1].split()[:3] == ["s", "Opaque", "1"]
    assert kubectl("get", "secret", "s", "-o", "jsonpath={.data.a}") == "Yg=="
    assert "a:  1 bytes" in kubectl("describe", "secret", "s")
    assert "key:\n----\nvalue" in kubectl("describe", "cm", "c")
    assert kubectl("get", "sa", "robot", "-o", "name") == (
        "serviceaccount/robot\n"
    )
