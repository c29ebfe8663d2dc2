"""Argo CD's health script for our kinds, run by a Lua interpreter."""

from __future__ import annotations

import json
import subprocess

import lupa
import pytest
from cluster import ROOT
from ruamel.yaml import YAML

from reconciler.cli.kinds import KINDS

SCRIPT = (ROOT / "manifests/argocd/health.lua").read_text()
TRUE, FALSE = {"status": "True"}, {"status": "False"}


def health(obj):
    """What Argo CD would show: the script sees a global `obj`."""
    lua = lupa.LuaRuntime(unpack_returned_tuples=True)
    lua.globals()["obj"] = lua.table_from(obj, recursive=True)
    found = lua.execute(SCRIPT)
    return found["status"], found["message"]


def model(*conditions, generation=2, observed=2, spec=None, **metadata):
    return {
        "metadata": {"name": "m", "generation": generation, **metadata},
        "spec": spec or {},
        "status": {
            "observedGeneration": observed,
            "conditions": list(conditions),
        },
    }


READY = {"type": "Ready", "message": "serves"}
STALLED = {"type": "Stalled", "message": "no device", **TRUE}


@pytest.mark.parametrize(
    ("obj", "status", "message"),
    [
        (
            {"metadata": {"name": "m", "generation": 1}, "spec": {}},
            "Progressing",
            "not reconciled yet",
        ),
        (model(READY | TRUE), "Healthy", "serves"),
        (model(READY | FALSE), "Progressing", "serves"),
        (model(READY | {"status": "Unknown"}), "Progressing", "serves"),
        (model(READY | FALSE, STALLED), "Degraded", "no device"),
        (
            model(READY | TRUE, generation=3),
            "Progressing",
            "not reconciled yet",
        ),
        (
            model(READY | TRUE, spec={"suspend": True}),
            "Suspended",
            "spec.suspend is set",
        ),
        (
            model(READY | TRUE, deletionTimestamp="2026-01-01T00:00:00Z"),
            "Progressing",
            "being deleted",
        ),
    ],
)
def test_health_follows_kstatus(obj, status, message):
    assert health(obj) == (status, message)


def test_the_component_names_every_kind(tmp_path):
    base = ROOT / "build" / f"argocd-{tmp_path.name}"
    base.mkdir(parents=True)
    files = {
        "cm.json": json.dumps(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "argocd-cm", "namespace": "argocd"},
                "data": {"url": "https://argocd.example.com"},
            }
        ),
        "kustomization.yaml": "resources: [cm.json]\n"
        "components: [../../manifests/argocd]\n",
    }
    try:
        for name, text in files.items():
            (base / name).write_text(text)
        done = subprocess.run(
            ["kubectl", "kustomize", str(base)],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        for name in files:
            (base / name).unlink()
        base.rmdir()
    data = YAML(typ="safe").load(done.stdout)["data"]
    assert data.pop("url") == "https://argocd.example.com"
    prefix = "resource.customizations.health.reconciler.dev_"
    assert set(data) == {f"{prefix}{k.definition.kind}" for k in KINDS}
    assert set(data.values()) == {SCRIPT}
