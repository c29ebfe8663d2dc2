"""The real kubectl against the control plane: what users type and see."""

import json
import time

import pytest
from controlplane_support import config_map, widget, widget_crd


@pytest.fixture
def space(kubectl):
    """kubectl in a namespace of its own, with widgets installed."""
    name = f"t{time.time_ns()}"
    kubectl("create", "namespace", name)
    kubectl("apply", "-f", "-", given=widget_crd())
    kubectl("config", "set-context", "--current", "--namespace", name)
    yield kubectl
    kubectl("config", "set-context", "--current", "--namespace", "default")


def _json(text):
    return json.loads(text)


def test_version_is_compatible(kubectl):
    assert "Server Version: v1.32" in kubectl("version")


def test_api_resources_show_kinds_and_short_names(space):
    table = space("api-resources", "--categories", "gadgets")
    line = next(row for row in table.splitlines() if "widgets" in row)
    assert line.split() == [
        "widgets",
        "wg",
        "example.dev/v1",
        "true",
        "Widget",
    ]
    assert "example.dev/v1" in space("api-versions")


def test_create_commands_of_built_in_kinds(space):
    space("create", "secret", "generic", "s", "--from-literal=a=b")
    space("create", "configmap", "c", "--from-literal=a=b")
    space("create", "serviceaccount", "robot")
    table = space("get", "secrets").splitlines()
    assert table[0].split() == ["NAME", "TYPE", "DATA", "AGE"]
    assert table[1].split()[:3] == ["s", "Opaque", "1"]
    assert _json(space("get", "secret", "s", "-o", "json"))["data"] == {
        "a": "Yg=="
    }
    assert space("get", "sa", "robot", "-o", "name") == (
        "serviceaccount/robot\n"
    )


def test_apply_creates_configures_and_leaves_unchanged(space):
    out = space("apply", "-f", "-", given=widget())
    assert out == "widget.example.dev/a created\n"
    out = space("apply", "-f", "-", given=widget())
    assert out == "widget.example.dev/a unchanged\n"
    out = space("apply", "-f", "-", given=widget(size=2))
    assert out == "widget.example.dev/a configured\n"


def test_client_side_apply_removes_what_the_file_drops(space):
    space("apply", "-f", "-", given=config_map("m", labels={"x": "y"}))
    space("apply", "-f", "-", given=config_map("m"))
    shown = _json(space("get", "cm", "m", "-o", "json"))
    assert "labels" not in shown["metadata"]


def test_printer_columns_and_category(space):
    space("apply", "-f", "-", given=widget(size=7))
    table = space("get", "gadgets").splitlines()
    assert table[0].split() == ["NAME", "SIZE", "READY"]
    assert table[1].split()[:2] == ["a", "7"]


def test_defaults_are_filled_in(space):
    space("create", "-f", "-", given=widget())
    shown = _json(space("get", "wg", "a", "-o", "json"))
    assert shown["spec"]["color"] == "red"
    assert shown["status"] == {"observedGeneration": -1}
    assert shown["metadata"]["generation"] == 1


def test_invalid_objects_are_refused_with_the_path(space):
    error = space.fails("apply", "-f", "-", given=widget(size=0))
    assert error.startswith('The Widget "a" is invalid: spec.size: Invalid')
    broken = widget()
    del broken["spec"]["size"]
    error = space.fails("create", "-f", "-", given=broken)
    assert 'The Widget "a" is invalid: spec.size: Required value' in error


def test_unknown_fields_are_refused_by_strict_validation(space):
    odd = widget()
    odd["spec"]["shape"] = "round"
    error = space.fails("create", "-f", "-", given=odd)
    assert (
        'Widget in version "v1" cannot be handled as a Widget: strict '
        'decoding error: unknown field "spec.shape"'
    ) in error


def test_unknown_fields_warn_and_are_pruned(space):
    odd = widget()
    odd["spec"]["shape"] = "round"
    code, _, error = space.run(
        "create", "--validate=warn", "-f", "-", given=odd
    )
    assert code == 0
    assert 'Warning: unknown field "spec.shape"' in error
    shown = _json(space("get", "wg", "a", "-o", "json"))
    assert "shape" not in shown["spec"]


def test_server_side_apply_names_manager_and_field(space):
    space(
        "apply", "--server-side", "--field-manager=one", "-f", "-",
        given=widget(size=3),
    )  # fmt: skip
    other = ("apply", "--server-side", "--field-manager=two", "-f", "-")
    error = space.fails(*other, given=widget(size=4))
    assert (
        'Apply failed with 1 conflict: conflict with "one": .spec.size'
        in error
    )
    out = space(*other, "--force-conflicts", given=widget(size=4))
    assert out == "widget.example.dev/a serverside-applied\n"


