"""patch, edit, replace, label, annotate, scale, delete and wait."""

import json

import pytest
from controlplane_support import config_map, widget


def conformance(behaviour):
    return pytest.mark.conformance("kubectl", behaviour)


@pytest.fixture
def a(kubectl):
    """A widget; how kubectl is told of it."""
    kubectl("create", "-f", "-", given=widget("a", 1, kubectl.names))
    return f"{kubectl.names.short}/a"


def path(kubectl, what, expression):
    return kubectl("get", what, "-o", f"jsonpath={{{expression}}}")


@conformance("patch --type=merge|json; a failed test changes nothing")
def test_patch(kubectl, a):
    merge = ("patch", a, "--type=merge", "-p", '{"spec":{"size":5}}')
    named = f"widget.{kubectl.names.group}/a"
    assert kubectl(*merge) == f"{named} patched\n"
    assert kubectl(*merge) == f"{named} patched (no change)\n"
    steps = [
        {"op": "test", "path": "/spec/size", "value": 5},
        {"op": "replace", "path": "/spec/size", "value": 6},
    ]
    patch = ("patch", a, "--type=json", "-p", json.dumps(steps))
    kubectl(*patch)
    assert path(kubectl, a, ".spec.size") == "6"
    kubectl.fails(*patch)
    assert path(kubectl, a, ".spec.size") == "6"


@conformance("patch --type=strategic: built-in kinds; 415 for custom ones")
def test_strategic_patch(kubectl, a):
    refused = kubectl.fails("patch", a, "-p", '{"spec":{"size":5}}')
    assert "application/strategic-merge-patch+json is not supported" in refused
    kubectl("create", "cm", "m", "--from-literal=a=b")
    kubectl("patch", "cm", "m", "-p", '{"data":{"c":"d"}}')
    assert json.loads(path(kubectl, "cm/m", ".data")) == {"a": "b", "c": "d"}
    kubectl("create", "serviceaccount", "robot")
    for name in ("one", "two", "one"):  # a list merged by its key
        patch = {"imagePullSecrets": [{"name": name}]}
        kubectl("patch", "sa", "robot", "-p", json.dumps(patch))
    names = path(kubectl, "sa/robot", ".imagePullSecrets[*].name").split()
    assert sorted(names) == ["one", "two"]


@conformance("patch --subresource=status leaves the spec and generation")
def test_status(kubectl, a):
    both = '{"spec":{"size":9},"status":{"observedGeneration":1}}'
    kubectl("patch", a, "--subresource=status", "--type=merge", "-p", both)
    assert path(kubectl, a, ".spec.size") == "1"
    assert path(kubectl, a, ".status.observedGeneration") == "1"
    assert path(kubectl, a, ".metadata.generation") == "1"
    kubectl("patch", a, "--type=merge", "-p", both.replace("1", "7"))
    assert path(kubectl, a, ".status.observedGeneration") == "1"


@conformance("label and annotate: set, refuse to overwrite, remove")
def test_label_and_annotate(kubectl, a):
    for verb, where in (("label", "labels"), ("annotate", "annotations")):
        kubectl(verb, a, "note=one")
        assert "already has a value" in kubectl.fails(verb, a, "note=two")
        kubectl(verb, a, "note=two", "--overwrite")
        assert path(kubectl, a, f".metadata.{where}.note") == "two"
        kubectl(verb, a, "note-")
        assert path(kubectl, a, f".metadata.{where}.note") == ""
    refused = kubectl.fails("label", a, "bad=-")
    assert "a valid label must be" in refused


@conformance("edit: saved changes are sent, invalid ones come back")
def test_edit(kubectl, a, monkeypatch, tmp_path):
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/size: 1/size: $SIZE/" "$1"\n')
    editor.chmod(0o700)
    monkeypatch.setitem(kubectl.environment, "KUBE_EDITOR", str(editor))
    monkeypatch.setitem(kubectl.environment, "SIZE", "8")
    assert kubectl("edit", a) == f"widget.{kubectl.names.group}/a edited\n"
    assert path(kubectl, a, ".spec.size") == "8"
    assert "Edit cancelled, no changes made." in kubectl.run("edit", a)[2]


@conformance("replace; a stale one is a conflict; replace --force")
def test_replace(kubectl, a):
    seen = json.loads(kubectl("get", a, "-o", "json"))
    kubectl("label", a, "x=y")
    assert (
        f'Operation cannot be fulfilled on {kubectl.names.qualified} "a": the '
        "object has been modified; please apply your changes to the latest "
        "version and try again"
    ) in kubectl.fails("replace", "-f", "-", given=seen)
    given = widget("a", 2, kubectl.names)
    assert "replaced" in kubectl("replace", "-f", "-", given=given)
    uid = path(kubectl, a, ".metadata.uid")
    forced = kubectl("replace", "--force", "-f", "-", given=given)
    assert forced.splitlines()[-1].endswith("/a replaced")
    assert path(kubectl, a, ".metadata.uid") != uid


