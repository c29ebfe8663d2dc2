"""`kopf run` itself, by kopf's own KopfRunner, with a file as users write."""

import json
import time

import pytest
from controlplane_support import widget, widget_crd
from kopf.testing import KopfRunner

OPERATOR = """
import os, pathlib
import kopf

@kopf.on.login()
def login(**arguments):
    return kopf.login_with_kubeconfig(**arguments)

@kopf.on.create("example.dev", "v1", "widgets")
def created(spec, patch, **_):
    patch.status["observedGeneration"] = spec["size"]

@kopf.on.delete("example.dev", "v1", "widgets")
def deleted(name, namespace, **_):
    pathlib.Path(os.environ["GONE"]).write_text(f"{namespace}/{name}")
"""


def eventually(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@pytest.mark.slow
def test_an_operator_file_is_run(kubectl, shared_plane, tmp_path, monkeypatch):
    kubectl("apply", "-f", "-", given=widget_crd())
    file = tmp_path / "operator.py"
    file.write_text(OPERATOR)
    monkeypatch.setenv("KUBECONFIG", str(shared_plane.kubeconfig))
    monkeypatch.setenv("GONE", str(tmp_path / "gone"))

    def status():
        shown = json.loads(kubectl("get", "wg", "a", "-o", "json"))
        return shown["status"]["observedGeneration"] == 3

    command = ["run", "--standalone", "--namespace", "default", str(file)]
    with KopfRunner(command, timeout=60) as runner:
        kubectl("create", "-f", "-", given=widget(size=3))
        eventually(status)
        kubectl("delete", "wg", "a", "--timeout=30s")
    assert runner.exit_code == 0
    assert runner.exception is None
    assert (tmp_path / "gone").read_text() == "default/a"