@pytest.mark.parametrize(
    ("kind", "patch", "size"),
    [
        ("merge", '{"spec":{"size":5}}', 5),
        ("json", '[{"op":"replace","path":"/spec/size","value":6}]', 6),
    ],
)
def test_patches(space, kind, patch, size):
    space("create", "-f", "-", given=widget())
    space("patch", "wg", "a", "--type", kind, "-p", patch)
    shown = _json(space("get", "wg", "a", "-o", "json"))
    assert shown["spec"]["size"] == size


def test_strategic_patch_is_for_built_in_kinds_only(space):
    space("create", "-f", "-", given=widget())
    error = space.fails("patch", "wg", "a", "-p", '{"spec":{"size":5}}')
    assert "application/strategic-merge-patch+json is not supported" in error
    space("create", "cm", "m", "--from-literal=a=b")
    space("patch", "cm", "m", "-p", '{"data":{"c":"d"}}')
    shown = space("get", "cm", "m", "-o", "jsonpath={.data}")
    assert _json(shown) == {"a": "b", "c": "d"}


def test_label_annotate_and_selectors(space):
    for name in ("a", "b"):
        space("create", "-f", "-", given=widget(name))
    space("label", "wg", "a", "tier=gold")
    space("annotate", "wg", "a", "note=hello")
    assert space("get", "wg", "-l", "tier=gold", "-o", "name") == (
        "widget.example.dev/a\n"
    )
    assert space("get", "wg", "-l", "tier!=gold", "-o", "name") == (
        "widget.example.dev/b\n"
    )
    assert space(
        "get", "wg", "--field-selector", "metadata.name=b", "-o", "name"
    ) == ("widget.example.dev/b\n")
    assert "a " in space("get", "wg", "--field-selector", "spec.color=red")
    error = space.fails("get", "wg", "--field-selector", "spec.size=1")
    assert "field label not supported: spec.size" in error


def test_chunks_sorting_and_custom_columns(space):
    for index in range(5):
        space("create", "-f", "-", given=widget(f"w{index}", size=9 - index))
    names = space("get", "wg", "--chunk-size=2", "-o", "name").splitlines()
    assert len(names) == 5
    ordered = space(
        "get", "wg", "--sort-by=.spec.size", "-o",
        "custom-columns=N:.metadata.name", "--no-headers",
    )  # fmt: skip
    assert ordered.split() == ["w4", "w3", "w2", "w1", "w0"]


def test_wait_refuses_a_stale_condition(space):
    space("create", "-f", "-", given=widget())
    true = {
        "status": {
            "observedGeneration": 1,
            "conditions": [{"type": "Ready", "status": "True"}],
        }
    }
    space(
        "patch", "wg", "a", "--subresource=status", "--type=merge",
        "-p", json.dumps(true),
    )  # fmt: skip
    space("wait", "--for=condition=Ready", "wg/a", "--timeout=5s")
    space("patch", "wg", "a", "--type=merge", "-p", '{"spec":{"size":2}}')
    error = space.fails(
        "wait", "--for=condition=Ready", "wg/a", "--timeout=1s"
    )
    assert "timed out waiting for the condition" in error


def test_wait_for_deletion_and_jsonpath(space):
    space("create", "-f", "-", given=widget(finalizers=["example.dev/x"]))
    space("wait", "--for=jsonpath={.spec.color}=red", "wg/a", "--timeout=5s")
    space("delete", "wg", "a", "--wait=false")
    waiting = space.start("wait", "--for=delete", "wg/a", "--timeout=20s")
    free = '{"metadata":{"finalizers":null}}'
    space("patch", "wg", "a", "--type=merge", "-p", free)
    _, error = waiting.communicate(timeout=30)
    assert waiting.returncode == 0, error
    assert 'widgets.example.dev "a" not found' in space.fails("get", "wg", "a")


def test_watch_prints_changes(space):
    space("create", "-f", "-", given=widget(size=1))
    watching = space.start("get", "wg", "-w", "--request-timeout=3s")
    first = watching.stdout.readline(), watching.stdout.readline()
    assert first[1].split()[:2] == ["a", "1"]
    space("patch", "wg", "a", "--type=merge", "-p", '{"spec":{"size":2}}')
    assert watching.stdout.readline().split()[:2] == ["a", "2"]
    watching.kill()
    watching.communicate(timeout=10)


def test_describe_shows_events(space):
    space("create", "-f", "-", given=widget())
    uid = space("get", "wg", "a", "-o", "jsonpath={.metadata.uid}")
    namespace = space("get", "wg", "a", "-o", "jsonpath={.metadata.namespace}")
    event = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "a.1", "namespace": namespace},
        "eventTime": "2026-11-25T00:00:00.000000Z",
        "reportingController": "example.dev/tester",
        "reportingInstance": "here",
        "action": "Look",
        "reason": "Looked",
        "note": "It was looked at",
        "type": "Normal",
        "regarding": {
            "apiVersion": "example.dev/v1",
            "kind": "Widget",
            "name": "a",
            "namespace": namespace,
            "uid": uid,
        },
    }
    space("create", "-f", "-", given=event)
    assert "It was looked at" in space("describe", "wg", "a")
    assert "widget/a" in space("events").lower()
    assert "Looked" in space("get", "events")


