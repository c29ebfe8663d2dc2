"""A database that an earlier version wrote, and a kind that moves on."""

import asyncio
import copy
import json
import sqlite3
from pathlib import Path

import pytest
from controlplane_support import CRDS, Client, widget, widget_crd

from reconciler.cli.main import main
from reconciler.controlplane import credentials
from reconciler.controlplane.server import ControlPlane
from reconciler.controlplane.upkeep.checking import check

KEPT = Path(__file__).parent / "format-1.sql"
CRD = f"{CRDS}/widgets.example.dev"


def widgets(version):
    return f"/apis/example.dev/{version}/namespaces/default/widgets"


@pytest.fixture
async def upgraded(tmp_path):
    """A server of today on the kept database; and its client."""
    state = tmp_path / "state"
    state.mkdir()
    connection = sqlite3.connect(state / "objects.sqlite3")
    connection.executescript(KEPT.read_text())
    connection.close()
    plane = ControlPlane(state)
    await plane.start()
    client = Client(plane.kubeconfig)
    client.kubeconfig = plane.kubeconfig
    yield client
    await client.close()
    await plane.stop()
    assert check(state / "objects.sqlite3") == []


async def test_a_kept_database_is_read_and_goes_on(upgraded):
    found = await upgraded.ok("GET", widgets("v1alpha1"))
    assert [
        (o["metadata"]["name"], o["spec"]["size"]) for o in found["items"]
    ] == [
        ("a", 1),
        ("b", 5),
    ]
    maps = await upgraded.ok("GET", "/api/v1/namespaces/default/configmaps")
    assert [o["metadata"]["name"] for o in maps["items"]] == ["kept"]
    made = widget("c", 7) | {"apiVersion": "example.dev/v1alpha1"}
    made = await upgraded.ok("POST", widgets("v1alpha1"), made)
    assert int(made["metadata"]["resourceVersion"]) > int(
        found["metadata"]["resourceVersion"]
    )


async def two_versions(client):
    """v1 is stored from now on; v1alpha1 is served still."""
    crd = await client.ok("GET", CRD)
    (old,) = crd["spec"]["versions"]
    new = copy.deepcopy(widget_crd()["spec"]["versions"][0])
    crd["spec"]["versions"] = [old | {"storage": False}, new]
    crd = await client.ok("PUT", CRD, crd)
    assert crd["status"]["storedVersions"] == ["v1alpha1", "v1"]


def stored_in(state):
    connection = sqlite3.connect(state / "objects.sqlite3")
    rows = connection.execute(
        "SELECT data FROM revisions WHERE superseded IS NULL"
        " AND resource = 'example.dev/widgets'"
    ).fetchall()
    connection.close()
    return {json.loads(data)["apiVersion"] for (data,) in rows}


async def migrate(client):
    config = str(client.kubeconfig)
    argv = ["--kubeconfig", config, "migrate", "--all"]
    return await asyncio.to_thread(main, argv)


async def test_objects_move_to_the_new_version_and_the_old_one_can_go(
    upgraded, tmp_path, capsys
):
    await two_versions(upgraded)
    before = await upgraded.ok("GET", widgets("v1"))
    assert {o["apiVersion"] for o in before["items"]} <= {"example.dev/v1"}
    assert stored_in(tmp_path / "state") == {"example.dev/v1alpha1"}
    assert await migrate(upgraded) == 0
    told = capsys.readouterr().out
    assert "widgets.example.dev: 2 objects, v1alpha1 -> v1" in told
    assert stored_in(tmp_path / "state") == {"example.dev/v1"}
    crd = await upgraded.ok("GET", CRD)
    assert crd["status"]["storedVersions"] == ["v1"]
    after = await upgraded.ok("GET", widgets("v1"))
    for old, new in zip(before["items"], after["items"], strict=True):
        assert new["spec"] == old["spec"]
        for name in ("uid", "generation"):
            assert new["metadata"].get(name) == old["metadata"].get(name)
    assert await migrate(upgraded) == 0
    assert "widgets.example.dev: all in v1" in capsys.readouterr().out
    again = await upgraded.ok("GET", widgets("v1"))
    assert again["items"] == after["items"]
    crd = await upgraded.ok("GET", CRD)
    crd["spec"]["versions"] = crd["spec"]["versions"][1:]
    await upgraded.ok("PUT", CRD, crd)
    assert len((await upgraded.ok("GET", widgets("v1")))["items"]) == 2


async def test_a_version_is_stored_before_it_is_served(
    upgraded, tmp_path, capsys
):
    await two_versions(upgraded)
    crd = await upgraded.ok("GET", CRD)
    crd["spec"]["versions"][1]["served"] = False
    await upgraded.ok("PUT", CRD, crd)
    assert await migrate(upgraded) == 0
    assert "2 objects, v1alpha1 -> v1" in capsys.readouterr().out
    assert stored_in(tmp_path / "state") == {"example.dev/v1"}


async def let_in(client, state, *rules):
    """A kubeconfig of somebody with these rules."""
    rbac = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    await client.ok(
        "POST", rbac, {"metadata": {"name": "ann"}, "rules": list(rules)}
    )
    bound = {
        "metadata": {"name": "ann"},
        "roleRef": {"kind": "ClusterRole", "name": "ann"},
        "subjects": [{"kind": "User", "name": "ann"}],
    }
    await client.ok("POST", f"{rbac[:-1]}bindings", bound)
    user = credentials.client_user(state / "identity", "ann", [], 1)
    authority = (state / "identity/ca.crt").read_bytes()
    file = state / "ann"
    file.write_bytes(credentials.kubeconfig(client.url, authority, user))
    return file


async def test_what_is_refused_is_named_and_the_rest_is_migrated(
    upgraded, tmp_path, capsys
):
    state = tmp_path / "state"
    await two_versions(upgraded)
    definitions = "customresourcedefinitions"
    config = await let_in(
        upgraded,
        state,
        {
            "verbs": ["list", "patch"],
            "apiGroups": ["apiextensions.k8s.io"],
            "resources": [definitions, f"{definitions}/status"],
        },
        {
            "verbs": ["list"],
            "apiGroups": ["example.dev"],
            "resources": ["widgets"],
        },
        {
            "verbs": ["patch"],
            "apiGroups": ["example.dev"],
            "resources": ["widgets"],
            "resourceNames": ["b"],
        },
    )
    argv = ["--kubeconfig", str(config), "migrate", "--all"]
    assert await asyncio.to_thread(main, argv) == 1
    told = capsys.readouterr()
    moved = "widgets.example.dev: 1 objects, v1alpha1 -> v1, 1 refused"
    assert moved in told.out
    assert 'refused: Widget default/a: widgets.example.dev "a" is' in told.err
    crd = await upgraded.ok("GET", CRD)
    assert crd["status"]["storedVersions"] == ["v1alpha1", "v1"]
    assert stored_in(state) == {"example.dev/v1alpha1", "example.dev/v1"}
    await upgraded.ok("DELETE", f"{widgets('v1')}/a")
    assert await asyncio.to_thread(main, argv) == 0
    crd = await upgraded.ok("GET", CRD)
    assert crd["status"]["storedVersions"] == ["v1"]


async def test_a_version_with_objects_in_it_cannot_go(upgraded):
    await two_versions(upgraded)
    crd = await upgraded.ok("GET", CRD)
    crd["spec"]["versions"] = crd["spec"]["versions"][1:]
    code, told = await upgraded.call("PUT", CRD, crd)
    assert code == 422
    assert "storedVersions" in told["message"]
