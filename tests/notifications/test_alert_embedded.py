"""The real engine, the embedded API server, and receivers on the loopback."""

from __future__ import annotations

import asyncio
import base64
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reconciler.controlplane.server import ControlPlane
from reconciler.engine import shell
from reconciler.engine.app import App
from reconciler.engine.client import KubeClient
from reconciler.engine.credentials import ClientSettings
from reconciler.engine.install import install_crds
from reconciler.engine.resource import API_VERSION
from reconciler.gitops.controller import ConfigRepositoryController
from reconciler.gitops.resource import ConfigRepository
from reconciler.notifications.controller import AlertController
from reconciler.notifications.resource import Alert
from tests.notifications.receivers import TOKEN

pytestmark = pytest.mark.slow

MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: '1'}\n"


def body(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


def secret(name: str, **values: str) -> dict[str, Any]:
    data = {
        k: base64.b64encode(v.encode()).decode() for k, v in values.items()
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "default"},
        "data": data,
    }


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    done = subprocess.run(
        ["git", *who, *words],
        cwd=folder, check=True, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    return done.stdout.strip()


def commit(folder: Path, text: str) -> str:
    (folder / "a.yaml").write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "change")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
async def client(tmp_path: Path):
    plane = ControlPlane(tmp_path / "controlplane")
    await plane.start()
    settings = ClientSettings(kubeconfig=plane.kubeconfig)
    found = KubeClient(settings)
    await found.open()
    kinds = (ConfigRepository, Alert)
    await install_crds(found, kinds)
    fleet = ConfigRepositoryController(tmp_path / "repositories")
    app = App([fleet, AlertController()], settings, kinds=kinds)
    stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(shell.run(app, stop, ready))
    await asyncio.wait_for(ready.wait(), 30)
    try:
        yield found
    finally:
        stop.set()
        await asyncio.wait_for(running, 30)
        await fleet.stop()
        await found.close()
        await plane.stop()


async def until(what: Any, seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not what():  # noqa: ASYNC110 - the receiver is polled
            await asyncio.sleep(0.05)


async def test_what_a_commit_did_is_told_everywhere(
    client: KubeClient, tmp_path: Path, base: str, receivers: Any
) -> None:
    folder = tmp_path / "team" / "models"
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    good = commit(folder, MAP)
    for made in (
        secret("chat", address=f"{base}/services/T0/B0/secret"),
        secret("forge", address=f"{base}/team/models", token=TOKEN),
    ):
        await client.apply(made)
    sources = [{"kind": "ConfigRepository"}]
    named = [{"kind": "ConfigRepository", "name": "fleet"}]
    for name, kind, chosen in (
        ("chat", "slack", sources),
        ("forge", "github", named),
    ):
        provider = {"type": kind, "secretRef": {"name": name}}
        spec = {"provider": provider, "eventSources": chosen}
        await client.apply(body("Alert", name, spec))
    spec = {"git": {"url": f"file://{folder}"}, "interval": "1m"}
    await client.apply(body("ConfigRepository", "fleet", spec))

    def texts() -> list[str]:
        return [m["attachments"][0]["text"] for m in receivers.messages]

    def states(sha: str) -> list[str]:
        return [s["state"] for s in receivers.statuses if s["sha"] == sha]

    await until(lambda: states(good)[-1:] == ["success"])
    await until(lambda: any(t.startswith("Applied: main@") for t in texts()))
    bad = commit(folder, "a: [1")
    await until(lambda: states(bad)[-1:] == ["failure"])
    await until(lambda: any(t.startswith("BuildFailed: ") for t in texts()))
    assert states(good) in (["success"], ["pending", "success"])
    assert len(texts()) == len(set(texts()))
    assert await settled(client, "chat")


async def settled(client: KubeClient, name: str) -> bool:
    """Whether an Alert is ready and at rest."""
    async with asyncio.timeout(20):
        while True:
            found = await client.get(API_VERSION, "Alert", "default", name)
            status = (found or {}).get("status") or {}
            ready = [
                c["status"]
                for c in status.get("conditions", [])
                if c["type"] == "Ready"
            ]
            if ready == ["True"] and status.get("sent"):
                return True
            await asyncio.sleep(0.05)