def test_scale_and_status_subresources(space):
    space("create", "-f", "-", given=widget())
    assert "scaled" in space("scale", "wg/a", "--replicas=4")
    shown = _json(space("get", "wg", "a", "-o", "json"))
    assert shown["spec"]["replicas"] == 4
    assert shown["metadata"]["generation"] == 2


def test_dry_run_diff_and_replace(space):
    space("create", "-f", "-", given=widget())
    out = space("label", "wg", "a", "x=y", "--dry-run=server")
    assert "server dry run" in out
    assert space("get", "wg", "-l", "x=y", "-o", "name") == ""
    code, out, _ = space.run("diff", "-f", "-", given=widget(size=2))
    assert code == 1
    assert "+  size: 2" in out
    assert "replaced" in space("replace", "-f", "-", given=widget(size=2))


def test_stale_replace_is_a_conflict(space):
    space("create", "-f", "-", given=widget())
    seen = _json(space("get", "wg", "a", "-o", "json"))
    space("label", "wg", "a", "x=y")
    error = space.fails("replace", "-f", "-", given=seen)
    assert (
        'Operation cannot be fulfilled on widgets.example.dev "a": the '
        "object has been modified; please apply your changes to the latest "
        "version and try again"
    ) in error


@pytest.mark.parametrize("cascade", ["background", "foreground", "orphan"])
def test_delete_cascades(space, cascade):
    space("create", "-f", "-", given=widget("owner"))
    uid = space("get", "wg", "owner", "-o", "jsonpath={.metadata.uid}")
    owner = {
        "apiVersion": "example.dev/v1",
        "kind": "Widget",
        "name": "owner",
        "uid": uid,
        "blockOwnerDeletion": True,
    }
    space(
        "create", "-f", "-", given=config_map("child", ownerReferences=[owner])
    )
    space("delete", "wg", "owner", f"--cascade={cascade}")
    if cascade == "orphan":
        shown = _json(space("get", "cm", "child", "-o", "json"))
        assert "ownerReferences" not in shown["metadata"]
    else:
        space("wait", "--for=delete", "cm/child", "--timeout=10s")


def test_explain_shows_our_descriptions(space):
    text = space("explain", "widget.spec.size")
    assert "How big it is." in text
    assert "size" in space("explain", "widget", "--recursive")


def test_namespace_deletion_drains_it(kubectl):
    kubectl("create", "namespace", "doomed")
    kubectl("-n", "doomed", "create", "cm", "m", "--from-literal=a=b")
    kubectl("delete", "namespace", "doomed", "--timeout=20s")
    assert 'namespaces "doomed" not found' in kubectl.fails(
        "get", "ns", "doomed"
    )
    assert "No resources found" in kubectl.run("-n", "doomed", "get", "cm")[2]


def test_default_namespace_stays(kubectl):
    error = kubectl.fails("delete", "namespace", "default")
    assert (
        'namespaces "default" is forbidden: this namespace may not be deleted'
        in error
    )


def test_auth_commands(kubectl):
    assert kubectl("auth", "can-i", "delete", "widgets") == "yes\n"
    assert "kubernetes-admin" in kubectl("auth", "whoami")


def test_raw_paths(kubectl):
    assert kubectl("get", "--raw", "/readyz") == "ok"
    assert _json(kubectl("get", "--raw", "/apis"))["kind"] == "APIGroupList"


def test_definition_deletion_removes_objects(kubectl):
    crd = widget_crd()
    crd["metadata"]["name"] = "gizmos.example.dev"
    crd["spec"]["names"] = {"plural": "gizmos", "kind": "Gizmo"}
    kubectl("apply", "-f", "-", given=crd)
    kubectl(
        "wait", "--for=condition=Established", f"crd/gizmos.{'example.dev'}"
    )
    gizmo = widget("g") | {"kind": "Gizmo"}
    kubectl("apply", "-f", "-", given=gizmo)
    kubectl("delete", "crd", "gizmos.example.dev", "--timeout=20s")
    kubectl("apply", "-f", "-", given=crd)
    assert "No resources found" in kubectl.run("get", "gizmos")[2]


def test_edit_changes_an_object(space, monkeypatch, tmp_path):
    space("create", "-f", "-", given=widget(size=1))
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/size: 1/size: 8/" "$1"\n')
    editor.chmod(0o700)
    monkeypatch.setitem(space.environment, "KUBE_EDITOR", str(editor))
    assert "edited" in space("edit", "wg", "a")
    shown = _json(space("get", "wg", "a", "-o", "json"))
    assert shown["spec"]["size"] == 8
