"""kubectl against the control plane, where ours is not like every server.

What every server does is in `conformance/kubectl`.
"""

import json
import time

import pytest
from controlplane_support import widget, widget_crd


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


def test_defaults_are_filled_in(space):
    space("create", "-f", "-", given=widget())
    shown = _json(space("get", "wg", "a", "-o", "json"))
    assert shown["spec"]["color"] == "red"
    assert shown["status"] == {"observedGeneration": -1}
    assert shown["metadata"]["generation"] == 1


def test_default_namespace_stays(kubectl):
    error = kubectl.fails("delete", "namespace", "default")
    assert (
        'namespaces "default" is forbidden: this namespace may not be deleted'
        in error
    )


def test_auth_commands(kubectl):
    assert kubectl("auth", "can-i", "delete", "widgets") == "yes\n"
    assert "kubernetes-admin" in kubectl("auth", "whoami")


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
