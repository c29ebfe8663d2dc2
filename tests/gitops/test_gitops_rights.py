"""Objects are handled with the rights of a ServiceAccount."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.controlplane.server import ControlPlane
from reconciler.engine.client import KubeClient
from reconciler.engine.credentials import ClientSettings
from reconciler.engine.errors import AccessDeniedError

USER = "system:serviceaccount:default:deployer"


async def test_every_call_about_objects_is_made_as_the_account(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    engine.raw["spec"]["serviceAccountName"] = "deployer"
    remote.commit({f"{n}.yaml": make_config_map(n) for n in "ab"})
    await engine.settle()
    remote.commit({"b.yaml": None})
    engine.wait()
    await engine.settle()
    engine.raw["metadata"]["deletionTimestamp"] = "2026-11-25T00:00:00Z"
    await engine.step()
    done = {call for _, call in cluster.acted}
    assert {user for user, _ in cluster.acted} == {USER}
    assert done == {"apply", "get", "delete"}
    deletes = [w for w in cluster.writes if w.startswith("delete")]
    assert len(deletes) == 2
    assert len([c for _, c in cluster.acted if c == "delete"]) == 2


async def test_without_an_account_nobody_is_impersonated(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    remote.commit({"a.yaml": make_config_map("a")})
    await engine.settle()
    assert cluster.acted == []


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[KubeClient]:
    plane = ControlPlane(tmp_path / "controlplane")
    await plane.start()
    found = KubeClient(ClientSettings(kubeconfig=plane.kubeconfig))
    await found.open()
    try:
        yield found
    finally:
        await found.close()
        await plane.stop()


def role(*verbs: str) -> tuple[dict[str, Any], dict[str, Any]]:
    meta = {"name": "deployer", "namespace": "default"}
    group = "rbac.authorization.k8s.io"
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}
    return (
        {
            "apiVersion": f"{group}/v1",
            "kind": "Role",
            "metadata": meta,
            "rules": [rule],
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "deployer"},
            "subjects": [
                {
                    "kind": "ServiceAccount",
                    "name": "deployer",
                    "namespace": "default",
                }
            ],
        },
    )


@pytest.mark.slow
async def test_the_server_decides_by_the_rights_of_the_account(
    client: KubeClient, remote: Any, tmp_path: Path, types: Any,
    make_config_map: Any,
) -> None:  # fmt: skip
    spec = {"git": {"url": remote.url}, "serviceAccountName": "deployer"}
    engine = types["Engine"](client, tmp_path / "state", spec)
    remote.commit({"a.yaml": make_config_map("a", x="1")})
    await engine.settle()
    message = engine.condition()["message"]
    assert engine.condition()["reason"] == "ReconciliationFailed"
    assert f'"{USER}" cannot' in message
    assert await client.get("v1", "ConfigMap", "default", "a") is None
    for body in role("get", "list", "create", "patch"):
        await client.apply(body)
    engine.wait()
    await engine.settle()
    assert engine.condition()["status"] == "True"
    assert await client.get("v1", "ConfigMap", "default", "a")
    remote.commit({"a.yaml": None, "b.yaml": make_config_map("b")})
    engine.wait()
    await engine.step()
    await engine.step()
    assert engine.condition()["reason"] == "PruneFailed"
    assert "cannot delete" in engine.condition()["message"]
    assert await client.get("v1", "ConfigMap", "default", "a")
    with pytest.raises(AccessDeniedError):
        await client.acting_as(USER).list("v1", "Secret", "default")
    assert await client.list("v1", "Secret", "default") == []
    for body in role("get", "list", "create", "patch", "delete"):
        await client.apply(body)
    engine.wait()
    await engine.settle()
    assert await client.get("v1", "ConfigMap", "default", "a") is None
    assert engine.condition()["status"] == "True"