@conformance("scale, scale --current-replicas, scale of several")
def test_scale(kubectl, a):
    assert "scaled" in kubectl("scale", a, "--replicas=4")
    assert path(kubectl, a, ".spec.replicas") == "4"
    assert path(kubectl, a, ".metadata.generation") == "2"
    refused = kubectl.fails("scale", a, "--replicas=5", "--current-replicas=3")
    assert "Expected replicas to be 3, was 4" in refused


@conformance("delete: by name, selector, --all; --ignore-not-found; dry run")
def test_delete(kubectl, a):
    short = kubectl.names.short
    full = kubectl.names.qualified
    said = f'widget.{kubectl.names.group} "a" deleted'
    dry = kubectl("delete", a, "--dry-run=server")
    assert dry == f"{said} (server dry run)\n"
    assert kubectl("delete", a) == f"{said}\n"
    missing = f'Error from server (NotFound): {full} "a" not found\n'
    assert kubectl.fails("delete", a) == missing
    assert kubectl("delete", a, "--ignore-not-found") == ""
    for name in ("b", "c", "d"):
        labels = {"tier": "gold"} if name == "b" else {}
        given = widget(name, 1, kubectl.names, labels=labels)
        kubectl("create", "-f", "-", given=given)
    assert kubectl("delete", short, "-l", "tier=gold").count("deleted") == 1
    assert kubectl("delete", short, "--all").count("deleted") == 2


@conformance("delete --cascade=background|foreground|orphan")
@pytest.mark.parametrize("cascade", ["background", "foreground", "orphan"])
@pytest.mark.usefixtures("controllers")
def test_cascades(kubectl, a, cascade):
    owner = {
        "apiVersion": f"{kubectl.names.group}/v1",
        "kind": "Widget",
        "name": "a",
        "uid": path(kubectl, a, ".metadata.uid"),
        "blockOwnerDeletion": True,
    }
    child = config_map("child", ownerReferences=[owner])
    kubectl("create", "-f", "-", given=child)
    kubectl("delete", a, f"--cascade={cascade}")
    if cascade == "orphan":
        assert path(kubectl, "cm/child", ".metadata.ownerReferences") == ""
    else:
        kubectl("wait", "--for=delete", "cm/child", "--timeout=30s")


@conformance("delete waits for finalizers; --wait=false does not")
def test_finalizers(kubectl, a):
    held = '{"metadata":{"finalizers":["example.dev/x"]}}'
    kubectl("patch", a, "--type=merge", "-p", held)
    kubectl("delete", a, "--wait=false")
    assert path(kubectl, a, ".metadata.deletionTimestamp") != ""
    deleting = kubectl.start("delete", a, "--timeout=30s")
    free = '{"metadata":{"finalizers":null}}'
    kubectl("patch", a, "--type=merge", "-p", free)
    _, error = deleting.communicate(timeout=40)
    missing = f'{kubectl.names.qualified} "a" not found\n'
    gone = f"Error from server (NotFound): {missing}"
    # It may be gone before the second deletion is asked for.
    assert (deleting.returncode, error) in {(0, ""), (1, gone)}


@conformance("wait --for=condition|jsonpath|create|delete, and its timeout")
def test_wait(kubectl, a):
    true = {
        "observedGeneration": 1,
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    status = ("--subresource=status", "--type=merge")
    ready = ("wait", "--for=condition=Ready", a)
    waiting = kubectl.start(*ready, "--timeout=30s")
    kubectl("patch", a, *status, "-p", json.dumps({"status": true}))
    out, error = waiting.communicate(timeout=40)
    assert (out, error) == (
        f"widget.{kubectl.names.group}/a condition met\n",
        "",
    )
    # A condition that speaks of an older generation does not count.
    kubectl("patch", a, "--type=merge", "-p", '{"spec":{"size":2}}')
    late = kubectl.fails(*ready, "--timeout=1s")
    assert "timed out waiting for the condition" in late
    kubectl("wait", "--for=jsonpath={.spec.size}=2", a, "--timeout=30s")
    made = ("wait", "--for=create", "cm/later", "--timeout=30s")
    waiting = kubectl.start(*made)
    kubectl("create", "cm", "later", "--from-literal=a=b")
    out, error = waiting.communicate(timeout=40)
    assert (out, error) == ("configmap/later condition met\n", "")
    waiting = kubectl.start("wait", "--for=delete", a, "--timeout=30s")
    kubectl("delete", a)
    assert waiting.communicate(timeout=40)[1] == ""
    assert waiting.returncode == 0


@conformance("delete namespace drains it")
@pytest.mark.usefixtures("controllers")
def test_namespaces(kubectl):
    name = f"{kubectl.namespace}-doomed"
    kubectl("create", "namespace", name)
    kubectl("-n", name, "create", "cm", "m", "--from-literal=a=b")
    kubectl("delete", "namespace", name, "--timeout=60s")
    gone = kubectl.fails("get", "ns", name)
    assert f'namespaces "{name}" not found' in gone
    refused = kubectl.fails("-n", name, "create", "cm", "m")
    assert f'namespaces "{name}" not found' in refused
